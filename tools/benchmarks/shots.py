"""Compare KTS with the textbook algorithm, and measure the knapsack on the shots of a long video."""

from __future__ import annotations

from functools import partial

import numpy as np

from common.errors import InputError
from pipelines.selection.knapsack import knapsack
from pipelines.shots.segmentation import MAX_CHANGE_POINTS, change_points

from . import Row, measure_seconds

VMAX = 0.55


def measure() -> list[Row]:
    inputs = {f"{n} shots": partial(shot_features, 14400, 512, n) for n in (60, 500, 1500)}
    inputs |= {"slow drift": partial(drift_features, 14400, 512),
               "noise only": partial(shot_features, 14400, 512, 14400)}
    return [_compare_with_textbook(2400), *(_measure_long(name, make()) for name, make in inputs.items()),
            _measure_knapsack(2 * 3600)]


def _compare_with_textbook(T: int) -> Row:
    rows = shot_features(T, 128, 60)
    found: dict[str, np.ndarray] = {}
    reference_s = measure_seconds(lambda: found.update(reference=textbook_kts(rows, MAX_CHANGE_POINTS)), 1, False)
    product_s = measure_seconds(lambda: found.update(product=change_points(rows, vmax=VMAX)))
    if found["reference"].tolist() != found["product"].tolist():
        raise InputError(None, f"KTS of {T} x 128 rows: the {len(found['product'])} change points differ from the "
                         f"textbook algorithm's {len(found['reference'])}", "check pipelines/shots/kts.py")
    return Row(f"KTS, {T} x 128 rows", reference_s, product_s, f"the same {len(found['product'])} change points")


def _measure_long(name: str, rows: np.ndarray) -> Row:
    found: dict[str, np.ndarray] = {}
    product_s = measure_seconds(lambda: found.update(product=change_points(rows, vmax=VMAX)), warm_up=False)
    T, dims = rows.shape
    return Row(f"KTS, two hours at 2 rows per second, {T} x {dims}, {name}", None, product_s,
               f"{len(found['product'])} change points")


def _measure_knapsack(duration_s: int) -> Row:
    """Measure the selection of 15 % of a video at 25 frames per second, with shots of 2 to 10 s."""
    r = np.random.default_rng(0)
    sizes = r.integers(50, 250, duration_s // 6)
    values, capacity = r.random(len(sizes)), int(0.15 * sizes.sum())
    return Row(f"knapsack, two hours in {len(sizes)} shots, capacity of {capacity} frames",
               None, measure_seconds(lambda: knapsack(values, sizes, capacity)))


def shot_features(T: int, dims: int, n_shots: int) -> np.ndarray:
    """Return (T, dims) of unit norm: a random center per shot, and noise that is half as strong."""
    r = np.random.default_rng(T)
    starts = np.zeros(T, dtype=int)
    starts[r.choice(np.arange(1, T), n_shots - 1, replace=False)] = 1
    rows = r.normal(size=(n_shots, dims))[starts.cumsum()] + 0.5 * r.normal(size=(T, dims))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def drift_features(T: int, dims: int) -> np.ndarray:
    """Return (T, dims) of unit norm: a random walk plus noise, without clear shot boundaries."""
    r = np.random.default_rng(1)
    rows = np.cumsum(r.normal(0, 0.02, (T, dims)), axis=0) + 0.5 * r.normal(size=(T, dims))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def textbook_kts(features: np.ndarray, limit: int) -> np.ndarray:
    """Compute KTS as published (Potapov et al., ECCV 2014): all scatters, then the complete table.

    Args:
        features: (T, C), rows of unit norm.
        limit: maximum number of change points.

    Returns:
        (M,) ascending row indices where a new shot starts.
    """
    X = features.astype(np.float64)
    T = len(X)
    sums = np.cumsum(np.cumsum(np.pad(X @ X.T, ((1, 0), (1, 0))), axis=0), axis=1)   # Sums of the Gram matrix.
    squares = np.concatenate([[0], np.cumsum((X**2).sum(axis=1))])
    block_sums = np.diagonal(sums)[None, :] + np.diagonal(sums)[:, None] - sums - sums.T
    length = np.maximum(np.arange(T + 1)[None, :] - np.arange(T + 1)[:, None], 1)
    scatter = squares[None, :] - squares[:, None] - block_sums / length              # [i, j]: of rows [i, j).
    limit = min(limit, T - 1)
    best, start = np.full((limit + 1, T + 1), np.inf), np.zeros((limit + 1, T + 1), dtype=np.int64)
    best[0, 1:] = scatter[0, 1:]
    for m in range(1, limit + 1):
        for j in range(m + 1, T + 1):
            total = best[m - 1, m:j] + scatter[m:j, j]
            start[m, j] = m + total.argmin()
            best[m, j] = total[start[m, j] - m]
    number = np.arange(1, limit + 1)
    penalty = np.concatenate([[0], VMAX * number / (2 * T) * (np.log(T / number) + 1)])
    points, j = [], T
    for m in range(int(np.argmin(best[:, T] / T + penalty)), 0, -1):
        j = start[m, j]
        points.append(j)
    return np.array(points[::-1], dtype=np.int64)
