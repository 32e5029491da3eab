"""Checkpoints that hold everything a resumed training needs to end with exactly the same weights."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn as nn
from nncore import CfgNode
from nncore.engine import comm

from common.errors import InputError
from common.files import atomic_path
from models.checkpoint import load_weights, read_checkpoint

from .engine import TrainingEngine

if TYPE_CHECKING:
    from typing_extensions import Buffer

CHANGEABLE_STAGE_KEYS = ("epochs", "validation")   # A resumed run may change these keys of a stage.
# A resumed run may change these options of a loader. With `reorder`, num_workers decides which random numbers a worker
# draws, so a change gives other, equally valid weights.
CHANGEABLE_LOADER_KEYS = ("num_workers", "pin_memory", "prefetch_factor")
MAX_DIFFERENCES, MAX_VALUE_CHARACTERS = 10, 40   # Limits of an error message that lists differences of configs.
UNSET = object()                                 # The value of a missing key.


def save_epoch_checkpoints(engine: TrainingEngine, epoch: int) -> None:
    """Write `last.pth` and `epoch_N.pth` according to the engine's checkpoint policy.

    Args:
        engine: the engine that trains.
        epoch: number of finished epochs.
    """
    if engine.keep_last:
        save_checkpoint(engine, "last.pth", epoch=epoch, iteration=engine.iter, resumable=True)
    if engine.keep_every and epoch % engine.keep_every == 0:
        save_checkpoint(engine, f"epoch_{epoch}.pth", epoch=epoch, iteration=engine.iter, resumable=True)


def save_checkpoint(engine: TrainingEngine, name: str, epoch: int, iteration: int, resumable: bool) -> None:
    """Write a checkpoint into the work dir atomically. All processes must call this; the main one writes.

    The format is nncore's: `state_dict`, and `meta` with `epoch`, `iter` and `stages`. `meta` also has `history` and
    `config`. A resumable checkpoint adds `optimizer`, `scaler` and the `random` states of all processes.

    Args:
        engine: the engine that trains.
        name: file name.
        epoch: number of finished epochs.
        iteration: number of finished iterations.
        resumable: save the state of the optimizer, the gradient scaler and the random generators too.
    """
    states = comm.gather(get_random_state()) if resumable else None
    if not comm.is_main_process():
        return
    meta = dict(epoch=epoch, iter=iteration, stages=to_builtins(engine.stages), history=engine.history,
                config=engine.resume_config)
    checkpoint: dict[str, object] = dict(
        meta=meta, state_dict={k: v.cpu() for k, v in engine.bare_model.state_dict().items()})
    if resumable:
        checkpoint.update(optimizer=engine.optimizer.state_dict(), random=states,
                          scaler=engine.hooks["OptimizerHook"].scaler.state_dict())
    write_checkpoint(Path(engine.work_dir) / name, checkpoint)


def write_checkpoint(path: Path, checkpoint: dict) -> None:
    """Write a checkpoint atomically.

    Raises:
        OSError: the disk is full, for example. `torch.save` itself raises a RuntimeError without the reason.
    """
    with atomic_path(path) as temporary, ErrorRecordingFile(temporary, "w") as file:
        try:
            torch.save(checkpoint, file)
        except RuntimeError as err:
            raise file.error or err from None


class ErrorRecordingFile(io.FileIO):
    """A file that records the first error of a write.

    Attributes:
        error: the error, or None.
    """

    error: OSError | None = None

    def write(self, data: Buffer) -> int:
        """Write all of the data."""
        remaining = memoryview(data).cast("B")
        try:
            while remaining:   # A system call may write a part only.
                remaining = remaining[super().write(remaining) or 0:]
        except OSError as err:
            self.error = self.error or err
            raise
        return memoryview(data).nbytes


def get_random_state() -> dict:
    """Return the states of all random generators of this process as built-in types and tensors."""
    numpy_state = np.random.get_state()
    assert isinstance(numpy_state, tuple)   # It is a dict only if `legacy=False` is passed.
    kind, keys, position, has_gauss, gauss = numpy_state
    return dict(torch=torch.get_rng_state(), cuda=torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
                python=list(random.getstate()[1]), numpy=[kind, keys.tolist(), position, has_gauss, gauss])


def set_random_state(state: dict) -> None:
    """Restore the states of all random generators that `get_random_state` returned."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    random.setstate((3, tuple(state["python"]), None))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))


def resume_config(cfg: dict, seed: int | None) -> dict:
    """Return the part of a config that a resumed run must share.

    It holds everything that affects the weights and the selection of the best epoch, except the length of the
    training.

    Args:
        cfg: a config that trains.
        seed: the requested seed; None if every run draws another one.
    """
    cfg = json.loads(json.dumps(to_builtins(cfg), default=str))
    stages = cfg.get("stages", [])
    stages = stages if isinstance(stages, list) else [stages]
    train = dict(cfg["data"].get("train", {}))
    train["loader"] = {k: v for k, v in train.get("loader", {}).items() if k not in CHANGEABLE_LOADER_KEYS}
    val = {k: v for k, v in cfg["data"].get("val", {}).items() if k != "loader"}   # Batching changes no prediction.
    return dict(model=cfg["model"], train=train, val=val, amp=cfg.get("amp"), seed=seed, hooks=cfg.get("hooks"),
                best_keys=cfg.get("best_keys"),
                stages=[{k: v for k, v in stage.items() if k not in CHANGEABLE_STAGE_KEYS} for stage in stages])


def to_builtins(value: object) -> object:
    """Convert nncore's config nodes to dicts and lists, at any depth."""
    if isinstance(value, (CfgNode, dict)):
        return {k: to_builtins(v) for k, v in value.items()}
    return [to_builtins(v) for v in value] if isinstance(value, (list, tuple)) else value


def read_resumable_checkpoint(path: Path, model: nn.Module, config: dict, num_epochs: int,
                              world_size: int | None) -> dict:
    """Read a checkpoint to resume from, and load its weights into the model.

    Args:
        path: a `last.pth` or `epoch_N.pth`.
        model: the model that the config builds.
        config: result of `resume_config` for the config.
        num_epochs: number of epochs in the config.
        world_size: number of processes; None if any number is accepted.

    Raises:
        InputError: the file cannot be resumed from; its training had another config or number of processes, or is
            longer than that of the config; or the best weights of its training are missing.
    """
    checkpoint = read_checkpoint(path)
    meta = checkpoint.get("meta") or {}
    missing = [key for key in ("optimizer", "random", "scaler") if key not in checkpoint]
    if missing or "epoch" not in meta:
        raise InputError(path, f"cannot be resumed, because it lacks {', '.join(missing or ['epoch'])}",
                         "specify a last.pth, or start a new training from its weights with --checkpoint")
    _check_config(path, meta, config)
    if meta["epoch"] > num_epochs:
        raise InputError(path, f"was trained for {meta['epoch']} epochs, but the config has {num_epochs}",
                         f"set at least {meta['epoch']} epochs, or leave out --resume to start a new training")
    if world_size not in (None, len(checkpoint["random"])):
        raise InputError(path, f"was trained by {len(checkpoint['random'])} processes, not {world_size}",
                         "start the same number, or start a new training from its weights with --checkpoint")
    if meta.get("history"):
        _check_best_checkpoint(path, meta["epoch"])
    load_weights(model, checkpoint["state_dict"], path)   # Its error names every key that does not fit.
    return checkpoint


def check_config_unchanged(path: Path, config: dict) -> None:
    """Check that a checkpoint is of a training with the same config.

    Args:
        path: a checkpoint of `save_checkpoint`.
        config: result of `resume_config` for the config.

    Raises:
        InputError: it had another config; the error names the differences.
    """
    _check_config(path, read_checkpoint(path).get("meta") or {}, config)


def _check_config(path: Path, meta: dict, config: dict) -> None:
    saved = meta.get("config", {})
    differences = config_differences(saved, {key: value for key, value in config.items() if key in saved})
    if differences:
        listed = [f"{location} ({_shortened(old)}, now {_shortened(new)})"
                  for location, (old, new) in sorted(differences.items())]
        more = f" and {len(listed) - MAX_DIFFERENCES} more" if len(listed) > MAX_DIFFERENCES else ""
        raise InputError(path, f"was trained with another config, which differs in "
                         f"{', '.join(listed[:MAX_DIFFERENCES])}{more}",
                         "specify that config, or leave out --resume to start a new training in another work dir")


def _shortened(value: object) -> str:
    text = "unset" if value is UNSET else repr(value)
    return text if len(text) <= MAX_VALUE_CHARACTERS else text[:MAX_VALUE_CHARACTERS - 1] + "…"


def _check_best_checkpoint(path: Path, epoch: int) -> None:
    """Check that the best weights of the training, up to the epoch of a checkpoint, are available beside it."""
    best, last = path.with_name("best.pth"), path.with_name("last.pth")
    if not best.is_file():
        raise InputError(best, "missing, but a resumed training needs the best weights so far",
                         "restore the file, or start a new training from the newest weights with --checkpoint")
    if path.name != last.name and last.is_file():   # An earlier epoch than the last one is resumed from.
        best_epoch = (read_checkpoint(best).get("meta") or {}).get("epoch", 0)
        if best_epoch > epoch:
            raise InputError(path, f"cannot be resumed, because its training continued, and best.pth is now of epoch "
                             f"{best_epoch}", "resume from last.pth, or start a new training from its weights with "
                             "--checkpoint")


def resume_training(engine: TrainingEngine, path: Path, checkpoint: dict) -> None:
    """Restore engine and random generators from a checkpoint that `read_resumable_checkpoint` returned.

    Args:
        engine: an engine that holds the checkpoint's weights.
        path: the checkpoint's file, for the log.
        checkpoint: content of the file.
    """
    engine.restore(checkpoint)
    engine.logger.info(f"Resumed from {path} after epoch {engine.epoch}")
    set_random_state(checkpoint["random"][comm.get_rank()])


def config_differences(old: object, new: object, location: str = "") -> dict[str, tuple[object, object]]:
    """Compare two nested structures of dicts and lists.

    Returns:
        The old and the new value by dotted location, for all locations at which they differ; UNSET for a missing key.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return {name: values for key in old.keys() | new.keys() for name, values in config_differences(
            old.get(key, UNSET), new.get(key, UNSET), f"{location}.{key}".strip(".")).items()}
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return {name: values for i, (a, b) in enumerate(zip(old, new, strict=True))
                for name, values in config_differences(a, b, f"{location}[{i}]").items()}
    return {} if old == new else {location: (old, new)}
