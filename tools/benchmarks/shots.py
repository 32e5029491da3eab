"""KTS beside the textbook's table over all numbers of change points, and the knapsack of a long video's shots."""

from __future__ import annotations

import numpy as np

from common.errors import InputError
from pipelines.selection.knapsack import knapsack
from pipelines.shots.segmentation import MAX_CHANGE_POINTS, change_points

from . import Row, seconds

VMAX = 0.55


def measure() -> list[Row]:
    made = {f"{shots} shots": lambda shots=shots: _rows(14400, 512, shots) for shots in (60, 500, 1500)}
    made |= {"slow drift": lambda: _drift(14400, 512), "noise alone": lambda: _rows(14400, 512, 14400)}
    return [_beside_the_table(2400), *(_long(name, make()) for name, make in made.items()), _knapsack(2 * 3600)]


def _beside_the_table(T: int) -> Row:
    rows, found = _rows(T, 128, 60), {}
    plain = seconds(lambda: found.update(plain=textbook(rows, MAX_CHANGE_POINTS)), times=1, warm_up=False)
    fast = seconds(lambda: found.update(fast=change_points(rows, vmax=VMAX)))
    if found["plain"].tolist() != found["fast"].tolist():
        raise InputError(f"KTS, {T} x 128 rows: {len(found['fast'])} change points, but the textbook's table has "
                         f"{len(found['plain'])}, or others; pipelines/kts.py is at fault")
    return Row(f"KTS, {T} x 128 rows", plain, fast,
               f"the same {len(found['fast'])} change points")


def _long(name: str, rows: np.ndarray) -> Row:
    found: dict[str, np.ndarray] = {}
    fast = seconds(lambda: found.update(fast=change_points(rows, vmax=VMAX)), warm_up=False)
    T, width = rows.shape
    return Row(f"KTS, two hours at 2 rows a second, {T} x {width}, {name}", None, fast,
               f"{len(found['fast'])} change points")


def _knapsack(duration_s: int) -> Row:
    """Shots of 2 to 10 s of a video of 25 frames a second, of which 15 % are kept."""
    r = np.random.default_rng(0)
    sizes = r.integers(50, 250, duration_s // 6)
    values, room = r.random(len(sizes)), int(0.15 * sizes.sum())
    return Row(f"knapsack, two hours in {len(sizes)} shots, room for {room} frames",
               None, seconds(lambda: knapsack(values, sizes, room)))


def _rows(T: int, width: int, shots: int) -> np.ndarray:
    """(T, width) of unit norm: a random centre for each shot, and noise half as strong around it."""
    r = np.random.default_rng(T)
    new = np.zeros(T, dtype=int)
    new[r.choice(np.arange(1, T), shots - 1, replace=False)] = 1
    rows = r.normal(size=(shots, width))[new.cumsum()] + 0.5 * r.normal(size=(T, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _drift(T: int, width: int) -> np.ndarray:
    """(T, width) of unit norm: a random walk, and noise around it, so that shots have no clear borders."""
    r = np.random.default_rng(1)
    rows = np.cumsum(r.normal(0, 0.02, (T, width)), axis=0) + 0.5 * r.normal(size=(T, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def textbook(features: np.ndarray, limit: int) -> np.ndarray:
    """KTS as published (Potapov et al., ECCV 2014): all scatters, then the table row by row and end by end."""
    X = features.astype(np.float64)
    T = len(X)
    sums = np.cumsum(np.cumsum(np.pad(X @ X.T, ((1, 0), (1, 0))), axis=0), axis=1)   # of the Gram matrix
    own = np.concatenate([[0], np.cumsum((X**2).sum(axis=1))])
    square = np.diagonal(sums)[None, :] + np.diagonal(sums)[:, None] - sums - sums.T
    length = np.maximum(np.arange(T + 1)[None, :] - np.arange(T + 1)[:, None], 1)
    scatter = own[None, :] - own[:, None] - square / length                          # [i, j]: rows [i, j)
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
