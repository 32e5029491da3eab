"""The hook that keeps the newest checkpoint, from which a training resumes."""

from __future__ import annotations

from nncore.engine import HOOKS, Hook

from training.checkpoints import save_epoch_checkpoints
from training.engine import TrainingEngine
from training.loaders import set_epoch


@HOOKS.register()
class LastCheckpointHook(Hook):
    """A hook that writes the checkpoints of the engine's policy after every epoch; it replaces CheckpointHook.

    An epoch with a validation is saved after the validation, so that the checkpoint's history has its metrics. A
    process that is killed in between repeats the epoch when it resumes.
    """

    def __init__(self):
        super().__init__(name="CheckpointHook")

    def before_train_epoch(self, engine: TrainingEngine) -> None:
        """Set the loader's epoch, which decides its order and its workers' seeds.

        nncore 0.4.7 never calls `before_epoch`.
        """
        set_epoch(engine.data_loader, engine.epoch)

    def after_train_epoch(self, engine: TrainingEngine) -> None:
        """Write the checkpoints, unless a validation of this epoch follows."""
        if not will_validate(engine):
            save_epoch_checkpoints(engine, engine.epoch + 1)


def will_validate(engine: TrainingEngine) -> bool:
    """Return True if nncore's Engine runs a validation after the epoch that ends now."""
    cfg = engine.cur_stage.get("validation") or {}
    finished = engine.epoch_in_stage + 1
    interval = cfg.get("interval", 0)
    return ("val" in engine.data_loaders and interval > 0 and finished > cfg.get("offset", 0)
            and finished % interval == 0)
