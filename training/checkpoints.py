"""Checkpoints that hold everything a resumed training needs to end with exactly the same weights."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
from nncore import CfgNode
from nncore.engine import comm

from common.errors import InputError
from common.files import atomic_path
from models.checkpoint import load_weights, read_checkpoint

from .engine import TrainingEngine

CHANGEABLE_STAGE_KEYS = ("epochs", "validation")   # A resumed run may change these keys of a stage.
# A resumed run may change these options of a loader. With `reorder`, num_workers decides which random numbers a worker
# draws, so a change gives other, equally valid weights.
CHANGEABLE_LOADER_KEYS = ("num_workers", "pin_memory", "prefetch_factor")


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
    with atomic_path(Path(engine.work_dir) / name) as temporary:
        torch.save(checkpoint, temporary)


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


def read_resumable_checkpoint(path: Path, model: nn.Module, config: dict) -> dict:
    """Read a checkpoint to resume from, and load its weights into the model.

    Args:
        path: a `last.pth` or `epoch_N.pth`.
        model: the model that the config builds.
        config: result of `resume_config` for the config.

    Raises:
        InputError: the file cannot be resumed from, or its training had another config or number of processes.
    """
    checkpoint = read_checkpoint(path)
    meta = checkpoint.get("meta") or {}
    missing = [key for key in ("optimizer", "random", "scaler") if key not in checkpoint]
    if missing or "epoch" not in meta:
        raise InputError(path, f"cannot be resumed, because it lacks {', '.join(missing or ['epoch'])}",
                         "specify a last.pth, or start a new training from its weights with --checkpoint")
    load_weights(model, checkpoint["state_dict"], path)   # Its error names every key that does not fit.
    saved = meta.get("config", {})
    changed = sorted(config_differences(saved, {key: value for key, value in config.items() if key in saved}))
    if changed:
        raise InputError(path, f"was trained with another config, which differs in {', '.join(changed[:10])}",
                         "specify that config, or start a new training from its weights with --checkpoint")
    world_size = comm.get_world_size()
    if len(checkpoint["random"]) != world_size:
        raise InputError(path, f"was trained by {len(checkpoint['random'])} processes, not {world_size}",
                         "start the same number, or start a new training from its weights with --checkpoint")
    return checkpoint


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


def config_differences(old: object, new: object, location: str = "") -> set[str]:
    """Return the dotted locations at which two nested structures of dicts and lists differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {d for key in old.keys() | new.keys() for d in (
            config_differences(old[key], new[key], f"{location}.{key}".strip("."))
            if key in old and key in new else {f"{location}.{key}".strip(".")})}
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return {d for i, (a, b) in enumerate(zip(old, new, strict=True))
                for d in config_differences(a, b, f"{location}[{i}]")}
    return set() if old == new else {location}
