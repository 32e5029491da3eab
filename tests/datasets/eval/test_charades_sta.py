"""Metrics of moment retrieval on Charades-STA."""

import pytest

from common.errors import InputError
from datasets.eval import eval_charades
from tests.golden.inputs import charades_pairs, read_golden


def test_recall_equals_the_published_metric():
    assert eval_charades(*charades_pairs()) == pytest.approx(read_golden("evaluators")["charades"])


def recall(windows, sigma=0.5):
    """Return the metrics of the windows of a single query, whose moment is [0, 10]."""
    return eval_charades([dict(qid="a", pred_relevant_windows=windows)], [dict(qid="a", relevant_windows=[[0, 10]])],
                         sigma)


@pytest.mark.parametrize("end_s, hits", [
    pytest.param(4.9, (0, 0), id="below-0.5"),
    pytest.param(5, (1, 0), id="exactly-0.5"),
    pytest.param(6.9, (1, 0), id="below-0.7"),
    pytest.param(7, (1, 1), id="exactly-0.7"),
])
def test_a_window_at_the_threshold_is_a_hit(end_s, hits):
    metrics = recall([[0, end_s, 1]])
    assert metrics == {"Rank1@0.5": hits[0], "Rank1@0.7": hits[1], "Rank5@0.5": hits[0], "Rank5@0.7": hits[1]}


@pytest.mark.parametrize("rank, expected", [(1, (1, 1)), (2, (0, 1)), (5, (0, 1)), (6, (0, 0))])
def test_only_the_first_windows_count(rank, expected):
    misses = [[20 + 10 * i, 30 + 10 * i, 1 - i / 10] for i in range(6)]
    metrics = recall([*misses[:rank - 1], [0, 10, 1 - (rank - 1) / 10 + 0.05], *misses[rank - 1:]])
    assert (metrics["Rank1@0.7"], metrics["Rank5@0.7"]) == expected


def test_soft_nms_changes_the_order():
    """The hit is similar to a better window, so that soft-NMS moves it from the second to the last of seven ranks."""
    windows = [[0, 4.9, 1], [0, 5, 0.9], *([20 + 10 * i, 30 + 10 * i, 0.5] for i in range(5))]
    assert recall(windows)["Rank5@0.5"] == 0
    assert recall(windows, sigma=0)["Rank5@0.5"] == 1


def test_recall_is_a_share_of_all_queries():
    predictions = [dict(qid=i, pred_relevant_windows=[[0, 10 if i else 1, 1]]) for i in range(4)]
    labels = [dict(qid=i, relevant_windows=[[0, 10]]) for i in range(4)]
    assert eval_charades(predictions, labels)["Rank1@0.5"] == 0.75


@pytest.mark.parametrize("predictions, message", [
    ([], "there are labels but no predictions of qid 1"),
    ([dict(qid=1, pred_relevant_windows=[])] * 2, "the predictions have duplicates of qid 1"),
    ([dict(qid=1, pred_relevant_windows=[]), dict(qid=2)], "there are predictions but no labels of qid 2"),
    ([dict(qid=1)], "qid 1: pred_relevant_windows must"),
    ([dict(qid=1, pred_relevant_windows=[[0, 1, float("nan")]])], "NaN"),
])
def test_invalid_predictions_are_rejected(predictions, message):
    with pytest.raises(InputError, match=message):
        eval_charades(predictions, [dict(qid=1, relevant_windows=[[0, 1]])])


def test_prediction_without_windows_has_zero_recall():
    metrics = eval_charades([dict(qid=1, pred_relevant_windows=[])], [dict(qid=1, relevant_windows=[[0, 1]])])
    assert set(metrics.values()) == {0}
