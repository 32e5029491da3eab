"""The optimizer's step: with a scaler for float16 only, and never on a loss that is no number."""

from __future__ import annotations

from pathlib import Path

import torch
from nncore.engine import HOOKS, Engine, OptimizerHook, comm

from common.errors import InputError
from common.files import write_json
from datasets.feature_dataset import labels_of
from models.distributed import world_sum


@HOOKS.register()
class StepHook(OptimizerHook):
    """nncore's OptimizerHook, whose place it takes, but for three things.

    The gradient scaler works on CPUs too, is on with float16 alone, and its state comes back with a
    resume. A loss that is not finite stops the training, in all processes. Outputs of training steps,
    which nobody reads, are not kept.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._name = "OptimizerHook"
        self.resumed: dict | None = None

    def before_launch(self, engine: Engine) -> None:
        """Makes the scaler, as it stood where a training is resumed."""
        device = next(engine.model.parameters()).device.type
        self.scaler = torch.amp.GradScaler(device, enabled=engine.get_amp_type() == "fp16")
        if self.resumed:
            self.scaler.load_state_dict(self.resumed)

    def after_train_iter(self, engine: Engine) -> None:
        """Does the step.

        Raises:
            InputError: a loss that is no number, of this process or another.
        """
        outputs = engine.buffer.pop("_out", None)
        if comm.is_distributed():
            _log_whole_batch(engine)
        if not torch.isfinite(engine.buffer.latest(engine.cur_stage.get("loss", "loss"))):
            self._stop(engine, outputs[-1].get("meta") if outputs else None)
        super().after_train_iter(engine)

    @staticmethod
    def _stop(engine: Engine, meta: object) -> None:
        labels = labels_of(meta) if meta is not None else []
        name = f"bad_batch_{comm.get_rank()}.json" if comm.is_distributed() else "bad_batch.json"
        path = Path(engine.work_dir) / name
        losses = {key: str(value.item()) for key, value in engine.losses.items()}
        write_json(path, dict(epoch=engine.epoch + 1, iteration=engine.iter + 1, losses=losses, batch=[
            {key: label[key] for key in ("qid", "vid") if key in label} for label in labels]))
        bad = ", ".join(key for key, value in engine.losses.items() if not torch.isfinite(value))
        raise InputError(f"{bad} is not a number at epoch {engine.epoch + 1}, iteration {engine.iter + 1}; the batch "
                         f"stands in {path}. Look at its features, lower the learning rate, or train without amp")


def _log_whole_batch(engine: Engine) -> None:
    """Puts the losses and the number of items of all processes' batches in the place of this one's."""
    keys = list(engine.losses)
    device = engine.losses[keys[0]].device
    items = engine.buffer.get("_avg_factor")
    *losses, number = world_sum(torch.stack(
        [*(engine.losses[key].detach().double() for key in keys), torch.tensor(items[-1], device=device)])).tolist()
    for key, total in zip(keys, losses, strict=True):
        engine.buffer.get(key)[-1] = torch.tensor(total / comm.get_world_size())
    items[-1] = number
