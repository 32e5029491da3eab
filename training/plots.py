"""Plots of losses, metrics and learning rate over the epochs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.build import suggest
from common.errors import InputError
from common.files import atomic_path
from datasets.annotations.json_files import read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes  # matplotlib takes a second to load.
    from matplotlib.figure import Figure

LOG = "log.jsonl"
MAIN_METRICS = ("AP", "ROC-AUC", "HD-mAP-by-video", "HD-HIT@1-by-video", "MR-full-R1@0.5", "MR-full-R1@0.7",
                "MR-full-mAP", "HL-min-VeryGood-mAP", "HL-min-VeryGood-Hit1", "mAP", "Rank1@0.5")
LINE_STYLES = ("-", "--", ":", "-.")   # One per metric if several runs are compared, since colors show the runs.
Curves = dict[str, list[tuple[float, float]]]


def read_log(path: str | os.PathLike) -> Curves:
    """Read the log that nncore's JSONWriter writes.

    Returns:
        A curve of (epoch, value) pairs for every number, named e.g. `train/loss` or `val/loss`.
    """
    curves: Curves = {}
    for line in Path(path).read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:   # A process that was killed while it wrote the line leaves an incomplete one.
            continue
        for key, value in entry.items():
            if key not in ("mode", "epoch", "iter") and isinstance(value, (int, float)):
                curves.setdefault(f"{entry['mode']}/{key}", []).append((entry["epoch"], value))
    return curves


def draw_curves(log: str | os.PathLike, out: str | os.PathLike, best_epoch: int | None = None,
                monitor: str | None = None) -> None:
    """Draw training and validation loss, the metrics and the learning rate, with a line at the best epoch.

    Args:
        log: nncore's JSON log, with one line per interval.
        out: a PNG file, which is written atomically.
        best_epoch: number of the best epoch, counted from one.
        monitor: the metric that selected the best epoch; it is drawn first.
    """
    _save(curves_figure({"": (read_log(log), best_epoch)}, MAIN_METRICS, monitor), out)


def compare_curves(work_dirs: Sequence[str | os.PathLike], out: str | os.PathLike,
                   metrics: Sequence[str] = ()) -> None:
    """Draw the curves of several training runs in one figure, with one color per run.

    Args:
        work_dirs: work dirs of training runs, finished or not.
        out: a PNG file.
        metrics: validation metrics to draw. By default, the monitored metric if all runs have the same one, else the
            first main metric; for a single run, all main metrics.

    Raises:
        InputError: a folder has no log, or no run has a metric.
    """
    runs, monitors = {}, set()
    for folder in map(Path, work_dirs):
        if not (folder / LOG).is_file():
            raise InputError(folder, f"contains no {LOG}", "specify a work dir of tools/launch.py")
        path = folder / "history.json"
        history = read_json(path) if path.is_file() else {}
        monitors.add(history.get("monitor", history.get("watched")))   # `watched` is the deprecated name.
        name = str(folder) if folder.name in {Path(f).name for f in work_dirs if Path(f) != folder} else folder.name
        runs[name] = (read_log(folder / LOG), history.get("best_epoch"))
    known = {key.partition("/")[2] for curves, _ in runs.values() for key in curves if key.startswith("val/")}
    for metric in metrics:
        if metric not in known:
            raise InputError(None, f"--metric {metric}: no run has this metric", suggest(metric, known))
    monitor = monitors.pop() if len(monitors) == 1 else None
    defaults = [m for m in dict.fromkeys([*([monitor] if monitor else []), *MAIN_METRICS]) if m in known]
    shown = metrics or defaults[:1 if len(runs) > 1 else None]
    if len(runs) == 1:
        runs = {"": next(iter(runs.values()))}
    _save(curves_figure(runs, shown, monitor if monitor in shown else None), out)


def curves_figure(runs: Mapping[str, tuple[Curves, int | None]], shown: Sequence[str], monitor: str | None) -> Figure:
    """Draw the curves of one or several runs.

    Args:
        runs: curves, as `read_log` returns them, and the best epoch, by the run's name for the legend. The name of a
            single run is "".
        shown: metrics to draw.
        monitor: the metric of `shown` that selected the best epoch. It is drawn first, and its best value is marked
            if there is a single run.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # matplotlib takes a second to load.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3)
    shown = [*([monitor] if monitor else []), *(name for name in shown if name != monitor)]
    for i, (run, (curves, best_epoch)) in enumerate(runs.items()):
        color = {} if len(runs) == 1 else dict(color=f"C{i % 10}")
        _draw_run(axes, run, curves, shown, monitor, color)
        best = [(epoch, value) for epoch, value in curves.get(f"val/{monitor}", ()) if epoch == best_epoch]
        if best and len(runs) == 1:
            axes[1].plot(*zip(*best, strict=True), "o", color="C0", label=f"best {monitor}: {best[0][1]:.2f}", zorder=5)
        for axis in axes if best_epoch is not None else ():
            axis.axvline(best_epoch, **(color or dict(color="0.5")), linestyle=":" if color else "--", alpha=0.7,
                         label=None if color else f"best epoch {best_epoch}")
    for axis, title in zip(axes, ("loss", "validation metrics", "learning rate"), strict=True):
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
    return figure


def _draw_run(axes: Sequence[Axes], run: str, curves: Curves, shown: list[str], monitor: str | None,
              color: dict) -> None:
    """Draw one run's losses, metrics and learning rate; `color` is empty for a single run."""
    loss, metrics, rate = axes
    is_single = not color
    for key in sorted(curves, key=lambda key: shown.index(key[4:]) if key[4:] in shown else -1):
        curve = curves[key]
        mode, _, name = key.partition("/")
        if name == "loss":
            loss.plot(*zip(*curve, strict=True), **color, linestyle="--" if mode == "train" and not is_single else "-",
                      label=f"{run} {'training' if mode == 'train' else 'validation'}".strip())
        elif mode == "val" and name in shown:
            is_monitored = name == monitor and is_single
            metrics.plot(*zip(*curve, strict=True), **color,
                         linestyle="-" if is_single else LINE_STYLES[shown.index(name) % len(LINE_STYLES)],
                         linewidth=2.5 if is_monitored else 1.5,
                         label=f"{run} {name}{' (monitored)' if is_monitored else ''}".strip())
        elif key == "train/lr":
            rate.plot(*zip(*curve, strict=True), **color, label=run or None)


def _save(figure: Figure, out: str | os.PathLike) -> None:
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=120)
