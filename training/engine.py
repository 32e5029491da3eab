"""The training engine: nncore's Engine with the state that hooks and checkpoints share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch.nn as nn
from nncore.engine import Engine
from nncore.optim import build_optimizer
from torch.utils.data import DataLoader


class TrainingEngine(Engine):
    """An nncore Engine with a validation history, a checkpoint policy and an exact resume.

    Args:
        model: the model, in nncore's data-parallel wrapper.
        data_loaders: one loader per split.
        best_keys: names of validation metrics in order of preference; the first one present selects the best epoch.
        keep_last: write `last.pth` after every epoch.
        keep_every: interval in epochs of the checkpoints `epoch_N.pth`; 0 keeps none of them.
        resume_config: the part of the config that a resumed run must share, see `checkpoints.resume_config`.
        **options: arguments of nncore's Engine.

    Attributes:
        history: one dict per validated epoch with `epoch`, losses and metrics.
    """

    def __init__(self, model: nn.Module, data_loaders: Mapping[str, DataLoader], *, best_keys: Sequence[str] = (),
                 keep_last: bool = True, keep_every: int = 0, resume_config: dict | None = None, **options):
        super().__init__(model, dict(data_loaders), **options)
        self.best_keys, self.resume_config = list(best_keys), resume_config or {}
        self.keep_last, self.keep_every = keep_last, keep_every
        self.history: list[dict] = []

    @property
    def bare_model(self) -> nn.Module:
        """The model without nncore's data-parallel wrapper."""
        return getattr(self.model, "module", self.model)

    def restore(self, checkpoint: dict) -> None:
        """Restore epoch, history, optimizer and gradient scaler from a checkpoint of the end of an epoch.

        Args:
            checkpoint: content of a file that `checkpoints.read_resumable_checkpoint` accepted.
        """
        meta = checkpoint["meta"]
        self._epoch, self._iter = meta["epoch"], meta["iter"]
        self._start_iter, self.history = self._iter, list(meta.get("history", []))
        stage_ends = np.cumsum([stage["epochs"] for stage in self.stages])
        self._stage = int((stage_ends <= self._epoch).sum())
        if self._stage < len(self.stages):
            self.optimizer = build_optimizer(self.cur_stage["optimizer"],
                                             params=[p for p in self.model.parameters() if p.requires_grad])
            if self.epoch_in_stage:   # A stage that has not begun starts with a new optimizer state.
                self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.hooks["OptimizerHook"].scaler_state = checkpoint["scaler"]
