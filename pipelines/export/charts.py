"""Scores over time as HTML: curves, what is kept, moments, small pictures, times."""

from __future__ import annotations

import base64
import html
import itertools
import re

import numpy as np

from pipelines.scoring.moments import Moment
from pipelines.scoring.scorers import NOVELTY
from pipelines.summary import Summary
from pipelines.timecode import format_clock

COLOURS = 6            # --c0 .. --c5 of the page
FILM_IMAGES = 14
HEIGHT = 100           # of a curve's box, in its own units; the lowest LANE show the moments
LANE = 9
LONG_TEXT = 160
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)


def escape(text: str) -> str:
    """For HTML text and attributes; characters that no page may hold show as a replacement."""
    printable = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", "\ufffd", text)
    return html.escape(printable, quote=True)


def text_colours(summary: Summary) -> dict[str, str]:
    """Sentence -> its colour; the page says what `--c0` and so on are."""
    return {text: f"var(--c{i % COLOURS})" for i, text in enumerate(dict.fromkeys(summary.texts or ("",)))}


def length(duration_s: float) -> str:
    """1:05 from a minute on, else 12.3 s."""
    if duration_s >= 60:
        return format_clock(duration_s)
    return f"{duration_s:.1f} s" if duration_s >= 1 else f"{duration_s:.2f} s"


def chart_rows(summary: Summary) -> list[tuple[np.ndarray, str, str]]:
    """(curve, sentence, colour) of every row of the chart."""
    colours = text_colours(summary)
    if not summary.texts:
        return [(summary.scores, "", colours[""])]
    curves = zip(summary.scores_by_text, summary.texts, strict=True)
    return [(curve, text, colours[text]) for curve, text in curves]


def chart_row(summary: Summary, curve: np.ndarray, text: str, colour: str, other: np.ndarray | None = None) -> str:
    """A sentence's curve over time, what is kept, its moments, and where shots begin.

    Args:
        curve: (T,) in [0, 1].
        text: the sentence, "" if nothing was asked.
        colour: of the curve, for CSS.
        other: (T,) in [0, 1], a second curve to compare with, drawn dashed.
    """
    end_s = float(summary.video.info.duration_s)

    def x(time_s: float) -> str:
        return f"{1000 * time_s / end_s:.2f}"

    edges_s = summary.video.float_edges_s.tolist()
    middles = [(a + b) / 2 for a, b in itertools.pairwise(edges_s)]
    top = HEIGHT - LANE

    def points(values: np.ndarray) -> str:
        found = [(t, top - 3 - (top - 8) * float(s)) for t, s in zip(middles, values, strict=True)]
        found = [(0.0, found[0][1]), *found, (end_s, found[-1][1])]
        return " ".join(f"{x(t)},{y:.1f}" for t, y in found)

    line = points(curve)
    second = "" if other is None else f'<polyline class="curve other" points="{points(other)}"/>'
    kept = "".join(f'<rect class="kept" x="{x(a)}" width="{x(b - a)}" y="0" height="{HEIGHT}"/>'
                   for a, b in ((float(a), float(b)) for a, b in summary.intervals_s))
    shots = " ".join(f"M{x(start)} 0V{top}" for start, _ in summary.shots[1:])
    bars = "".join(f'<rect class="moment" x="{x(m.start_s)}" width="{x(m.end_s - m.start_s)}" y="{top + 2}" '
                   f'height="{LANE - 3}" opacity="{0.35 + 0.65 * m.score:.2f}"/>'
                   for m in summary.moments if m.text == text)
    unasked = ("How much a clip stands out from the rest" if summary.provenance["kind"] == NOVELTY
               else "How the model scores a clip")
    label = escape(text[:LONG_TEXT]) if text else unasked
    return (f'<div class="row" style="--colour:{colour}"><p><i class="dot"></i>'
            f'<span dir="auto">{label}</span></p>'
            f'<svg viewBox="0 0 1000 {HEIGHT}" preserveAspectRatio="none" role="img" '
            f'aria-label="Score over time: {label}">{kept}<path class="shot" d="{shots}"/>'
            f'<polygon class="area" points="0,{top} {line} 1000,{top}"/>'
            f'<polyline class="curve" points="{line}"/>{second}{bars}</svg></div>')


def film(summary: Summary) -> str:
    """Small pictures from the whole video."""
    n_clips = summary.video.n_clips
    chosen = spread(n_clips, FILM_IMAGES)
    return "".join(f'<img src="{image_address(summary.video.thumbnails[i])}" alt="">' for i in chosen)


def spread(n: int, at_most: int) -> list[int]:
    """At most so many of 0..n-1, each the middle one of an even share."""
    count = min(n, at_most)
    return [(2 * i + 1) * n // (2 * count) for i in range(count)]


def image_address(jpeg: bytes) -> str:
    """A JPEG as an address that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def kept_bars(summary: Summary) -> str:
    """Where along the video the kept pieces are."""
    end_s = float(summary.video.info.duration_s)
    shares = [(100 * float(a) / end_s, 100 * float(b - a) / end_s) for a, b in summary.intervals_s]
    return "".join(f'<i style="left:{left:.3f}%;width:{width:.3f}%"></i>' for left, width in shares)


def ticks(end_s: float) -> str:
    """The times below the chart."""
    step_s = next((s for s in STEPS_S if end_s / s <= 10), 3600 * -(-int(end_s) // 36000))
    times_s = [t for t in range(0, int(end_s) + 1, step_s) if t < end_s - 0.6 * step_s or t == 0]
    places = [("odd" if i % 2 or (t and end_s - t < 1.2 * step_s) else "even", 100 * t / end_s, format_clock(t))
              for i, t in enumerate(times_s)]   # odd ones are hidden where there is little room
    marks = "".join(f'<span class="{name}" style="left:{left:.3f}%">{text}</span>'
                    for name, left, text in places)
    return marks + f'<span class="end" style="left:100%">{format_clock(end_s) if end_s >= 1 else length(end_s)}</span>'


def best_clip(summary: Summary, moment: Moment) -> int:
    """The moment's clip of the highest score."""
    edges_s = summary.video.float_edges_s
    inside = (edges_s[:-1] < moment.end_s) & (edges_s[1:] > moment.start_s)
    curve = summary.scores
    if moment.text in summary.texts:
        curve = summary.scores_by_text[summary.texts.index(moment.text)]
    return int(np.argmax(np.where(inside, curve, -1)))
