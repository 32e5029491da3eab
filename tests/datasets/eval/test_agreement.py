"""Test F scores and rank correlations against published values and slow implementations."""

import numpy as np
import pytest

from common.errors import InputError
from datasets.eval import f_score, rank_correlation
from tests.golden.inputs import key_shot_case, read_golden


def frames(selected, shots, n_frames):
    """Return 1 for every frame of the selected shots, else 0."""
    kept = np.zeros(n_frames, dtype=int)
    for i in selected:
        kept[shots[i][0]:shots[i][1] + 1] = 1
    return kept


def test_f_score_equals_published_values():
    cases = read_golden("key_shots")["cases"]
    assert len(cases) == 2
    for case in map(key_shot_case, cases):
        machine = frames(case["summary_shots"], case["shots"], case["n_frames"])
        users = np.array([frames(u, case["shots"], case["n_frames"]) for u in case["user_shots"]])
        assert f_score(machine, users, "avg") == pytest.approx(case["f_avg"], abs=1e-9)
        assert f_score(machine, users, "max") == pytest.approx(case["f_max"], abs=1e-9)


def slow_f(machine, user):
    both = len(machine & user)
    if both == 0:
        return 0
    precision, recall = both / len(machine), both / len(user)
    return 100 * 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("seed", range(10))
def test_f_score_equals_a_slow_implementation(seed):
    r = np.random.default_rng(seed)
    machine, users = r.random(20) < r.random(), r.random((4, 20)) < r.random((4, 1))
    if seed == 0:
        machine[:], users[1] = False, False   # Neither the machine nor user 1 keeps a frame.
    each = [slow_f(set(np.flatnonzero(machine)), set(np.flatnonzero(user))) for user in users]
    assert f_score(machine, users, "avg") == pytest.approx(np.mean(each))
    assert f_score(machine.astype(float), users.astype(int), "max") == pytest.approx(max(each))


@pytest.mark.parametrize("machine, users, reduce, message", [
    ([0, 1], [[1, 0, 1]], "avg", r"\(2,\) and the users' summaries \(1, 3\)"),
    ([0, 1], [1, 0], "avg", "they must be .N,. and .U, N."),
    ([0, 0.5], [[1, 0]], "avg", "0 or 1 for every frame"),
    ([0, 1], [[1, 0]], "mean", "reduce='mean'; use 'avg'"),
])
def test_invalid_summaries_are_named(machine, users, reduce, message):
    with pytest.raises(InputError, match=message):
        f_score(machine, users, reduce)


def slow_tau(x, y):
    """Return Kendall's tau-b by a loop over all pairs."""
    n, agree, untied_x, untied_y = len(x), 0, 0, 0
    for i in range(n):
        for j in range(i):
            dx, dy = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
            agree, untied_x, untied_y = agree + dx * dy, untied_x + dx * dx, untied_y + dy * dy
    return agree / np.sqrt(untied_x * untied_y)


def slow_rho(x, y):
    """Return Spearman's rho, Pearson's correlation of the ranks; equal values share their mean rank."""
    ranks = [[np.mean([sum(b < a for b in z), sum(b <= a for b in z) - 1]) for a in z] for z in (x, y)]
    return np.corrcoef(*ranks)[0, 1]


@pytest.mark.parametrize("seed", range(10))
def test_rank_correlation_equals_slow_implementations(seed):
    r = np.random.default_rng(seed)
    scores, users = r.integers(0, 9, 15), r.integers(1, 6, (4, 15))
    tau, rho = rank_correlation(scores, users)
    assert tau == pytest.approx(np.mean([slow_tau(scores, u) for u in users]))
    assert rho == pytest.approx(np.mean([slow_rho(scores, u) for u in users]))


def test_the_correlation_is_the_mean_over_annotators():
    """Do not average the annotators' scores first, since the mean of opposite annotators has another order."""
    scores = np.array([1, 2, 3, 4])
    assert rank_correlation(scores, np.array([scores, -scores, -scores])) == pytest.approx((-1 / 3, -1 / 3))


def test_annotators_with_equal_scores_are_ignored_and_equal_predictions_have_correlation_0():
    scores = np.array([1, 2, 3])
    assert rank_correlation(scores, np.array([[1, 2, 3], [5, 5, 5]])) == pytest.approx((1, 1))
    assert rank_correlation(np.ones(3), np.array([[1, 2, 3]])) == (0, 0)
    with pytest.raises(InputError, match="no ranking"):
        rank_correlation(scores, np.ones((2, 3)))


@pytest.mark.parametrize("scores, users, message", [
    ([1, 2, 3], [[1, 2]], r"scores have shape \(3,\) and user_scores \(1, 2\)"),
    ([1], [[1]], "N at least 2"),
    ([1, float("inf")], [[1, 2]], "NaN or infinity"),
])
def test_invalid_scores_are_named(scores, users, message):
    with pytest.raises(InputError, match=message):
        rank_correlation(scores, users)
