"""The work dir of a training: its checkpoints, log files and results."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nncore.engine import comm

from common.errors import InputError, disk_error
from common.files import atomic_path

from .plots import LOG

AUTO = "auto"   # Resume from the newest checkpoint of the work dir if there is one.
CHECKPOINTS = ("last.pth", "best.pth", "epoch_*.pth")
# Files that are written under a temporary name next to the final one, which a killed process leaves behind.
ATOMIC_FILES = (*CHECKPOINTS, LOG, "history.json", "metrics.json", "curves.png", "bad_batch*.json")
RUN_ID = ".run_id"
EVENTS = "tf_logs/events.out.tfevents.*"


class RunDir:
    """The folder that a training or evaluation writes to.

    Args:
        path: the folder; it need not exist.
        requested: the folder that was requested, if it is another one; see `work_dir.claimed_work_dir`.

    Attributes:
        last: the newest checkpoint, with everything that a resume needs.
        best: the weights of the best epoch.
        log: nncore's log of losses and metrics, one JSON object per line.
        text_log: the text that the training prints.
        history: metrics of every validated epoch.
        metrics: metrics of the final evaluation.
        curves: plot of losses and metrics.
    """

    def __init__(self, path: str | Path, requested: str | Path | None = None):
        self.path = Path(path)
        self.requested = self.path if requested is None else Path(requested)
        self.last, self.best = self.path / "last.pth", self.path / "best.pth"
        self.log, self.text_log = self.path / LOG, self.path / "train.log"
        self.history, self.metrics = self.path / "history.json", self.path / "metrics.json"
        self.curves = self.path / "curves.png"

    @classmethod
    def of_config(cls, config: str, work_dir: str | None = None, resume: str | None = None) -> RunDir:
        """Return the folder that the options of a run request.

        Args:
            config: path of the config.
            work_dir: the folder; None for that of the checkpoint to resume from, or else `work_dirs/<config name>`.
            resume: see `checkpoint_to_resume`.
        """
        if work_dir is None and resume is not None and resume != AUTO:
            return cls(Path(resume).parent)
        return cls(work_dir or Path("work_dirs") / Path(config).stem)

    def has_training(self) -> bool:
        """Return True if the folder contains checkpoints or the history of a training."""
        return any(any(self.path.glob(name)) for name in (*CHECKPOINTS, self.history.name))

    def has_results(self) -> bool:
        """Return True if the folder contains results of a training or of an evaluation."""
        return self.has_training() or self.metrics.exists()

    def remove_results(self) -> None:
        """Remove the files of an earlier run, but no other files."""
        for name in (*ATOMIC_FILES, EVENTS):
            for path in self.path.glob(name):
                path.unlink(missing_ok=True)

    def newest_checkpoint(self) -> Path | None:
        """Return `last.pth`, or without it the `epoch_N.pth` with the highest N; None if there is neither."""
        if self.last.is_file():
            return self.last
        numbered = {int(path.stem.removeprefix("epoch_")): path for path in self.path.glob("epoch_*.pth")
                    if path.stem.removeprefix("epoch_").isdecimal()}
        return numbered[max(numbered)] if numbered else None

    def checkpoint_to_resume(self, resume: str | None) -> Path | None:
        """Return the checkpoint to resume from, or None to start a new training.

        Args:
            resume: a file; AUTO for the newest checkpoint of this folder if it has one; None for a new training.

        Raises:
            InputError: AUTO is given, and the folder contains a finished training without such a checkpoint, which a
                new training would replace.
        """
        if resume != AUTO:
            return None if resume is None else Path(resume)
        newest = self.newest_checkpoint()
        if newest is None and self.history.is_file():
            raise InputError(self.path, "contains a finished training, but no last.pth to resume from",
                             "use --overwrite to replace it, or leave out --resume to keep it")
        return newest

    def copy_best_from(self, folder: Path) -> None:
        """Copy `best.pth` of the training that is resumed into this folder, unless both are the same folder."""
        if folder.resolve() != self.path.resolve():
            with atomic_path(self.best) as temporary:
                shutil.copyfile(folder / "best.pth", temporary)

    def mark_new_training(self) -> None:
        """Write a random id, by which `sync_efs.sh` distinguishes trainings in work dirs of the same name."""
        (self.path / RUN_ID).write_text(f"{uuid.uuid4().hex}\n", encoding="utf-8")

    def remove_leftovers(self) -> None:
        """Remove unfinished temporary files that a killed process left behind."""
        if comm.is_main_process():
            for name in ATOMIC_FILES:
                stem, suffix = Path(name).stem, Path(name).suffix
                for path in self.path.glob(f".{stem}.*{suffix}"):
                    path.unlink(missing_ok=True)

    @contextmanager
    def reporting_full_disk(self) -> Iterator[None]:
        """Raise an `InputError` that states how to continue if the block fails because the disk is full."""
        try:
            yield
        except OSError as err:
            where = "" if self.path == self.requested else f" --work-dir {self.path}"
            full_disk = disk_error(err, err.filename or self.path,
                                   f"continue with --resume{where}; the last complete checkpoint is intact")
            if full_disk is None:
                raise
            raise full_disk from err

    def trim_log(self, epoch: int) -> None:
        """Remove the lines of epochs after `epoch` from the log, because a resumed training repeats them."""
        if self.log.is_file():
            lines = [line for line in self.log.read_text().splitlines() if _epoch_of(line) <= epoch]
            with atomic_path(self.log) as temporary:
                temporary.write_text("".join(line + "\n" for line in lines))

    def make_logger(self) -> logging.Logger:
        """Return a logger to stdout and `train.log`; outside the main process it prints errors only."""
        logger = logging.getLogger(f"launch:{self.text_log.resolve()}")
        logger.propagate = False
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
            handler.close()
        is_main = comm.is_main_process()
        logger.setLevel(logging.INFO if is_main else logging.ERROR)
        handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
        if is_main:
            handlers.append(_StrictFileHandler(self.text_log, mode="a"))
        for handler in handlers:
            handler.setFormatter(logging.Formatter("[%(asctime)s %(levelname)s] %(message)s", "%Y-%m-%d %H:%M:%S"))
            logger.addHandler(handler)
        return logger


class _StrictFileHandler(logging.FileHandler):
    """A handler that raises errors of the file, which `logging` would print with a traceback instead."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            raise error
        super().handleError(record)


def write_predictions(predictions: Iterable[dict], path: str | Path) -> None:
    """Write predictions as JSON lines, atomically."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as f:
        f.writelines(json.dumps(p, ensure_ascii=False) + "\n" for p in predictions)


def is_same_file(one: Path | None, other: Path) -> bool:
    """Return True if both paths are the same existing file."""
    return one is not None and one.exists() and other.exists() and one.samefile(other)


def _epoch_of(line: str) -> float:
    try:
        return json.loads(line)["epoch"]
    except (ValueError, KeyError):   # A process that was killed while it wrote the line leaves an incomplete one.
        return float("inf")
