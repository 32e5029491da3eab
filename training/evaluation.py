"""Model outputs, gathered over all processes, and the metrics computed from them."""

from __future__ import annotations

import torch
from nncore import ProgressBar
from nncore.engine import Engine, comm
from nncore.parallel import NNDataParallel
from torch.utils.data import DataLoader


def gather_outputs(engine: Engine) -> list[dict] | None:
    """Return the outputs that all processes collected since the last call; None outside the main process."""
    parts = comm.gather(engine.buffer.pop("_out", []))
    return None if parts is None or not comm.is_main_process() else [batch for part in parts for batch in part]


def evaluate_outputs(engine: Engine) -> dict[str, float]:
    """Return the metrics of the outputs that the engine collected; empty outside the main process."""
    outputs = gather_outputs(engine)
    return {} if outputs is None else engine.data_loader.dataset.evaluate(outputs, logger=engine.logger)


def predict(engine: Engine, loader: DataLoader) -> list[dict]:
    """Return the model's outputs for every batch of a loader, computed in this process only."""
    model = NNDataParallel(engine.model.module) if comm.is_distributed() else engine.model
    model.eval()
    with torch.no_grad():
        return [model(data, mode="test")["_out"] for data in ProgressBar(loader)]
