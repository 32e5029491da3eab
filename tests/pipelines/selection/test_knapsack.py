import itertools
import json
from fractions import Fraction

import numpy as np
import pytest

from pipelines.selection.knapsack import (
    best_window,
    frame_scores,
    key_frames,
    key_shots,
    knapsack,
    select_moments,
    select_shots,
)
from tests.paths import EVALUATOR_GOLDENS


def f_scores(machine: np.ndarray, users: list[np.ndarray]) -> np.ndarray:
    """F-score in per cent of selected frames against every user's."""
    scores = []
    for user in users:
        both = (machine & user).sum()
        precision, recall = both / machine.sum(), both / user.sum()
        scores.append(0 if both == 0 else 200 * precision * recall / (precision + recall))
    return np.array(scores)


def mark(shots, indices, n_frames: int) -> np.ndarray:
    frames = np.zeros(n_frames, dtype=bool)
    for i in indices:
        frames[shots[i][0]:shots[i][1] + 1] = True
    return frames


@pytest.mark.skipif(not EVALUATOR_GOLDENS.is_file(), reason="needs ../shared/golden/evaluators.json")
def test_key_shots_equal_the_reference():
    cases = json.loads(EVALUATOR_GOLDENS.read_text())["fscore"]
    assert len(cases) == 6
    for case in cases:
        shots, n_frames = case["shots"], case["n_frames"]
        chosen = key_shots(np.array(shots), np.array(case["scores"]), np.array(case["picks"]), n_frames)
        assert chosen.tolist() == case["summary_shots"]
        users = [mark(shots, user, n_frames) for user in case["user_shots"]]
        f = f_scores(mark(shots, chosen, n_frames), users)
        assert f.mean() == pytest.approx(case["f_avg"], abs=1e-9)
        assert f.max() == pytest.approx(case["f_max"], abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_knapsack_is_the_best_of_all_sets(seed):
    r = np.random.default_rng(seed)
    values, sizes = r.random(9), r.integers(1, 12, 9)
    room = int(r.integers(0, 40))
    every = [list(s) for k in range(10) for s in itertools.combinations(range(9), k)]
    best = max(values[s].sum() for s in every if sizes[s].sum() <= room)
    chosen = knapsack(values, sizes, room)
    assert sizes[chosen].sum() <= room
    assert values[chosen].sum() == pytest.approx(best, abs=1e-12)


def test_knapsack_leaves_the_worthless():
    assert knapsack(np.array([0.0, -1.0, 0.5]), np.array([1, 1, 1]), 3).tolist() == [2]


def test_frame_scores_hold_until_the_next_pick():
    assert frame_scores(np.array([1, 2, 3]), np.array([1, 3, 4]), 7).tolist() == [0, 1, 1, 2, 3, 3, 3]
    with pytest.raises(ValueError, match="picked frame"):
        frame_scores(np.ones(3), np.arange(4), 8)


def test_every_shot_over_the_budget_gives_the_best_part_of_the_best():
    shots = np.array([[0, 49], [50, 99]])
    picks = np.arange(0, 100, 10)
    scores = np.array([0, 0, 0, 0, 0, 0.1, 0.2, 0.9, 0.3, 0.1])
    assert key_shots(shots, scores, picks, 100).tolist() == [1]
    assert key_frames(shots, scores, picks, 100, 0.1).tolist() == [[70, 79]]
    assert key_frames(shots, scores, picks, 100).tolist() == [[70, 84]]   # 0.9 and 0.3 outweigh 0.2 and 0.9


def test_key_frames_are_the_key_shots_where_they_fit():
    shots = np.array([[0, 9], [10, 14], [15, 99]])
    scores = np.array([0.5, 0.9, 0.1])
    assert key_shots(shots, scores, shots[:, 0], 100).tolist() == [0, 1]
    assert key_frames(shots, scores, shots[:, 0], 100).tolist() == [[0, 9], [10, 14]]


def test_a_summary_is_never_empty():
    shots = np.array([[0, 1], [2, 9]])
    assert key_shots(shots, np.zeros(2), shots[:, 0], 10, 0.5).tolist() == [0]      # worthless, but it fits
    assert key_shots(shots, np.array([-2, -1]), shots[:, 0], 10, 0.5).tolist() == [0]   # 1 is too long
    assert key_frames(shots, np.ones(2), shots[:, 0], 10, 0.01).tolist() == [[0, 0]]   # less than a frame


def test_best_part_is_the_earliest_of_equals():
    assert best_window(2, 8, np.array([9, 9, 0, 1, 1, 1, 1, 0, 0, 9]), 2) == (3, 4)
    assert best_window(0, 3, np.array([1, 2, 3, 4]), 4) == (0, 3)


@pytest.mark.parametrize("shots", [np.zeros((0, 2)), [[0, 10]], [[3, 2]], [[-1, 2]]])
def test_refuses_shots_that_are_not_in_the_video(shots):
    with pytest.raises(ValueError, match="shots must be"):
        key_shots(shots, np.ones(1), np.zeros(1), 10)


def edges(n_clips: int, last_s: float = 2) -> list[Fraction]:
    return [Fraction(2 * i) for i in range(n_clips)] + [Fraction(2 * (n_clips - 1)) + Fraction(last_s)]


@pytest.mark.parametrize("budget", [0.1, 0.15, 0.33, 0.5, 0.99])
def test_chosen_shots_fit_and_none_other_is_better(budget):
    r = np.random.default_rng(5)
    shots = np.array([[0, 1], [2, 2], [3, 6], [7, 8], [9, 9], [10, 12]])
    weights, times = r.random(13), edges(13, 1.3)
    chosen = select_shots(shots, weights, times, budget)
    lengths = np.array([float(times[b + 1] - times[a]) for a, b in shots])
    clip_s = np.diff(np.array(times, dtype=float))
    values = np.array([(weights * clip_s)[a:b + 1].sum() for a, b in shots])
    room = budget * 25.3
    every = [list(s) for k in range(7) for s in itertools.combinations(range(6), k)]
    assert lengths[chosen].sum() <= room
    best = max(values[s].sum() for s in every if lengths[s].sum() <= room)
    assert values[chosen].sum() == pytest.approx(best)


def test_a_long_shot_of_good_clips_beats_a_short_poor_one():
    shots = np.array([[0, 3], [4, 4], [5, 9]])
    weights = np.array([0.9] * 4 + [0.3] + [0.1] * 5)
    assert select_shots(shots, weights, edges(10), 0.4).tolist() == [0]


def test_the_whole_budget_keeps_everything_and_a_tiny_one_the_best():
    shots = np.array([[0, 0], [1, 1], [2, 2]])
    assert select_shots(shots, np.zeros(3), edges(3), 1).tolist() == [0, 1, 2]
    assert select_shots(shots, np.array([0, 1, 0.5]), edges(3), 0.001).tolist() == [1]
    assert select_shots(shots, np.zeros(3), edges(3), 0.5).tolist() == [0]


def test_moments_are_kept_whole_while_they_fit():
    spans = [(4, 6), (10, 19), (5, 8), (9, 9), (0, 1)]      # clips of 2 s, 20 of them
    kept = select_moments(spans, np.zeros(20), edges(20), Fraction(12, 40))
    assert kept == [(4, 9)]                                  # 6 s; 20 s do not fit; 4 s more; 2 s more; no room
    assert select_moments(spans, np.zeros(20), edges(20), 1) == [(0, 1), (4, 19)]
    assert select_moments(spans, np.zeros(20), edges(20), Fraction(16, 40)) == [(0, 1), (4, 9)]
    assert select_moments([], np.zeros(20), edges(20), 0.5) == []


def test_of_a_moment_over_the_budget_the_best_part_is_kept():
    scores = np.zeros(20)
    scores[[13, 14]] = 1
    assert select_moments([(10, 19), (0, 1)], scores, edges(20), 0.1) == [(13, 14)]
    assert select_moments([(10, 19)], scores, edges(20), 0.001) == [(13, 13)]
