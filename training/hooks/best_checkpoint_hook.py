"""Evaluates after every validation and keeps the best epoch's weights."""

from __future__ import annotations

import torch
from nncore.engine import HOOKS, Engine, Hook, comm

from models.distributed import world_sum
from training.checkpoints import keep_last, save
from training.evaluation import evaluate_outputs


class StopTraining(Exception):
    """No validation has been better for long enough."""


@HOOKS.register()
class BestCheckpointHook(Hook):
    """Writes `best.pth` whenever the watched metric rises; the metrics of all epochs are `engine.history`.

    It takes the place of nncore's EvalHook, and writes the metrics and losses to the same buffer.

    Args:
        keys: metrics in order of preference; the first one present is watched, higher is better.
        patience: stop when so many validations in a row were not better than the best; 0 for never.

    Raises:
        StopTraining: in all processes, after everything was saved.
    """

    def __init__(self, keys: list[str], patience: int = 0):
        super().__init__(name="EvalHook")
        self.keys, self.patience = list(keys), patience

    def after_val_epoch(self, engine: Engine) -> None:
        """Puts losses and metrics into buffer and history, and writes the checkpoints.

        Raises:
            StopTraining: after `patience` validations that were not better.
        """
        losses = {k: _mean_over_items(engine, k) for k in list(engine.buffer.keys()) if "loss" in k}
        for key, value in losses.items():   # what is logged is that of all processes
            engine.buffer.get(key)[:] = [torch.tensor(value)] * engine.buffer.count(key)
        metrics = comm.broadcast(evaluate_outputs(engine))
        for key, value in metrics.items():
            engine.buffer.update(key, value)
        engine.history.append(dict(epoch=engine.epoch, **losses, **metrics))
        key = watched(metrics, self.keys)
        if engine.history[-1] is best(engine.history, key):
            engine.logger.info(f"Best so far: {key} {metrics[key]:.2f} at epoch {engine.epoch}")
            save(engine, "best.pth", epoch=engine.epoch, iteration=engine.iter, resumable=False)
        keep_last(engine, engine.epoch)
        if self.stops(engine.history):
            raise StopTraining(f"{key} was not better for {self.patience} validations, so training stops at epoch "
                               f"{engine.epoch}")

    def stops(self, history: list[dict]) -> bool:
        """Whether the last `patience` validations were not better than the best before."""
        if not self.patience or not history:
            return False
        top = history.index(best(history, watched(history[-1], self.keys)))
        return len(history) - 1 - top >= self.patience


def _mean_over_items(engine: Engine, key: str) -> float:
    """A loss's mean over all processes' items since the buffer was cleared; all have as many batches."""
    losses, items = (torch.tensor(engine.buffer.get(k), dtype=torch.float64) for k in (key, "_avg_factor"))
    device = next(engine.model.parameters()).device
    losses, items = world_sum(torch.stack([losses, items[-len(losses):]]).to(device))
    return float((losses * items).sum() / items.sum()) / comm.get_world_size()


def watched(metrics: dict, keys: list[str]) -> str:
    """The first of the keys that the metrics have."""
    for key in keys:
        if key in metrics:
            return key
    raise KeyError(f"none of best_keys {keys} is among the metrics {sorted(metrics)}")


def best(history: list[dict], key: str) -> dict:
    """The first of the epochs with the highest value."""
    return max(history, key=lambda entry: entry[key])
