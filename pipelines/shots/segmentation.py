"""Where one shot ends and the next begins: kernel temporal segmentation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .kts import best_change_points

MAX_CHANGE_POINTS = 120   # the limit that the published key-shots were made with


def change_points(features: np.ndarray, max_change_points: int | None = None,
                  vmax: float = 0.55) -> np.ndarray:
    """Kernel temporal segmentation (Potapov et al., "Category-Specific Video Summarization", ECCV 2014).

    Chooses the shots within which the features vary least. With m change points the objective is the
    scatter inside the segments over T, plus a penalty of `vmax * m / (2 T) * (log(T / m) + 1)`.
    `pipelines.shots.kts` finds the exact optimum, without the table of T * T * max_change_points steps.

    Args:
        features: (T, C), rows of unit norm.
        max_change_points: the most change points; None for min(T - 1, 120).
        vmax: how dear a change point is; more gives fewer shots.

    Returns:
        (M,) ascending row indices where a new shot starts; 0 is not among them.

    Raises:
        ValueError: features that are not a finite matrix with a row, a negative limit or vmax.
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
    price = np.zeros(len(m))   # T times the penalty
    price[1:] = vmax / 2 * m[1:] * (np.log(T / m[1:]) + 1)
    return best_change_points(features, price)


def shots_from_change_points(points: Iterable[int], n: int) -> np.ndarray:
    """Shots (S, 2), first and last row inclusive, that n rows fall into when new ones start at `points`.

    Points outside of 1..n-1 and repeated ones count for nothing.
    """
    starts = np.unique([0, *(int(p) for p in points if 0 < p < n)])
    return np.stack([starts, np.append(starts[1:], n) - 1], axis=1)


def refine_shots(shots: np.ndarray, edges: Iterable[int], max_len: int) -> np.ndarray:
    """Cuts shots at further edges, and long ones into even pieces.

    A border of the shots that lies one row from an edge gives way to it, so that no sliver of one row
    is left between the two.

    Args:
        shots: (S, 2) inclusive, without gaps, from row 0.
        edges: rows where a new shot must start, e.g. where asked moments begin and end.
        max_len: the most rows in a shot, at least 1.

    Returns:
        (S', 2) inclusive, without gaps, over the same rows.
    """
    n = int(shots[-1, 1]) + 1
    edges = {int(e) for e in edges if 0 < e < n}
    starts = edges | {int(s) for s in shots[1:, 0] if not edges & {int(s) - 1, int(s) + 1}}
    points = []
    for first, last in shots_from_change_points(starts, n):
        pieces = -(-(last - first + 1) // max_len)
        points += [int(p) for p in np.linspace(first, last + 1, pieces + 1).round()[:-1]]
    return shots_from_change_points(points, n)
