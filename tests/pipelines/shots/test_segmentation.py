import itertools
import json

import numpy as np
import pytest

from pipelines.shots.segmentation import change_points, refine_shots, shots_from_change_points
from tests.paths import EVALUATOR_GOLDENS

SEED = 11


def golden_cases() -> list[dict]:
    return json.loads(EVALUATOR_GOLDENS.read_text())["kts"]["cases"] if EVALUATOR_GOLDENS.is_file() else []


def golden_features(case: dict) -> np.ndarray:
    """The recipe that the golden file states."""
    T, d, n = case["T"], case["d"], case["nseg"]
    r = np.random.default_rng([SEED, case["stream"]])
    cuts = np.sort(r.choice(np.arange(1, T), n - 1, replace=False))
    segment = np.zeros(T, dtype=int)
    segment[cuts] = 1
    centres = r.normal(0, 1, (n, d))
    features = centres[segment.cumsum()] + 0.5 * r.normal(0, 1, (T, d))
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.skipif(not EVALUATOR_GOLDENS.is_file(), reason="needs ../shared/golden/evaluators.json")
def test_equals_the_reference():
    cases = golden_cases()
    assert len(cases) == 6
    for case in cases:
        found = change_points(golden_features(case), case["ncp"], case["vmax"])
        assert found.tolist() == case["change_points"], case["T"]


def slow_change_points(X: np.ndarray, vmax: float) -> list[int]:
    """Every set of change points, tried."""
    T = len(X)

    def objective(points: tuple[int, ...]) -> float:
        segments = itertools.pairwise((0, *points, T))
        scatter = sum(((X[a:b] - X[a:b].mean(0)) ** 2).sum() for a, b in segments)
        m = len(points)
        return scatter / T + (vmax * m / (2 * T) * (np.log(T / m) + 1) if m else 0)

    every = [p for m in range(T) for p in itertools.combinations(range(1, T), m)]
    return list(min(every, key=objective))


@pytest.mark.parametrize("seed", range(6))
def test_no_other_set_of_change_points_is_better(seed):
    r = np.random.default_rng(seed)
    X = r.normal(size=(3, 4))[np.sort(r.integers(0, 3, 10))] + 0.3 * r.normal(size=(10, 4))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    assert change_points(X, vmax=0.4).tolist() == slow_change_points(X, 0.4)


def test_blocks_change_nothing(monkeypatch):
    X = golden_features(dict(T=150, d=16, nseg=9, stream=7))
    whole = change_points(X)
    monkeypatch.setattr("pipelines.shots.kts.BLOCK_SIZE", 7)
    assert len(whole) > 3
    assert change_points(X).tolist() == whole.tolist()


def test_limit_and_penalty_bound_the_number():
    X = golden_features(dict(T=120, d=16, nseg=12, stream=3))
    assert len(change_points(X)) > 4
    assert len(change_points(X, max_change_points=3)) == 3
    assert len(change_points(X, max_change_points=0)) == 0
    assert len(change_points(X, vmax=1000)) == 0


@pytest.mark.parametrize("T", [1, 2, 50])
def test_a_constant_video_is_one_shot(T):
    assert change_points(np.full((T, 8), 8**-0.5)).tolist() == []


def test_more_than_120_changes_are_found_only_when_asked_for():
    X = np.eye(200)[np.arange(400) // 2]   # 200 shots of two rows
    assert len(change_points(X)) <= 120
    assert change_points(X, max_change_points=399, vmax=0.01).tolist() == list(range(2, 400, 2))


@pytest.mark.parametrize("features", [np.zeros((0, 4)), np.zeros(4), np.array([[np.nan, 1]])])
def test_refuses_what_is_no_matrix_of_features(features):
    with pytest.raises(ValueError, match="finite"):
        change_points(features)


def test_refuses_a_negative_limit():
    with pytest.raises(ValueError, match="must not be negative"):
        change_points(np.eye(3), max_change_points=-1)


def test_shots_from_points():
    assert shots_from_change_points([3, 7], 10).tolist() == [[0, 2], [3, 6], [7, 9]]
    assert shots_from_change_points([], 4).tolist() == [[0, 3]]
    assert shots_from_change_points([0, 2, 2, 4, 9], 4).tolist() == [[0, 1], [2, 3]]


def test_refining_cuts_at_edges_and_drops_the_border_beside():
    shots = shots_from_change_points([4, 10], 16)
    assert refine_shots(shots, [5], 99).tolist() == [[0, 4], [5, 9], [10, 15]]    # 4 gives way to 5
    assert refine_shots(shots, [2, 10], 99).tolist() == [[0, 1], [2, 3], [4, 9], [10, 15]]


@pytest.mark.parametrize("max_len", [1, 2, 3, 5, 100])
def test_refined_shots_are_short_and_cover_everything(max_len):
    shots = refine_shots(shots_from_change_points([4, 17, 18], 31), [0, 9, 31], max_len)
    assert shots[0, 0] == 0 and shots[-1, 1] == 30
    assert (shots[1:, 0] == shots[:-1, 1] + 1).all()
    lengths = shots[:, 1] - shots[:, 0] + 1
    assert lengths.min() >= 1 and lengths.max() <= max_len
    assert 9 in shots[:, 0]
