"""Find moments: intervals in which a score curve is high."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from common.temporal import temporal_iou

MAX_IOU = 0.5      # If two moments overlap more, only the better one is kept.
MAX_MOMENTS = 10   # Moments per query.
MIN_RANGE = 1e-6   # A curve with a smaller range counts as constant and has no moments.


class Moment(NamedTuple):
    """An interval of a video that matches a query.

    Attributes:
        start_s: start in seconds, inclusive.
        end_s: end in seconds, exclusive.
        score: confidence in [0, 1].
        text: the query, "" if there is none.
    """

    start_s: float
    end_s: float
    score: float
    text: str


def find_moments(curve: np.ndarray, max_moments: int = MAX_MOMENTS) -> list[tuple[int, int, float]]:
    """Return the runs of clips that reach the midpoint between the median and the maximum of a curve.

    Args:
        curve: (T,) in [0, 1].
        max_moments: maximum number of runs.

    Returns:
        (first clip, last clip inclusive, mean score) by descending score; empty for a constant curve.
    """
    median, peak = float(np.median(curve)), float(curve.max())
    if peak - float(curve.min()) < MIN_RANGE:
        return []
    inside = curve >= (median + peak) / 2
    steps = np.diff(np.concatenate([[0], inside.astype(np.int8), [0]]))
    starts, ends = np.nonzero(steps == 1)[0], np.nonzero(steps == -1)[0]
    runs = [(int(a), int(b) - 1, float(curve[a:b].mean())) for a, b in zip(starts, ends, strict=True)]
    return sorted(runs, key=lambda run: -run[2])[:max_moments]


def moments_in_curve(curve: np.ndarray, edges_s: np.ndarray, text: str = "",
                     max_moments: int = MAX_MOMENTS) -> list[Moment]:
    """Return the moments of a curve with their times; see `find_moments`.

    Args:
        curve: (T,) in [0, 1].
        edges_s: (T + 1,) clip boundaries; clip i is [edges_s[i], edges_s[i + 1]).
        text: the query that the curve belongs to, "" if there is none.
        max_moments: maximum number of moments.
    """
    return [Moment(float(edges_s[first]), float(edges_s[last + 1]), score, text)
            for first, last, score in find_moments(curve, max_moments)]


def suppress_overlaps(moments: Sequence[Moment], max_iou: float = MAX_IOU,
                      max_moments: int = MAX_MOMENTS) -> list[Moment]:
    """Apply non-maximum suppression: of moments whose IoU exceeds `max_iou`, keep the best.

    Returns:
        At most `max_moments` moments by descending score.
    """
    kept: list[Moment] = []
    for moment in sorted(moments, key=lambda m: -m.score):
        if not kept or temporal_iou(np.array(moment[:2]), np.array([other[:2] for other in kept])).max() <= max_iou:
            kept.append(moment)
        if len(kept) == max_moments:
            break
    return kept


def rank_moments(by_query: Sequence[Sequence[Moment]], max_iou: float = MAX_IOU,
                 max_moments: int = MAX_MOMENTS) -> list[Moment]:
    """Suppress overlapping moments within each query and sort the rest of all queries by descending score.

    Ties are sorted by time and query, so that the order of the queries does not matter.
    """
    kept = [moment for moments in by_query for moment in suppress_overlaps(moments, max_iou, max_moments)]
    return sorted(kept, key=lambda m: (-m.score, m.start_s, m.end_s, m.text))
