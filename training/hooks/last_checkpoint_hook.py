"""Keeps the newest checkpoint, to resume from."""

from __future__ import annotations

from nncore.engine import HOOKS, Engine, Hook

from training.checkpoints import keep_last
from training.loaders import set_epoch


@HOOKS.register()
class LastCheckpointHook(Hook):
    """Writes `last.pth` after every epoch, in place of nncore's one file per epoch (CheckpointHook), as `keep` says.

    An epoch that is validated is saved after its validation, with the metrics in the history: what is
    killed in between does the epoch again.
    """

    def __init__(self):
        super().__init__(name="CheckpointHook")

    def before_train_epoch(self, engine: Engine) -> None:
        """Tells the loader the epoch, for its order and its workers' seeds; nncore 0.4.7 calls no `before_epoch`."""
        set_epoch(engine.data_loader, engine.epoch)

    def after_train_epoch(self, engine: Engine) -> None:
        """Writes the checkpoint, unless the epoch is validated first."""
        if not validates(engine):
            keep_last(engine, engine.epoch + 1)


def validates(engine: Engine) -> bool:
    """Whether a validation follows the epoch that ends now, as nncore's Engine decides it."""
    cfg = engine.cur_stage.get("validation") or {}
    done = engine.epoch_in_stage + 1
    interval = cfg.get("interval", 0)
    return "val" in engine.data_loaders and interval > 0 and done > cfg.get("offset", 0) and done % interval == 0
