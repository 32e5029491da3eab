"""pipelines/shots/kts.py: the fast segmentation equals exhaustive dynamic programming."""

import itertools

import numpy as np
import pytest

from pipelines.shots.kts import MAX_PASSES, Scatter, best_change_points, penalized_segmentation


def segment_scatter(rows):
    return ((rows - rows.mean(axis=0)) ** 2).sum()


def slow_change_points(rows, penalty):
    """Return the optimal change points by the O(m n^2) table, cell by cell."""
    T, limit = len(rows), len(penalty) - 1
    best = np.full((limit + 1, T + 1), np.inf)
    last_start = np.zeros((limit + 1, T + 1), dtype=int)
    scatter = {(i, j): segment_scatter(rows[i:j]) for j in range(1, T + 1) for i in range(j)}
    for j in range(1, T + 1):
        best[0, j] = scatter[0, j]
        for m in range(1, min(limit, j - 1) + 1):
            last_start[m, j] = min(range(m, j), key=lambda i: best[m - 1, i] + scatter[i, j])
            best[m, j] = best[m - 1, last_start[m, j]] + scatter[last_start[m, j], j]
    points, j = [], T
    for m in range(int(np.argmin(best[:, T] + penalty)), 0, -1):
        j = last_start[m, j]
        points.append(int(j))
    return points[::-1]


def rows_in_shots(seed, T, n_shots, noise):
    """Return (T, 6) unit rows: a random center per shot plus noise."""
    r = np.random.default_rng(seed)
    rows = r.normal(size=(n_shots, 6))[np.sort(r.integers(0, n_shots, T))] + noise * r.normal(size=(T, 6))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def kts_penalty(T, limit, vmax):
    m = np.arange(limit + 1)
    return np.array([vmax / 2 * k * (np.log(T / k) + 1) if k else 0.0 for k in m])


@pytest.mark.parametrize("seed", range(40))
def test_equals_exhaustive_dynamic_programming(monkeypatch, seed):
    """The seeds vary the limit, the penalty, and how distinct the shots are; small blocks exercise their boundaries."""
    monkeypatch.setattr("pipelines.shots.kts.PRUNE_INTERVAL", 1)
    monkeypatch.setattr("pipelines.shots.kts.BLOCK_SIZE", 8)
    r = np.random.default_rng(1000 + seed)
    T = int(r.integers(2, 60))
    rows = rows_in_shots(seed, T, int(r.integers(1, 12)), r.uniform(0.05, 1.5))
    penalty = kts_penalty(T, int(r.integers(0, T)), r.uniform(0, 1.2))
    assert best_change_points(rows, penalty).tolist() == slow_change_points(rows, penalty)


def scatter_table(rows):
    """Return the scatters (T, T + 1) of all segments [i, j), inf for empty ones."""
    T = len(rows)
    return np.array([[segment_scatter(rows[i:j]) if i < j else np.inf for j in range(T + 1)] for i in range(T)])


def random_rows(seed):
    """Return rows of 1 to 32 steps. Every third video has equal rows and integer values, so that solutions tie."""
    r = np.random.default_rng(5000 + seed)
    T = int(r.integers(1, 33))
    if seed % 3:
        return rows_in_shots(seed, T, int(r.integers(1, 12)), r.uniform(0.05, 1.5)), r
    return r.integers(0, 3, (T, 2)).astype(float).repeat(r.integers(1, 3), axis=0), r


def slow_objective(rows, penalty):
    """Return the least scatter plus penalty, by dynamic programming over all numbers of change points at once."""
    scatter, T = scatter_table(rows), len(rows)
    best = np.full((len(penalty), T + 1), np.inf)
    best[0, 1:] = scatter[0, 1:]
    for j in range(2, T + 1):
        best[1:, j] = (best[:-1, 1:j] + scatter[1:j, j]).min(axis=1)
    return (best[:, T] + penalty).min()


def objective(rows, points, penalty):
    edges = [0, *points, len(rows)]
    return sum(segment_scatter(rows[a:b]) for a, b in itertools.pairwise(edges)) + penalty[len(points)]


@pytest.mark.parametrize("block", range(10))
def test_the_objective_is_optimal_for_many_small_videos(monkeypatch, block):
    monkeypatch.setattr("pipelines.shots.kts.PRUNE_INTERVAL", 1)
    monkeypatch.setattr("pipelines.shots.kts.BLOCK_SIZE", 8)
    for seed in range(30 * block, 30 * block + 30):
        rows, r = random_rows(seed)
        penalty = kts_penalty(len(rows), int(r.integers(0, len(rows))), r.uniform(0, 1.2))
        found = best_change_points(rows, penalty)
        assert len(found) < len(penalty)
        assert objective(rows, found, penalty) == pytest.approx(slow_objective(rows, penalty), abs=1e-9), seed


@pytest.mark.parametrize("block", range(10))
def test_pruning_changes_no_penalized_segmentation(monkeypatch, block):
    """Compare with dynamic programming over all starts; the starts within the slack are the same, too."""
    monkeypatch.setattr("pipelines.shots.kts.PRUNE_INTERVAL", 1)
    monkeypatch.setattr("pipelines.shots.kts.BLOCK_SIZE", 8)
    for seed in range(60 * block, 60 * block + 60):
        rows, r = random_rows(seed)
        T, lam, slack = len(rows), r.uniform(0.01, 2), r.uniform(0, 2)
        scatter, least = scatter_table(rows), np.full(T + 1, -lam)
        totals = {}
        for j in range(1, T + 1):
            totals[j] = least[:j] + scatter[:j, j]
            least[j] = totals[j].min() + lam
        found, points, _ = penalized_segmentation(Scatter(rows), lam)
        assert found == pytest.approx(least[T], abs=1e-9), seed
        assert objective(rows, points, lam * np.arange(T)) == pytest.approx(least[T], abs=1e-9), seed
        found, _, starts_by_end = penalized_segmentation(Scatter(rows), lam, slack)
        assert found == pytest.approx(least[T], abs=1e-9), seed
        for j, starts in enumerate(starts_by_end, start=1):
            assert totals[j].argmin() in starts or seed % 3 == 0
            assert (totals[j][starts] <= totals[j].min() + slack + 1e-9).all(), seed
        # Every start of a segmentation of the complete video within the slack is listed.
        after = np.append(np.zeros(T), 0.0)
        for i in range(T - 1, -1, -1):
            after[i] = min(scatter[i, j] + lam + after[j] for j in range(i + 1, T + 1))
        for j, starts in enumerate(starts_by_end, start=1):
            needed = np.flatnonzero(totals[j] + lam + after[j] <= least[T] + slack - 1e-9)
            assert set(needed) <= set(starts), seed


@pytest.mark.parametrize("passes", [0, 1, 2])
def test_the_number_of_lower_bounds_does_not_change_the_result(monkeypatch, passes):
    """Fewer bounds leave more segments to the table."""
    rows = rows_in_shots(3, 50, 9, 0.3)
    penalty = kts_penalty(50, 4, 0.3)
    expected = best_change_points(rows, penalty).tolist()
    monkeypatch.setattr("pipelines.shots.kts.MAX_PASSES", max(1, passes))
    monkeypatch.setattr("pipelines.shots.kts.MAX_OPEN_GAP", passes)
    assert len(expected) == 4
    assert MAX_PASSES > 2
    assert best_change_points(rows, penalty).tolist() == expected


@pytest.mark.parametrize("cache_bytes", [pytest.param(0, id="no-cache"), pytest.param(1e9, id="large-cache")])
def test_scatters_equal_their_definition(monkeypatch, cache_bytes):
    monkeypatch.setattr("pipelines.shots.kts.CACHE_BYTES", cache_bytes)
    monkeypatch.setattr("pipelines.shots.kts.BLOCK_SIZE", 8)
    rows = rows_in_shots(1, 30, 4, 0.5)
    scatter = Scatter(rows)
    for first in (9, 5, 7):   # A request for earlier starts than those cached, and one for later starts.
        column, costs = scatter.block(16, first)
        assert column <= first
        for r in range(8):
            for i in range(first, 16 + r + 1):
                assert costs[r, i - column] == pytest.approx(segment_scatter(rows[i:17 + r]), abs=1e-12)


def test_penalized_segmentation_returns_the_cost_of_its_change_points():
    rows = rows_in_shots(2, 40, 6, 0.4)
    least, points, starts_by_end = penalized_segmentation(Scatter(rows), 0.7, slack=np.inf)
    edges = [0, *points, 40]
    cost = sum(segment_scatter(rows[a:b]) for a, b in zip(edges, edges[1:], strict=False))
    assert least == pytest.approx(cost + 0.7 * len(points))
    assert [len(starts) for starts in starts_by_end] == list(range(1, 41))   # An infinite slack lists all starts.
