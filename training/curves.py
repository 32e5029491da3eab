"""Losses and metrics over the epochs as a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from common.build import nearest
from common.errors import InputError
from common.files import atomic_path

LOG = "log.jsonl"
SHOWN_METRICS = ("MR-full-R1@0.5", "MR-full-R1@0.7", "MR-full-mAP", "HL-min-VeryGood-mAP", "HL-min-VeryGood-Hit1",
                 "mAP", "Rank1@0.5")


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
    _draw({"": (read_log(log), best_epoch)}, out, SHOWN_METRICS)


def compare_curves(work_dirs: Sequence[str | os.PathLike], out: str | os.PathLike,
                   metrics: Sequence[str] = ()) -> None:
    """As `draw_curves`, for several work dirs in one picture, a colour each.

    Args:
        work_dirs: of trainings, finished or not.
        out: a PNG.
        metrics: validation metrics; the first of the main ones that each run has when left out.

    Raises:
        InputError: a folder without a log, or none of the runs has a metric.
    """
    runs = {}
    for folder in map(Path, work_dirs):
        if not (folder / LOG).is_file():
            raise InputError(f"{folder}: no {LOG} in it; name a work dir of tools/launch.py")
        best = folder / "history.json"
        name = str(folder) if folder.name in {Path(f).name for f in work_dirs if Path(f) != folder} else folder.name
        runs[name] = (read_log(folder / LOG), json.loads(best.read_text())["best_epoch"] if best.is_file() else None)
    known = {key.partition("/")[2] for curves, _ in runs.values() for key in curves if key.startswith("val/")}
    for metric in metrics:
        if metric not in known:
            raise InputError(f"--metric {metric}: none of the runs has it; {nearest(metric, known)}")
    _draw(runs, out, metrics or [m for m in SHOWN_METRICS if m in known][:1 if len(runs) > 1 else None])


def _draw(runs: dict[str, tuple[dict, int | None]], out: str | os.PathLike, shown: Sequence[str]) -> None:
    """Curves and best epoch by the run's name, which stands in the legend; an only run goes without."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    FigureCanvasAgg(figure)
    loss, metrics, rate = axes = figure.subplots(1, 3)
    for i, (run, (curves, best_epoch)) in enumerate(runs.items()):
        colour = {} if len(runs) == 1 else dict(color=f"C{i % 10}")
        for key, curve in curves.items():
            mode, _, name = key.partition("/")
            style = {**colour, "linestyle": "--" if mode == "train" and len(runs) > 1 else "-"}
            if name == "loss":
                loss.plot(*zip(*curve, strict=True), **style,
                          label=f"{run} {'training' if mode == 'train' else 'validation'}".strip())
            elif mode == "val" and name in shown:
                line = ["-", "--", ":", "-."][list(shown).index(name) % 4] if len(runs) > 1 else "-"
                metrics.plot(*zip(*curve, strict=True), **{**style, "linestyle": line}, label=f"{run} {name}".strip())
            elif key == "train/lr":
                rate.plot(*zip(*curve, strict=True), **colour, label=run or None)
        for axis in axes if best_epoch is not None else ():
            axis.axvline(best_epoch, **(colour or dict(color="0.5")), linestyle=":" if colour else "--", alpha=0.7,
                         label=None if colour else f"best epoch {best_epoch}")
    for axis, title in zip(axes, ("loss", "validation metrics", "learning rate"), strict=True):
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=120)
