"""pipelines/selection/knapsack.py: selections are optimal, within the budget, and equal to the reference."""

import itertools
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
from tests.golden.inputs import key_shot_case, read_golden


def f_scores(machine: np.ndarray, users: list[np.ndarray]) -> np.ndarray:
    """Return the F-score in percent of selected frames against every user's."""
    scores = []
    for user in users:
        both = (machine & user).sum()
        precision, recall = both / machine.sum(), both / user.sum()
        scores.append(0 if both == 0 else 200 * precision * recall / (precision + recall))
    return np.array(scores)


def frame_mask(shots, indices, n_frames: int) -> np.ndarray:
    """Return (n_frames,) bool, True in the shots of the indices."""
    mask = np.zeros(n_frames, dtype=bool)
    for i in indices:
        mask[shots[i][0]:shots[i][1] + 1] = True
    return mask


def test_key_shots_equal_the_reference_implementation():
    cases = read_golden("key_shots")["cases"]
    assert len(cases) == 2
    for case in map(key_shot_case, cases):
        shots, n_frames = case["shots"], case["n_frames"]
        selected = key_shots(shots, np.array(case["scores"]), case["picks"], n_frames)
        assert selected.tolist() == case["summary_shots"]
        users = [frame_mask(shots, user, n_frames) for user in case["user_shots"]]
        f = f_scores(frame_mask(shots, selected, n_frames), users)
        assert f.mean() == pytest.approx(case["f_avg"], abs=1e-9)
        assert f.max() == pytest.approx(case["f_max"], abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_knapsack_equals_exhaustive_search(seed):
    r = np.random.default_rng(seed)
    values, sizes = r.random(9), r.integers(1, 12, 9)
    capacity = int(r.integers(0, 40))
    subsets = [list(s) for k in range(10) for s in itertools.combinations(range(9), k)]
    best = max(values[s].sum() for s in subsets if sizes[s].sum() <= capacity)
    selected = knapsack(values, sizes, capacity)
    assert sizes[selected].sum() <= capacity
    assert values[selected].sum() == pytest.approx(best, abs=1e-12)


def test_knapsack_selects_no_item_without_value():
    assert knapsack(np.array([0.0, -1.0, 0.5]), np.array([1, 1, 1]), 3).tolist() == [2]


def test_frame_scores_are_constant_until_the_next_sampled_frame():
    assert frame_scores(np.array([1, 2, 3]), np.array([1, 3, 4]), 7).tolist() == [0, 1, 1, 2, 3, 3, 3]


def test_frame_scores_need_one_score_per_sampled_frame():
    with pytest.raises(ValueError, match="picked frame"):
        frame_scores(np.ones(3), np.arange(4), 8)


def test_if_no_shot_fits_the_result_is_the_best_part_of_the_best_shot():
    shots = np.array([[0, 49], [50, 99]])
    picks = np.arange(0, 100, 10)
    scores = np.array([0, 0, 0, 0, 0, 0.1, 0.2, 0.9, 0.3, 0.1])
    assert key_shots(shots, scores, picks, 100).tolist() == [1]
    assert key_frames(shots, scores, picks, 100, 0.1).tolist() == [[70, 79]]
    assert key_frames(shots, scores, picks, 100).tolist() == [[70, 84]]   # 0.9 and 0.3 outweigh 0.2 and 0.9.


def test_key_frames_equal_the_key_shots_that_fit():
    shots = np.array([[0, 9], [10, 14], [15, 99]])
    scores = np.array([0.5, 0.9, 0.1])
    assert key_shots(shots, scores, shots[:, 0], 100).tolist() == [0, 1]
    assert key_frames(shots, scores, shots[:, 0], 100).tolist() == [[0, 9], [10, 14]]


def test_a_summary_is_never_empty():
    shots = np.array([[0, 1], [2, 9]])
    # The first shot fits, although its value is 0; the second one is too long, although it is better.
    assert key_shots(shots, np.zeros(2), shots[:, 0], 10, 0.5).tolist() == [0]
    assert key_shots(shots, np.array([-2, -1]), shots[:, 0], 10, 0.5).tolist() == [0]
    assert key_frames(shots, np.ones(2), shots[:, 0], 10, 0.01).tolist() == [[0, 0]]   # The budget is below one frame.


def test_best_window_is_the_earliest_among_equals():
    assert best_window(2, 8, np.array([9, 9, 0, 1, 1, 1, 1, 0, 0, 9]), 2) == (3, 4)
    assert best_window(0, 3, np.array([1, 2, 3, 4]), 4) == (0, 3)


@pytest.mark.parametrize("shots", [
    pytest.param(np.zeros((0, 2)), id="no-shots"),
    pytest.param([[0, 10]], id="beyond-the-end"),
    pytest.param([[3, 2]], id="end-before-start"),
    pytest.param([[-1, 2]], id="before-the-start"),
])
def test_shots_outside_the_video_are_rejected(shots):
    with pytest.raises(ValueError, match="shots must be"):
        key_shots(shots, np.ones(1), np.zeros(1), 10)


def edges(n_clips: int, last_s: float = 2) -> list[Fraction]:
    """Return the edges of clips of 2 s; the last clip lasts `last_s`."""
    return [Fraction(2 * i) for i in range(n_clips)] + [Fraction(2 * (n_clips - 1)) + Fraction(last_s)]


@pytest.mark.parametrize("budget", [0.1, 0.15, 0.33, 0.5, 0.99])
def test_selected_shots_fit_and_equal_exhaustive_search(budget):
    r = np.random.default_rng(5)
    shots = np.array([[0, 1], [2, 2], [3, 6], [7, 8], [9, 9], [10, 12]])
    weights, times = r.random(13), edges(13, 1.3)
    selected = select_shots(shots, weights, times, budget)
    lengths = np.array([float(times[b + 1] - times[a]) for a, b in shots])
    clip_s = np.diff(np.array(times, dtype=float))
    values = np.array([(weights * clip_s)[a:b + 1].sum() for a, b in shots])
    room_s = budget * 25.3
    subsets = [list(s) for k in range(7) for s in itertools.combinations(range(6), k)]
    assert lengths[selected].sum() <= room_s
    best = max(values[s].sum() for s in subsets if lengths[s].sum() <= room_s)
    assert values[selected].sum() == pytest.approx(best)


def test_durations_are_rounded_up_so_that_the_budget_is_never_exceeded():
    """A clip is 20 ticks of 0.1 s; the last shot lasts 0.19 s, and 0.15 s are left beside a shot of 2 s."""
    times = [Fraction(0), Fraction(2), Fraction(4), Fraction(419, 100)]
    shots, weights = np.array([[0, 0], [1, 1], [2, 2]]), np.array([1, 0.5, 1])
    assert select_shots(shots, weights, times, Fraction(215, 419)).tolist() == [0]
    assert select_shots(shots, weights, times, Fraction(220, 419)).tolist() == [0, 2]


def test_a_long_good_shot_beats_a_short_poor_one():
    shots = np.array([[0, 3], [4, 4], [5, 9]])
    weights = np.array([0.9] * 4 + [0.3] + [0.1] * 5)
    assert select_shots(shots, weights, edges(10), 0.4).tolist() == [0]


@pytest.mark.parametrize(("weights", "budget", "selected"), [
    pytest.param([0, 0, 0], 1, [0, 1, 2], id="full-budget-selects-all"),
    pytest.param([0, 1, 0.5], 0.001, [1], id="tiny-budget-selects-the-best"),
    pytest.param([0, 0, 0], 0.5, [0], id="no-weight-selects-the-first"),
])
def test_selection_at_extreme_budgets_and_weights(weights, budget, selected):
    shots = np.array([[0, 0], [1, 1], [2, 2]])
    assert select_shots(shots, np.array(weights), edges(3), budget).tolist() == selected


@pytest.mark.parametrize(("moments", "budget", "selected"), [
    # 6 s fit; 20 s do not; 4 s more, which overlap, and 2 s more fit; the last 4 s do not.
    pytest.param([(4, 6), (10, 19), (5, 8), (9, 9), (0, 1)], Fraction(12, 40), [(4, 9)], id="12-s"),
    pytest.param([(4, 6), (10, 19), (5, 8), (9, 9), (0, 1)], 1, [(0, 1), (4, 19)], id="full-budget"),
    pytest.param([(4, 6), (10, 19), (5, 8), (9, 9), (0, 1)], Fraction(16, 40), [(0, 1), (4, 9)], id="16-s"),
    pytest.param([], 0.5, [], id="no-moments"),
])
def test_moments_are_selected_completely_while_they_fit(moments, budget, selected):
    assert select_moments(moments, np.zeros(20), edges(20), budget) == selected   # 20 clips of 2 s.


@pytest.mark.parametrize(("moments", "budget", "selected"), [
    pytest.param([(10, 19), (0, 1)], 0.1, [(13, 14)], id="two-clips"),
    pytest.param([(10, 19)], 0.001, [(13, 13)], id="at-least-one-clip"),
])
def test_of_a_first_moment_over_the_budget_only_the_best_part_is_selected(moments, budget, selected):
    scores = np.zeros(20)
    scores[[13, 14]] = 1
    assert select_moments(moments, scores, edges(20), budget) == selected
