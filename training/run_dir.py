"""The work dir of a training: its checkpoints, log files and results."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from nncore.engine import comm

from common.errors import InputError
from common.files import atomic_path, make_folder

from .plots import LOG

AUTO = "auto"   # Resume from the work dir's last.pth if it exists.
# Files that are written under a temporary name next to the final one, which a killed process leaves behind.
ATOMIC_FILES = ("last.pth", "best.pth", "epoch_*.pth", LOG, "history.json", "metrics.json", "curves.png",
                "bad_batch*.json")


class RunDir:
    """The folder that a training or evaluation writes to.

    Args:
        path: the folder; it need not exist.

    Attributes:
        last: the newest checkpoint, with everything that a resume needs.
        best: the weights of the best epoch.
        log: nncore's log of losses and metrics, one JSON object per line.
        text_log: the text that the training prints.
        history: metrics of every validated epoch.
        metrics: metrics of the final evaluation.
        curves: plot of losses and metrics.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.last, self.best = self.path / "last.pth", self.path / "best.pth"
        self.log, self.text_log = self.path / LOG, self.path / "train.log"
        self.history, self.metrics = self.path / "history.json", self.path / "metrics.json"
        self.curves = self.path / "curves.png"

    @classmethod
    def of_config(cls, config: str, work_dir: str | None = None) -> RunDir:
        """Return the given folder, or by default `work_dirs/<name of the config>`."""
        return cls(work_dir or Path("work_dirs") / Path(config).stem)

    def create(self) -> None:
        """Create the folder and check that it is writable.

        Raises:
            InputError: it cannot be created or written.
        """
        make_folder(self.path)

    def checkpoint_to_resume(self, resume: str | None) -> Path | None:
        """Return the checkpoint to resume from, or None to start a new training.

        Args:
            resume: a file; AUTO for `last.pth` of this folder if it exists; None for a new training.
        """
        if resume == AUTO:
            return self.last if self.last.is_file() else None
        return None if resume is None else Path(resume)

    def copy_best_from(self, folder: Path) -> None:
        """Copy `best.pth` of the training that is resumed into this folder, unless both are the same folder.

        Raises:
            InputError: the file is missing.
        """
        folder = folder.resolve()
        if folder == self.path.resolve():
            return
        best = folder / "best.pth"
        if not best.is_file():
            raise InputError(best, "missing, but a training that is resumed in another work dir needs the best "
                             "weights so far", "resume in the original work dir, or restore the file")
        with atomic_path(self.best) as temporary:
            shutil.copyfile(best, temporary)

    def remove_leftovers(self) -> None:
        """Remove unfinished temporary files that a killed process left behind."""
        if comm.is_main_process():
            for name in ATOMIC_FILES:
                stem, suffix = Path(name).stem, Path(name).suffix
                for path in self.path.glob(f".{stem}.*{suffix}"):
                    path.unlink(missing_ok=True)

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
            handlers.append(logging.FileHandler(self.text_log, mode="a"))
        for handler in handlers:
            handler.setFormatter(logging.Formatter("[%(asctime)s %(levelname)s] %(message)s", "%Y-%m-%d %H:%M:%S"))
            logger.addHandler(handler)
        return logger


def write_predictions(predictions: Iterable[dict], path: str | Path) -> None:
    """Write predictions as JSON lines, atomically."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as f:
        f.writelines(json.dumps(p, ensure_ascii=False) + "\n" for p in predictions)


def _epoch_of(line: str) -> float:
    try:
        return json.loads(line)["epoch"]
    except (ValueError, KeyError):   # A process that was killed while it wrote the line leaves an incomplete one.
        return float("inf")
