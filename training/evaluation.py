"""From a model and a loader to predictions and metrics."""

from __future__ import annotations

import torch
from nncore import ProgressBar
from nncore.engine import Engine, comm
from nncore.parallel import NNDataParallel
from torch.utils.data import DataLoader


def collected(engine: Engine) -> list[dict] | None:
    """The outputs of all processes since the last call, in the main process; None in the others."""
    parts = comm.gather(engine.buffer.pop("_out", []))
    return None if parts is None or not comm.is_main_process() else [batch for part in parts for batch in part]


def evaluate_outputs(engine: Engine) -> dict[str, float]:
    """The metrics of what the engine has collected; empty in other than the main process."""
    blob = collected(engine)
    return {} if blob is None else engine.data_loader.dataset.evaluate(blob, logger=engine.logger)


def predict(engine: Engine, loader: DataLoader, title: str = "") -> list[dict]:
    """The model's outputs for all of a loader, in this process alone."""
    model = NNDataParallel(engine.model.module) if comm.is_distributed() else engine.model
    model.eval()
    with torch.no_grad():
        return [model(data, mode="test")["_out"] for data in ProgressBar(loader)]
