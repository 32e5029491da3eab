"""Losses and metrics over the epochs as a picture."""

from __future__ import annotations

import json
import os
from pathlib import Path

from common.files import atomic_path

SHOWN_METRICS = ("MR-full-R1@0.5", "MR-full-R1@0.7", "MR-full-mAP", "HL-min-VeryGood-mAP", "HL-min-VeryGood-Hit1",
                 "mAP")


def read_log(path: str | os.PathLike) -> dict[str, list[tuple[float, float]]]:
    """Reads nncore's JSON log: a curve (epoch, value) of every number, named `train/loss` or `val/loss`."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in Path(path).read_text().splitlines():
        entry = json.loads(line)
        for key, value in entry.items():
            if key not in ("mode", "epoch", "iter") and isinstance(value, (int, float)):
                curves.setdefault(f"{entry['mode']}/{key}", []).append((entry["epoch"], value))
    return curves


def draw_curves(log: str | os.PathLike, out: str | os.PathLike, best_epoch: int | None = None) -> None:
    """Draws training and validation loss, the metrics and the learning rate; the best epoch is a line.

    Args:
        log: nncore's JSON log, one line per interval.
        out: a PNG, written whole or not at all.
        best_epoch: counted from one.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = read_log(log)
    figure = Figure(figsize=(13, 4), layout="constrained")
    FigureCanvasAgg(figure)
    loss, metrics, rate = figure.subplots(1, 3)
    for key, curve in curves.items():
        mode, _, name = key.partition("/")
        if name == "loss":
            loss.plot(*zip(*curve, strict=True), label="training" if mode == "train" else "validation")
        elif mode == "val" and name in SHOWN_METRICS:
            metrics.plot(*zip(*curve, strict=True), label=name)
        elif key == "train/lr":
            rate.plot(*zip(*curve, strict=True))
    for axis, title in ((loss, "loss"), (metrics, "validation metrics (%)"), (rate, "learning rate")):
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        if best_epoch is not None:
            axis.axvline(best_epoch, color="0.5", linestyle="--", label=f"best epoch {best_epoch}")
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=120)
