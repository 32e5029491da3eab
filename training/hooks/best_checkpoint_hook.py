"""The hook that evaluates every validation and keeps the weights of the best epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from nncore.engine import HOOKS, Hook, comm

from models.distributed import world_sum
from training.checkpoints import save_checkpoint, save_epoch_checkpoints
from training.engine import TrainingEngine
from training.evaluation import evaluate_outputs


class StopTraining(Exception):
    """Raised when the monitored metric has not improved for `patience` validations."""


@HOOKS.register()
class BestCheckpointHook(Hook):
    """A hook that writes `best.pth` whenever the monitored metric rises, and appends to `engine.history`.

    It replaces nncore's EvalHook, and writes metrics and losses to the same buffer.

    Args:
        keys: names of metrics in order of preference; the first one present is monitored, and higher is better.
        patience: number of validations without improvement after which the training stops; 0 never stops it.

    Raises:
        StopTraining: in all processes, after everything was saved.
    """

    def __init__(self, keys: Sequence[str], patience: int = 0):
        super().__init__(name="EvalHook")
        self.keys, self.patience = list(keys), patience

    def after_val_epoch(self, engine: TrainingEngine) -> None:
        """Add losses and metrics to buffer and history, and write the checkpoints.

        Raises:
            StopTraining: the last `patience` validations were not better than the best before.
        """
        losses = {k: _mean_over_items(engine, k) for k in list(engine.buffer.keys()) if "loss" in k}
        for key, value in losses.items():   # The log shows the mean over all processes.
            engine.buffer.get(key)[:] = [torch.tensor(value)] * engine.buffer.count(key)
        metrics = comm.broadcast(evaluate_outputs(engine))
        for key, value in metrics.items():
            engine.buffer.update(key, value)
        engine.history.append(dict(epoch=engine.epoch, **losses, **metrics))
        key = monitored_metric(metrics, self.keys)
        if engine.history[-1] is best_entry(engine.history, key):
            engine.logger.info(f"Best so far: {key} {metrics[key]:.2f} at epoch {engine.epoch}")
            save_checkpoint(engine, "best.pth", epoch=engine.epoch, iteration=engine.iter, resumable=False)
        save_epoch_checkpoints(engine, engine.epoch)
        if self.should_stop(engine.history):
            raise StopTraining(f"{key} has not improved for {self.patience} validations; training stops at epoch "
                               f"{engine.epoch}")

    def should_stop(self, history: Sequence[dict]) -> bool:
        """Return True if the last `patience` validations were not better than the best one before."""
        if not self.patience or not history:
            return False
        best = history.index(best_entry(history, monitored_metric(history[-1], self.keys)))
        return len(history) - 1 - best >= self.patience


def _mean_over_items(engine: TrainingEngine, key: str) -> float:
    """Return a loss's mean over the items of all processes since the buffer was cleared.

    All processes have the same number of batches.
    """
    losses, items = (torch.tensor(engine.buffer.get(k), dtype=torch.float64) for k in (key, "_avg_factor"))
    device = next(engine.model.parameters()).device
    losses, items = world_sum(torch.stack([losses, items[-len(losses):]]).to(device))
    return float((losses * items).sum() / items.sum()) / comm.get_world_size()


def monitored_metric(metrics: Mapping[str, float], keys: Sequence[str]) -> str:
    """Return the first of the keys that the metrics have.

    Raises:
        KeyError: the metrics have none of the keys.
    """
    for key in keys:
        if key in metrics:
            return key
    raise KeyError(f"none of best_keys {keys} is among the metrics {sorted(metrics)}")


def best_entry(history: Sequence[dict], key: str) -> dict:
    """Return the history entry with the highest value of a metric; of equal ones, the first."""
    return max(history, key=lambda entry: entry[key])
