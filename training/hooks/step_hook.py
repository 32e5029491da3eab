"""The optimizer step, with a gradient scaler for float16 and an abort on NaN or infinite losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from nncore.engine import HOOKS, OptimizerHook, comm

from common.errors import InputError
from common.files import write_json
from datasets.batches import unpack_labels
from models.distributed import world_sum
from training.engine import TrainingEngine


@HOOKS.register()
class StepHook(OptimizerHook):
    """An optimizer step that replaces nncore's OptimizerHook and differs from it in three points.

    - The gradient scaler is active for float16 only, also works on CPUs, and is restored by a resume.
    - A NaN or infinite loss aborts the training in all processes.
    - The outputs of training steps, which are never read, are discarded.

    Attributes:
        scaler_state: state of the gradient scaler of a resumed training; None for a new training.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._name = "OptimizerHook"
        self.scaler_state: dict | None = None

    def before_launch(self, engine: TrainingEngine) -> None:
        """Create the gradient scaler, and restore its state in a resumed training."""
        device = next(engine.model.parameters()).device.type
        self.scaler = torch.amp.GradScaler(device, enabled=engine.get_amp_type() == "fp16")
        if self.scaler_state:
            self.scaler.load_state_dict(self.scaler_state)

    def after_train_iter(self, engine: TrainingEngine) -> None:
        """Run the optimizer step.

        Raises:
            InputError: a loss is NaN or infinite, in this process or another.
        """
        outputs = engine.buffer.pop("_out", None)
        if comm.is_distributed():
            _log_global_batch(engine)
        if not torch.isfinite(engine.buffer.latest(engine.cur_stage.get("loss", "loss"))):
            self._abort(engine, outputs[-1].get("meta") if outputs else None)
        super().after_train_iter(engine)

    @staticmethod
    def _abort(engine: TrainingEngine, meta: object) -> None:
        labels = unpack_labels(meta) if meta is not None else []
        name = f"bad_batch_{comm.get_rank()}.json" if comm.is_distributed() else "bad_batch.json"
        path = Path(engine.work_dir) / name
        losses = {key: str(value.item()) for key, value in engine.losses.items()}
        write_json(path, dict(epoch=engine.epoch + 1, iteration=engine.iter + 1, losses=losses, batch=[
            {key: label[key] for key in ("qid", "vid") if key in label} for label in labels]))
        bad = ", ".join(key for key, value in engine.losses.items() if not torch.isfinite(value))
        raise InputError(None, f"{bad} is NaN or infinite at epoch {engine.epoch + 1}, iteration {engine.iter + 1}",
                         f"check the features of the batch that {path} lists, lower the learning rate, or train "
                         "without amp")


def _log_global_batch(engine: TrainingEngine) -> None:
    """Replace this process's losses and number of items in the buffer by those of all processes together."""
    keys = list(engine.losses)
    device = engine.losses[keys[0]].device
    items = engine.buffer.get("_avg_factor")
    *losses, total_items = world_sum(torch.stack(
        [*(engine.losses[key].detach().double() for key in keys), torch.tensor(items[-1], device=device)])).tolist()
    for key, total in zip(keys, losses, strict=True):
        engine.buffer.get(key)[-1] = torch.tensor(total / comm.get_world_size())
    items[-1] = total_items
