"""What a checkpoint holds beyond the weights, so that an interrupted training goes on as if it never was."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
from nncore import CfgNode
from nncore.engine import Engine, comm
from nncore.optim import build_optimizer

from common.errors import InputError
from common.files import atomic_path
from models.checkpoint import load_weights, read_checkpoint

FREE = ("epochs", "validation")          # of a stage: what a resumed run may change
FREE_LOADER = ("num_workers", "pin_memory", "prefetch_factor")   # shuffled pieces of videos differ with num_workers


def keep_last(engine: Engine, epoch: int) -> None:
    """Writes `last.pth`, and `epoch_N.pth` of every so many epochs, as the engine's `keep` says."""
    if engine.keep["last"]:
        save(engine, "last.pth", epoch=epoch, iteration=engine.iter, resumable=True)
    if engine.keep["every"] and epoch % engine.keep["every"] == 0:
        save(engine, f"epoch_{epoch}.pth", epoch=epoch, iteration=engine.iter, resumable=True)


def save(engine: Engine, name: str, epoch: int, iteration: int, resumable: bool) -> None:
    """Writes a checkpoint into the work dir, whole or not at all; all processes call it, the main one writes.

    nncore's format: `state_dict`, `meta` with `epoch`, `iter`, `stages`; and what else a resume needs:
    `optimizer`, `scaler`, `random` states of all processes, `meta.history` and `meta.config`.

    Args:
        engine: what trains.
        name: of the file.
        epoch: epochs done, counted from one.
        iteration: iterations done.
        resumable: whether more than weights and meta is kept.
    """
    states = comm.gather(random_state()) if resumable else None
    if not comm.is_main_process():
        return
    meta = dict(epoch=epoch, iter=iteration, stages=plain(engine.stages), history=getattr(engine, "history", []),
                config=engine.identity)
    model = getattr(engine.model, "module", engine.model)
    checkpoint = dict(meta=meta, state_dict={k: v.cpu() for k, v in model.state_dict().items()})
    if resumable:
        checkpoint.update(optimizer=engine.optimizer.state_dict(), random=states,
                          scaler=engine.hooks["OptimizerHook"].scaler.state_dict())
    with atomic_path(Path(engine.work_dir) / name) as temporary:
        torch.save(checkpoint, temporary)


def random_state() -> dict:
    """The states of all generators in this process, as plain values and tensors."""
    kind, keys, place, has_gauss, gauss = np.random.get_state()
    return dict(torch=torch.get_rng_state(), cuda=torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
                python=list(random.getstate()[1]), numpy=[kind, keys.tolist(), place, has_gauss, gauss])


def set_random_state(state: dict) -> None:
    """Puts all generators back where `random_state` found them."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    random.setstate((3, tuple(state["python"]), None))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))


def identity(cfg: dict, seed: int | None) -> dict:
    """The part of a config that a resumed run must share: all that shapes weights and choice but how long it trains.

    Args:
        seed: the one that was asked for; None where each run draws another.
    """
    cfg = json.loads(json.dumps(plain(cfg), default=str))
    stages = cfg.get("stages", [])
    stages = stages if isinstance(stages, list) else [stages]
    train = dict(cfg["data"].get("train", {}))
    train["loader"] = {k: v for k, v in train.get("loader", {}).items() if k not in FREE_LOADER}
    val = {k: v for k, v in cfg["data"].get("val", {}).items() if k != "loader"}   # batches change no prediction
    return dict(model=cfg["model"], train=train, val=val, amp=cfg.get("amp"), seed=seed, hooks=cfg.get("hooks"),
                best_keys=cfg.get("best_keys"),
                stages=[{k: v for k, v in stage.items() if k not in FREE} for stage in stages])


def plain(value: object) -> object:
    """nncore's config nodes as dicts and lists, at any depth."""
    if isinstance(value, (CfgNode, dict)):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def read_resumable(path: Path, model: nn.Module, identity: dict) -> dict:
    """A checkpoint that a training with this model and config can go on from; its weights are then in the model.

    Raises:
        InputError: the file cannot be resumed from, or comes from a training with another config.
    """
    checkpoint = read_checkpoint(path)
    meta = checkpoint.get("meta") or {}
    missing = [key for key in ("optimizer", "random", "scaler") if key not in checkpoint]
    if missing or "epoch" not in meta:
        raise InputError(f"{path}: no {', no '.join(missing or ['epoch'])}, so nothing can be resumed from it; "
                         "name a last.pth, or begin anew from its weights with --checkpoint")
    load_weights(model, checkpoint["state_dict"], path)   # names every key that does not fit
    before = meta.get("config", {})
    changed = sorted(differences(before, {key: value for key, value in identity.items() if key in before}))
    if changed:
        raise InputError(f"{path}: comes from a training with another config, different in {', '.join(changed[:10])}; "
                         "name that config, or begin anew from its weights with --checkpoint")
    world = comm.get_world_size()
    if len(checkpoint["random"]) != world:
        raise InputError(f"{path}: was trained by {len(checkpoint['random'])} processes, not {world}; start as many, "
                         "or begin anew from its weights with --checkpoint")
    return checkpoint


def resume(engine: Engine, path: Path, checkpoint: dict) -> None:
    """Puts an engine where the training of a `read_resumable` checkpoint stood, at the end of an epoch."""
    meta = checkpoint["meta"]
    engine._epoch, engine._iter = meta["epoch"], meta["iter"]
    engine._start_iter, engine.history = engine._iter, list(meta.get("history", []))
    ends = np.cumsum([stage["epochs"] for stage in engine.stages])
    engine._stage = int((ends <= engine._epoch).sum())
    if engine._stage < len(engine.stages):
        engine.optimizer = build_optimizer(engine.cur_stage["optimizer"],
                                           params=[p for p in engine.model.parameters() if p.requires_grad])
        if engine.epoch_in_stage:   # else the stage begins, with an optimizer of its own
            engine.optimizer.load_state_dict(checkpoint["optimizer"])
    engine.hooks["OptimizerHook"].resumed = checkpoint["scaler"]
    engine.logger.info(f"Resumed from {path} after epoch {engine._epoch}")
    set_random_state(checkpoint["random"][comm.get_rank()])


def differences(old: object, new: object, where: str = "") -> set[str]:
    """Where two nests of dicts and lists differ, as dotted paths."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {d for key in old.keys() | new.keys() for d in (
            differences(old[key], new[key], f"{where}.{key}".strip("."))
            if key in old and key in new else {f"{where}.{key}".strip(".")})}
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return {d for i, (a, b) in enumerate(zip(old, new, strict=True)) for d in differences(a, b, f"{where}[{i}]")}
    return set() if old == new else {where}
