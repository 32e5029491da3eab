"""The chart of scores over time: a curve per query, kept pieces, moments, a filmstrip and a time axis."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from common.timecode import format_clock
from pipelines.scoring.moments import Moment
from pipelines.scoring.scorers import NOVELTY
from pipelines.summary import Summary

from .templating import ENVIRONMENT, image_url

N_COLORS = 6              # The stylesheets define --c0 to --c5.
FILMSTRIP_IMAGES = 14
ROW_HEIGHT = 100          # Height of a row in units of the SVG.
MOMENT_LANE = 9           # Height of the lane below the curve that shows moments.
MAX_LABEL_CHARACTERS = 160
TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
MAX_TICKS = 10

_MACROS = ENVIRONMENT.get_template("charts.html").module


class ChartRow(NamedTuple):
    """A row of the chart.

    Attributes:
        curve: (T,) scores in [0, 1].
        text: the query, "" for a summary without queries.
        color: CSS color of the curve.
    """

    curve: np.ndarray
    text: str
    color: str


def query_colors(summary: Summary) -> dict[str, str]:
    """Return the CSS color of each query; the key is "" for a summary without queries."""
    return {text: f"var(--c{i % N_COLORS})" for i, text in enumerate(dict.fromkeys(summary.texts or ("",)))}


def chart_rows(summary: Summary) -> list[ChartRow]:
    """Return a row for each query, or one row with the scores if there are no queries."""
    colors = query_colors(summary)
    if not summary.texts:
        return [ChartRow(summary.scores, "", colors[""])]
    return [ChartRow(curve, text, colors[text])
            for curve, text in zip(summary.scores_by_text, summary.texts, strict=True)]


def render_chart(summary: Summary, rows: Sequence[ChartRow] | None = None,
                 comparisons: Sequence[np.ndarray | None] | None = None) -> Markup:
    """Return the rows of a chart with a filmstrip, a bar of kept pieces and a time axis below.

    Args:
        summary: the scored video.
        rows: rows to show; None for those of `chart_rows`.
        comparisons: for each row, a second curve (T,) in [0, 1], drawn dashed, or None.
    """
    rows = chart_rows(summary) if rows is None else rows
    comparisons = [None] * len(rows) if comparisons is None else comparisons
    shown = [_row_values(summary, row, other) for row, other in zip(rows, comparisons, strict=True)]
    return _render_macro("chart", shown, _filmstrip_images(summary), _bars(summary),
                         _ticks(float(summary.video.info.duration_s)))


def render_chart_row(summary: Summary, curve: np.ndarray, text: str, color: str,
                     comparison: np.ndarray | None = None) -> Markup:
    """Return a curve over time with kept pieces, the moments of its query and the starts of shots.

    Args:
        summary: the scored video.
        curve: (T,) scores in [0, 1].
        text: the query, "" for a summary without queries.
        color: CSS color of the curve.
        comparison: a second curve (T,) in [0, 1], drawn dashed.
    """
    return _render_macro("chart_row", _row_values(summary, ChartRow(curve, text, color), comparison))


def render_filmstrip(summary: Summary) -> Markup:
    """Return thumbnails at regular intervals over the complete video."""
    return _render_macro("filmstrip", _filmstrip_images(summary))


def render_kept_bars(summary: Summary) -> Markup:
    """Return bars that show where in the video the kept pieces are."""
    return _render_macro("kept_bars", _bars(summary))


def render_time_axis(end_s: float) -> Markup:
    """Return the tick labels of a time axis from 0 to `end_s`."""
    return _render_macro("time_axis", _ticks(end_s))


def _render_macro(name: str, *args: object) -> Markup:
    """Render a macro of charts.html."""
    return Markup(getattr(_MACROS, name)(*args))


def format_duration(duration_s: float) -> str:
    """Return a duration as M:SS if it is at least a minute, otherwise with decimals, e.g. 12.3 s."""
    if duration_s >= 60:
        return format_clock(duration_s)
    return f"{duration_s:.1f} s" if duration_s >= 1 else f"{duration_s:.2f} s"


def evenly_spaced(n: int, max_count: int) -> list[int]:
    """Return at most `max_count` indices of 0..n-1, each in the middle of an equal share."""
    count = min(n, max_count)
    return [(2 * i + 1) * n // (2 * count) for i in range(count)]


def best_clip(summary: Summary, moment: Moment) -> int:
    """Return the index of the clip with the highest score in a moment."""
    edges_s = summary.video.float_edges_s
    inside = (edges_s[:-1] < moment.end_s) & (edges_s[1:] > moment.start_s)
    curve = summary.scores
    if moment.text in summary.texts:
        curve = summary.scores_by_text[summary.texts.index(moment.text)]
    return int(np.argmax(np.where(inside, curve, -1)))


def _row_values(summary: Summary, row: ChartRow, comparison: np.ndarray | None) -> dict:
    """Return the values that the macro `chart_row` shows; x runs from 0 to 1000."""
    end_s = float(summary.video.info.duration_s)
    bottom = ROW_HEIGHT - MOMENT_LANE

    def x(time_s: float) -> str:
        return f"{1000 * time_s / end_s:.2f}"

    def points(curve: np.ndarray) -> str:
        edges_s = summary.video.float_edges_s.tolist()
        middles_s = [(start_s + stop_s) / 2 for start_s, stop_s in itertools.pairwise(edges_s)]
        found = [(time_s, bottom - 3 - (bottom - 8) * float(score))
                 for time_s, score in zip(middles_s, curve, strict=True)]
        found = [(0.0, found[0][1]), *found, (end_s, found[-1][1])]
        return " ".join(f"{x(time_s)},{y:.1f}" for time_s, y in found)

    kept_s = [(float(start_s), float(stop_s)) for start_s, stop_s in summary.intervals_s]
    return dict(
        color=row.color, label=row.text[:MAX_LABEL_CHARACTERS] or _label_without_query(summary),
        height=ROW_HEIGHT, bottom=bottom, lane=MOMENT_LANE,
        kept=[dict(x=x(start_s), width=x(stop_s - start_s)) for start_s, stop_s in kept_s],
        shots=" ".join(f"M{x(start_s)} 0V{bottom}" for start_s, _ in summary.shots[1:]),
        curve=points(row.curve), comparison="" if comparison is None else points(comparison),
        moments=[dict(x=x(m.start_s), width=x(m.end_s - m.start_s), opacity=f"{0.35 + 0.65 * m.score:.2f}")
                 for m in summary.moments if m.text == row.text])


def _label_without_query(summary: Summary) -> str:
    if summary.provenance["kind"] == NOVELTY:
        return "Novelty: how much each clip differs from the rest of the video"
    return "Score of each clip, predicted by the model"


def _filmstrip_images(summary: Summary) -> list[str]:
    indices = evenly_spaced(summary.video.n_clips, FILMSTRIP_IMAGES)
    return [image_url(summary.video.thumbnails[i]) for i in indices]


def _bars(summary: Summary) -> list[dict[str, str]]:
    end_s = float(summary.video.info.duration_s)
    return [dict(left=f"{100 * float(start_s) / end_s:.3f}", width=f"{100 * float(stop_s - start_s) / end_s:.3f}")
            for start_s, stop_s in summary.intervals_s]


def _ticks(end_s: float) -> list[dict[str, str]]:
    """Return the position and label of each tick; ticks of the class `odd` are hidden on narrow screens."""
    step_s = next((step_s for step_s in TICK_STEPS_S if end_s / step_s <= MAX_TICKS), 3600 * -(-int(end_s) // 36000))
    times_s = [time_s for time_s in range(0, int(end_s) + 1, step_s) if time_s < end_s - 0.6 * step_s or time_s == 0]
    ticks = [dict(css_class="odd" if i % 2 or (time_s and end_s - time_s < 1.2 * step_s) else "even",
                  left=f"{100 * time_s / end_s:.3f}", text=format_clock(time_s)) for i, time_s in enumerate(times_s)]
    end_text = format_clock(end_s) if end_s >= 1 else format_duration(end_s)
    return [*ticks, dict(css_class="end", left="100", text=end_text)]
