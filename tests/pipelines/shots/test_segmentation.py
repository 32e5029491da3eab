"""pipelines/shots/segmentation.py: KTS equals the reference implementation, and shots cover all rows."""

import itertools

import numpy as np
import pytest

from pipelines.shots.segmentation import change_points, refine_shots, shots_from_change_points
from tests.golden.inputs import kts_features, read_golden


def test_equals_the_reference_implementation():
    cases = read_golden("kts")["cases"]
    assert len(cases) == 6
    for case in cases:
        features = kts_features(case["T"], case["d"], case["nseg"], case["stream"])
        assert change_points(features, case["ncp"], case["vmax"]).tolist() == case["change_points"], case["T"]


def slow_change_points(X: np.ndarray, vmax: float) -> list[int]:
    """Return the best of all sets of change points, by exhaustive search."""
    T = len(X)

    def objective(points: tuple[int, ...]) -> float:
        segments = itertools.pairwise((0, *points, T))
        scatter = sum(((X[a:b] - X[a:b].mean(0)) ** 2).sum() for a, b in segments)
        m = len(points)
        return scatter / T + (vmax * m / (2 * T) * (np.log(T / m) + 1) if m else 0)

    candidates = [p for m in range(T) for p in itertools.combinations(range(1, T), m)]
    return list(min(candidates, key=objective))


@pytest.mark.parametrize("seed", range(6))
def test_equals_exhaustive_search(seed):
    r = np.random.default_rng(seed)
    X = r.normal(size=(3, 4))[np.sort(r.integers(0, 3, 10))] + 0.3 * r.normal(size=(10, 4))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    assert change_points(X, vmax=0.4).tolist() == slow_change_points(X, 0.4)


def test_the_block_size_does_not_change_the_result(monkeypatch):
    X = kts_features(T=150, d=16, nseg=9, stream=7)
    expected = change_points(X)
    monkeypatch.setattr("pipelines.shots.kts.BLOCK_SIZE", 7)
    assert len(expected) > 3
    assert change_points(X).tolist() == expected.tolist()


def test_limit_and_penalty_bound_the_number_of_change_points():
    X = kts_features(T=120, d=16, nseg=12, stream=3)
    assert len(change_points(X)) > 4
    assert len(change_points(X, max_change_points=3)) == 3
    assert len(change_points(X, max_change_points=0)) == 0
    assert len(change_points(X, vmax=1000)) == 0


@pytest.mark.parametrize("T", [1, 2, 50])
def test_a_constant_video_is_one_shot(T):
    assert change_points(np.full((T, 8), 8**-0.5)).tolist() == []


def test_the_default_limit_is_120_change_points():
    X = np.eye(200)[np.arange(400) // 2]   # 200 shots of two rows each.
    assert len(change_points(X)) <= 120
    assert change_points(X, max_change_points=399, vmax=0.01).tolist() == list(range(2, 400, 2))


@pytest.mark.parametrize("features", [
    pytest.param(np.zeros((0, 4)), id="no-rows"),
    pytest.param(np.zeros(4), id="one-dimensional"),
    pytest.param(np.array([[np.nan, 1]]), id="nan"),
])
def test_invalid_features_are_rejected(features):
    with pytest.raises(ValueError, match="finite"):
        change_points(features)


def test_a_negative_limit_is_rejected():
    with pytest.raises(ValueError, match="must not be negative"):
        change_points(np.eye(3), max_change_points=-1)


@pytest.mark.parametrize(("points", "n", "shots"), [
    pytest.param([3, 7], 10, [[0, 2], [3, 6], [7, 9]], id="two-points"),
    pytest.param([], 4, [[0, 3]], id="no-points"),
    pytest.param([0, 2, 2, 4, 9], 4, [[0, 1], [2, 3]], id="duplicates-and-points-outside"),
])
def test_shots_from_change_points(points, n, shots):
    assert shots_from_change_points(points, n).tolist() == shots


@pytest.mark.parametrize(("edges", "refined"), [
    pytest.param([5], [[0, 4], [5, 9], [10, 15]], id="boundary-4-beside-the-edge-is-dropped"),
    pytest.param([2, 10], [[0, 1], [2, 3], [4, 9], [10, 15]], id="edge-on-a-boundary"),
])
def test_shots_are_split_at_edges(edges, refined):
    assert refine_shots(shots_from_change_points([4, 10], 16), edges, 99).tolist() == refined


@pytest.mark.parametrize("max_len", [1, 2, 3, 5, 100])
def test_refined_shots_are_short_and_cover_all_rows(max_len):
    shots = refine_shots(shots_from_change_points([4, 17, 18], 31), [0, 9, 31], max_len)
    assert shots[0, 0] == 0
    assert shots[-1, 1] == 30
    assert (shots[1:, 0] == shots[:-1, 1] + 1).all()
    lengths = shots[:, 1] - shots[:, 0] + 1
    assert lengths.min() >= 1
    assert lengths.max() <= max_len
    assert 9 in shots[:, 0]
