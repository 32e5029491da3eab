"""Metrics of moment retrieval on Charades-STA."""

import pytest

from common.errors import InputError
from datasets.eval import eval_charades


@pytest.mark.parametrize("predictions, message", [
    ([], "1 missing"),
    ([dict(qid=1, pred_relevant_windows=[])] * 2, "1 duplicate"),
    ([dict(qid=1, pred_relevant_windows=[]), dict(qid=2)], "1 unknown"),
    ([dict(qid=1)], "qid 1: pred_relevant_windows must"),
    ([dict(qid=1, pred_relevant_windows=[[0, 1, float("nan")]])], "NaN"),
])
def test_invalid_predictions_are_rejected(predictions, message):
    with pytest.raises(InputError, match=message):
        eval_charades(predictions, [dict(qid=1, relevant_windows=[[0, 1]])])


def test_prediction_without_windows_has_zero_recall():
    metrics = eval_charades([dict(qid=1, pred_relevant_windows=[])], [dict(qid=1, relevant_windows=[[0, 1]])])
    assert set(metrics.values()) == {0}
