"""Keeps the newest checkpoint, to resume from."""

from __future__ import annotations

from pathlib import Path

import torch
from nncore import CfgNode
from nncore.engine import HOOKS, Engine, Hook, is_main_process

from common.files import atomic_path


@HOOKS.register()
class LastCheckpointHook(Hook):
    """Writes `last.pth` after every epoch, in place of nncore's one file per epoch.

    It takes the place of nncore's CheckpointHook; the file keeps nncore's format (`state_dict`,
    `optimizer`, `meta` with `epoch`, `iter`, `stages`), and `meta` the validation history so far.
    """

    def __init__(self):
        super().__init__(name="CheckpointHook")

    def after_train_epoch(self, engine: Engine) -> None:
        if is_main_process():
            save(engine, "last.pth", epoch=engine.epoch + 1, iteration=engine.iter, optimizer=True)


def save(engine: Engine, name: str, epoch: int, iteration: int, optimizer: bool) -> None:
    """Writes a checkpoint into the work dir, whole or not at all."""
    stages = [stage.to_dict() if isinstance(stage, CfgNode) else stage for stage in engine.stages]
    meta = dict(epoch=epoch, iter=iteration, stages=stages, history=getattr(engine, "history", []))
    model = getattr(engine.model, "module", engine.model)
    checkpoint = dict(meta=meta, state_dict={k: v.cpu() for k, v in model.state_dict().items()})
    if optimizer:
        checkpoint["optimizer"] = engine.optimizer.state_dict()
    with atomic_path(Path(engine.work_dir) / name) as temporary:
        torch.save(checkpoint, temporary)
