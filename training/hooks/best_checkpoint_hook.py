"""Evaluates after every validation and keeps the best epoch's weights."""

from __future__ import annotations

from nncore.engine import HOOKS, Engine, Hook, is_main_process

from .last_checkpoint_hook import save


@HOOKS.register()
class BestCheckpointHook(Hook):
    """Writes `best.pth` whenever the watched metric rises; the metrics of all epochs are `engine.history`.

    It takes the place of nncore's EvalHook, and writes the metrics and losses to the same buffer.

    Args:
        keys: metrics in order of preference; the first one present is watched, higher is better.
    """

    def __init__(self, keys: list[str]):
        super().__init__(name="EvalHook")
        self.keys = list(keys)

    def after_val_epoch(self, engine: Engine) -> None:
        losses = {k: engine.buffer.avg(k) for k in list(engine.buffer.keys()) if "loss" in k}
        metrics = engine.evaluate()   # an empty dict but on the main process
        for key, value in metrics.items():
            engine.buffer.update(key, value)
        if not is_main_process():
            return
        engine.history.append(dict(epoch=engine.epoch, **losses, **metrics))
        key = watched(metrics, self.keys)
        if engine.history[-1] is best(engine.history, key):
            engine.logger.info(f"Best so far: {key} {metrics[key]:.2f} at epoch {engine.epoch}")
            save(engine, "best.pth", epoch=engine.epoch, iteration=engine.iter, optimizer=False)
        save(engine, "last.pth", epoch=engine.epoch, iteration=engine.iter, optimizer=True)   # with this history


def watched(metrics: dict, keys: list[str]) -> str:
    """The first of the keys that the metrics have."""
    for key in keys:
        if key in metrics:
            return key
    raise KeyError(f"none of best_keys {keys} is among the metrics {sorted(metrics)}")


def best(history: list[dict], key: str) -> dict:
    """The first of the epochs with the highest value."""
    return max(history, key=lambda entry: entry[key])
