"""The fast segmentation against the table that tries everything."""

import numpy as np
import pytest

from pipelines.shots.kts import MAX_PASSES, Scatter, best_change_points, penalized_segmentation


def slow_points(rows, price):
    """The O(m n^2) table, cell by cell."""
    T, limit = len(rows), len(price) - 1
    best = np.full((limit + 1, T + 1), np.inf)
    came = np.zeros((limit + 1, T + 1), dtype=int)
    scatter = {(i, j): ((rows[i:j] - rows[i:j].mean(axis=0)) ** 2).sum() for j in range(1, T + 1) for i in range(j)}
    for j in range(1, T + 1):
        best[0, j] = scatter[0, j]
        for m in range(1, min(limit, j - 1) + 1):
            came[m, j] = min(range(m, j), key=lambda i: best[m - 1, i] + scatter[i, j])
            best[m, j] = best[m - 1, came[m, j]] + scatter[came[m, j], j]
    points, j = [], T
    for m in range(int(np.argmin(best[:, T] + price)), 0, -1):
        j = came[m, j]
        points.append(int(j))
    return points[::-1]


def rows_in_shots(seed, T, shots, noise):
    r = np.random.default_rng(seed)
    rows = r.normal(size=(shots, 6))[np.sort(r.integers(0, shots, T))] + noise * r.normal(size=(T, 6))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def kts_price(T, limit, vmax):
    m = np.arange(limit + 1)
    return np.array([vmax / 2 * k * (np.log(T / k) + 1) if k else 0.0 for k in m])


@pytest.mark.parametrize("seed", range(40))
def test_equals_the_table_that_tries_everything(monkeypatch, seed):
    """With limits that bind and that do not, dear and cheap change points, clear shots and none."""
    monkeypatch.setattr("pipelines.shots.kts.PRUNE_INTERVAL", 1)
    monkeypatch.setattr("pipelines.shots.kts.BLOCK_SIZE", 8)
    r = np.random.default_rng(1000 + seed)
    T = int(r.integers(2, 60))
    rows = rows_in_shots(seed, T, int(r.integers(1, 12)), r.uniform(0.05, 1.5))
    price = kts_price(T, int(r.integers(0, T)), r.uniform(0, 1.2))
    assert best_change_points(rows, price).tolist() == slow_points(rows, price)


@pytest.mark.parametrize("passes", [0, 1, 2])
def test_few_lines_leave_more_to_the_table_and_change_nothing(monkeypatch, passes):
    rows = rows_in_shots(3, 50, 9, 0.3)
    price = kts_price(50, 4, 0.3)
    whole = best_change_points(rows, price).tolist()
    monkeypatch.setattr("pipelines.shots.kts.MAX_PASSES", max(1, passes))
    monkeypatch.setattr("pipelines.shots.kts.MAX_OPEN_GAP", passes)
    assert len(whole) == 4 and MAX_PASSES > 2
    assert best_change_points(rows, price).tolist() == whole


@pytest.mark.parametrize("memory", [0, 1e9])
def test_scatters_are_those_of_the_rows(monkeypatch, memory):
    monkeypatch.setattr("pipelines.shots.kts.CACHE_BYTES", memory)
    monkeypatch.setattr("pipelines.shots.kts.BLOCK_SIZE", 8)
    rows = rows_in_shots(1, 30, 4, 0.5)
    scatter = Scatter(rows)
    for first in (9, 5, 7):
        column, costs = scatter.block(16, first)
        assert column <= first
        for r in range(8):
            for i in range(first, 16 + r + 1):
                expected = ((rows[i:17 + r] - rows[i:17 + r].mean(axis=0)) ** 2).sum()
                assert costs[r, i - column] == pytest.approx(expected, abs=1e-12)


def test_a_price_for_each_change_point_gives_the_least_sum():
    rows = rows_in_shots(2, 40, 6, 0.4)
    least, points, listed = penalized_segmentation(Scatter(rows), 0.7, slack=np.inf)
    edges = [0, *points, 40]
    cost = sum(((rows[a:b] - rows[a:b].mean(axis=0)) ** 2).sum() for a, b in zip(edges, edges[1:], strict=False))
    assert least == pytest.approx(cost + 0.7 * len(points))
    assert [len(starts) for starts in listed] == list(range(1, 41))   # without limit to the loss all are listed
