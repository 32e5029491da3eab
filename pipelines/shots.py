"""Where one shot ends and the next begins: kernel temporal segmentation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

MAX_CHANGE_POINTS = 120   # the limit that the published key-shots were made with
BLOCK = 256               # how many segment ends are costed in one matrix product


def change_points(features: np.ndarray, max_change_points: int | None = None,
                  vmax: float = 0.55) -> np.ndarray:
    """Kernel temporal segmentation (Potapov et al., "Category-Specific Video Summarization", ECCV 2014).

    Chooses the shots within which the features vary least. With m change points the objective is the
    scatter inside the segments over T, plus a penalty of `vmax * m / (2 T) * (log(T / m) + 1)`.
    The kernel is linear, so a segment's scatter comes from running sums: memory grows with
    T * (C + max_change_points), never with T * T.

    Args:
        features: (T, C), rows of unit norm.
        max_change_points: the most change points; None for min(T - 1, 120).
        vmax: how dear a change point is; more gives fewer shots.

    Returns:
        (M,) ascending row indices where a new shot starts; 0 is not among them.

    Raises:
        ValueError: features that are not a finite matrix with a row, a negative limit or vmax.
    """
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or len(features) == 0 or not np.isfinite(features).all():
        raise ValueError(f"features must be a finite (T, C) matrix with T >= 1, not {features.shape}")
    limit = MAX_CHANGE_POINTS if max_change_points is None else max_change_points
    if limit < 0 or vmax < 0:
        raise ValueError(f"max_change_points ({limit}) and vmax ({vmax}) must not be negative")
    T = len(features)
    cost, last_start = _segment(features, min(limit, T - 1))
    m = np.arange(len(cost))
    penalty = np.zeros(len(cost))
    penalty[1:] = vmax * m[1:] / (2 * T) * (np.log(T / m[1:]) + 1)
    return _trace_back(last_start, int(np.argmin(cost / T + penalty)))


def _segment(features: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The least scatter (limit + 1,) by number of change points, and where the last segment starts.

    The second is (limit + 1, T + 1): for m change points in the first j rows, the row at which their
    last segment starts.
    """
    T, C = features.shape
    sums = np.concatenate([np.zeros((1, C)), np.cumsum(features, axis=0)])      # (T + 1, C)
    squares = np.concatenate([[0], np.cumsum((features**2).sum(axis=1))])        # (T + 1,)
    best = np.full((limit + 1, T + 1), np.inf)                                  # [m, j]: rows [0, j)
    start = np.zeros((limit + 1, T + 1), dtype=np.int32)
    lengths = np.einsum("tc,tc->t", sums, sums)
    for begin in range(1, T + 1, BLOCK):
        ends = np.arange(begin, min(begin + BLOCK, T + 1))
        products = sums[:ends[-1]] @ sums[ends].T                               # (<= T, block)
        for column, j in enumerate(ends):
            between = lengths[:j] - 2 * products[:j, column] + lengths[j]       # |sums[j] - sums[i]|^2
            scatter = squares[j] - squares[:j] - between / (j - np.arange(j))   # of rows [i, j), (j,)
            best[0, j] = scatter[0]
            if limit:
                total = best[:-1, :j] + scatter                                 # (limit, j)
                start[1:, j] = total.argmin(axis=1)
                best[1:, j] = total[np.arange(limit), start[1:, j]]
    return best[:, T], start


def _trace_back(start: np.ndarray, m: int) -> np.ndarray:
    points = []
    j = start.shape[1] - 1
    for left in range(m, 0, -1):
        j = int(start[left, j])
        points.append(j)
    return np.array(points[::-1], dtype=np.int64)


def shots_from_points(points: Iterable[int], n: int) -> np.ndarray:
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
    for first, last in shots_from_points(starts, n):
        pieces = -(-(last - first + 1) // max_len)
        points += [int(p) for p in np.linspace(first, last + 1, pieces + 1).round()[:-1]]
    return shots_from_points(points, n)
