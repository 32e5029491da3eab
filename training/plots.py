"""Losses and metrics over the epochs as a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.build import suggest
from common.errors import InputError
from common.files import atomic_path
from datasets.annotations.domain_splits import read_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # takes a second to load

LOG = "log.jsonl"
SHOWN_METRICS = ("AP", "ROC-AUC", "HD-mAP-by-video", "HD-HIT@1-by-video", "MR-full-R1@0.5", "MR-full-R1@0.7",
                 "MR-full-mAP", "HL-min-VeryGood-mAP", "HL-min-VeryGood-Hit1", "mAP", "Rank1@0.5")


def read_log(path: str | os.PathLike) -> dict[str, list[tuple[float, float]]]:
    """Reads nncore's JSON log: a curve (epoch, value) of every number, named `train/loss` or `val/loss`."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in Path(path).read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:   # half a line, written when the process was killed
            continue
        for key, value in entry.items():
            if key not in ("mode", "epoch", "iter") and isinstance(value, (int, float)):
                curves.setdefault(f"{entry['mode']}/{key}", []).append((entry["epoch"], value))
    return curves


def draw_curves(log: str | os.PathLike, out: str | os.PathLike, best_epoch: int | None = None,
                watched: str | None = None) -> None:
    """Draws training and validation loss, the metrics and the learning rate; the best epoch is a line.

    Args:
        log: nncore's JSON log, one line per interval.
        out: a PNG, written whole or not at all.
        best_epoch: counted from one.
        watched: the metric that says which epoch is best, drawn first.
    """
    _save(curves_figure({"": (read_log(log), best_epoch)}, SHOWN_METRICS, watched), out)


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
    runs, watched = {}, set()
    for folder in map(Path, work_dirs):
        if not (folder / LOG).is_file():
            raise InputError(f"{folder}: no {LOG} in it; name a work dir of tools/launch.py")
        best = folder / "history.json"
        history = read_json(best) if best.is_file() else {}
        watched.add(history.get("watched"))
        name = str(folder) if folder.name in {Path(f).name for f in work_dirs if Path(f) != folder} else folder.name
        runs[name] = (read_log(folder / LOG), history.get("best_epoch"))
    known = {key.partition("/")[2] for curves, _ in runs.values() for key in curves if key.startswith("val/")}
    for metric in metrics:
        if metric not in known:
            raise InputError(f"--metric {metric}: none of the runs has it; {suggest(metric, known)}")
    chooses = watched.pop() if len(watched) == 1 else None   # that of all of them
    usual = [m for m in dict.fromkeys([*([chooses] if chooses else []), *SHOWN_METRICS]) if m in known]
    shown = metrics or usual[:1 if len(runs) > 1 else None]
    if len(runs) == 1:
        runs = {"": next(iter(runs.values()))}
    _save(curves_figure(runs, shown, chooses if chooses in shown else None), out)


def curves_figure(runs: dict[str, tuple[dict, int | None]], shown: Sequence[str], watched: str | None) -> Figure:
    """Curves and best epoch by the run's name, which stands in the legend; an only run goes without.

    Args:
        runs: curves as `read_log` gives them, and the best epoch, by name.
        shown: metrics to draw.
        watched: of them the one that chooses; it comes first, and one run's best value is marked.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    FigureCanvasAgg(figure)
    loss, metrics, rate = axes = figure.subplots(1, 3)
    shown = [*([watched] if watched else []), *(name for name in shown if name != watched)]
    for i, (run, (curves, best_epoch)) in enumerate(runs.items()):
        colour = {} if len(runs) == 1 else dict(color=f"C{i % 10}")
        order = sorted(curves, key=lambda key: shown.index(key[4:]) if key[4:] in shown else -1)
        for key in order:
            curve = curves[key]
            mode, _, name = key.partition("/")
            style = {**colour, "linestyle": "--" if mode == "train" and len(runs) > 1 else "-"}
            if name == "loss":
                loss.plot(*zip(*curve, strict=True), **style,
                          label=f"{run} {'training' if mode == 'train' else 'validation'}".strip())
            elif mode == "val" and name in shown:
                line = ["-", "--", ":", "-."][list(shown).index(name) % 4] if len(runs) > 1 else "-"
                chooses = name == watched and len(runs) == 1
                metrics.plot(*zip(*curve, strict=True), **{**style, "linestyle": line},
                             linewidth=2.5 if chooses else 1.5,
                             label=f"{run} {name}{' (chooses)' if chooses else ''}".strip())
            elif key == "train/lr":
                rate.plot(*zip(*curve, strict=True), **colour, label=run or None)
        top = [(epoch, value) for epoch, value in curves.get(f"val/{watched}", ()) if epoch == best_epoch]
        if top and len(runs) == 1:
            metrics.plot(*zip(*top, strict=True), "o", color="C0", label=f"best {watched}: {top[0][1]:.2f}", zorder=5)
        for axis in axes if best_epoch is not None else ():
            axis.axvline(best_epoch, **(colour or dict(color="0.5")), linestyle=":" if colour else "--", alpha=0.7,
                         label=None if colour else f"best epoch {best_epoch}")
    for axis, title in zip(axes, ("loss", "validation metrics", "learning rate"), strict=True):
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
    return figure


def _save(figure: Figure, out: str | os.PathLike) -> None:
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=120)
