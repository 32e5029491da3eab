"""Segment videos into shots by kernel temporal segmentation (KTS)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .kts import best_change_points

MAX_CHANGE_POINTS = 120   # The limit that the published key shots were computed with.


def change_points(features: np.ndarray, max_change_points: int | None = None,
                  vmax: float = 0.55) -> np.ndarray:
    """Detect shots by KTS (Potapov et al., "Category-Specific Video Summarization", ECCV 2014).

    The objective with m change points is the scatter within the segments over T, plus a penalty of
    `vmax * m / (2 T) * (log(T / m) + 1)`. `pipelines.shots.kts` finds the exact optimum without the textbook's table
    of T * T * max_change_points entries.

    Args:
        features: (T, C), rows of unit norm.
        max_change_points: the maximum number of change points; None means min(T - 1, 120).
        vmax: weight of the penalty; a higher weight yields fewer shots.

    Returns:
        (M,) ascending row indices where a new shot starts, without 0.

    Raises:
        ValueError: features is not a finite matrix with at least one row, or the limit or vmax is negative.
    """
    features = np.asarray(features)
    features = features if features.dtype in (np.float32, np.float64) else features.astype(np.float64)
    if features.ndim != 2 or len(features) == 0 or not np.isfinite(features).all():
        raise ValueError(f"features must be a finite (T, C) matrix with T >= 1, not {features.shape}")
    limit = MAX_CHANGE_POINTS if max_change_points is None else max_change_points
    if limit < 0 or vmax < 0:
        raise ValueError(f"max_change_points ({limit}) and vmax ({vmax}) must not be negative")
    T = len(features)
    m = np.arange(min(limit, T - 1) + 1)
    penalty = np.zeros(len(m))   # The published penalty multiplied by T, since the scatter is not divided by T.
    penalty[1:] = vmax / 2 * m[1:] * (np.log(T / m[1:]) + 1)
    return best_change_points(features, penalty)


def shots_from_change_points(points: Iterable[int], n: int) -> np.ndarray:
    """Return the shots (S, 2), first and last row inclusive, that the change points divide n rows into.

    Args:
        points: rows where a new shot starts, in any order; duplicates and points outside 1..n-1 are ignored.
        n: number of rows.
    """
    starts = np.unique([0, *(int(p) for p in points if 0 < p < n)])
    return np.stack([starts, np.append(starts[1:], n) - 1], axis=1)


def refine_shots(shots: np.ndarray, edges: Iterable[int], max_len: int) -> np.ndarray:
    """Split shots at additional edges, and split long shots evenly.

    A shot boundary one row before or after an edge is dropped, because it would leave a shot of a single row.

    Args:
        shots: (S, 2) inclusive, without gaps, from row 0.
        edges: rows where a new shot must start, e.g. the starts and ends of the moments that match a query.
        max_len: the maximum number of rows in a shot, at least 1.

    Returns:
        (S', 2) inclusive, without gaps, over the same rows.
    """
    n = int(shots[-1, 1]) + 1
    edges = {int(e) for e in edges if 0 < e < n}
    starts = edges | {int(s) for s in shots[1:, 0] if not edges & {int(s) - 1, int(s) + 1}}
    points = []
    for first, last in shots_from_change_points(starts, n):
        n_parts = -(-(last - first + 1) // max_len)   # Round up.
        points += [int(p) for p in np.linspace(first, last + 1, n_parts + 1).round()[:-1]]
    return shots_from_change_points(points, n)
