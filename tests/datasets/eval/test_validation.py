"""Predictions and labels are checked before metrics are computed."""

import numpy as np
import pytest

from common.errors import InputError
from datasets.eval.validation import ANY_WIDTH, all_have, finite_arrays, match_by_qid, positive_number


def entries(*qids):
    return [dict(qid=qid) for qid in qids]


def test_predictions_are_matched_by_qid():
    predictions = entries(2, "a", "1")
    assert match_by_qid(predictions, entries(1, "2", "a")) == [predictions[2], predictions[0], predictions[1]]


@pytest.mark.parametrize(("predictions", "labels", "message"), [
    (entries(), entries(), "there are no labels to compare with"),
    (entries(1, None), entries(1), "prediction 2: qid None is not a number or text; give each query a qid"),
    (entries(1), [dict(qid=1), {}], "label 2: qid None"),
    (entries(1, 1), entries(1), "the predictions have duplicates of qid 1; keep one of each"),
    (entries(1), entries(1, 1, "b", "b"), "the labels have duplicates of qid 1, b; keep one of each"),
    (entries(), entries(*range(5)), "there are labels but no predictions of qid 0, 1, 2, 3, 4; predict every query"),
    (entries(), entries(*range(6)), "of qid 0, 1, 2, 3, 4 and 1 more; predict every query"),
    (entries(*range(8)), entries(0), "there are predictions but no labels of qid 1, 2, 3, 4, 5 and 2 more; specify"),
])
def test_qids_that_do_not_match_are_listed(predictions, labels, message):
    with pytest.raises(InputError) as err:
        match_by_qid(predictions, labels)
    assert message in str(err.value)


def test_a_key_is_in_all_entries_or_in_none():
    assert all_have([dict(qid=1, x=1), dict(qid=2, x=None)], "x", "label") is True
    assert all_have([dict(qid=1), dict(qid=2)], "x", "label") is False
    with pytest.raises(InputError, match="labels of qid 2 have no x, but others have it; give it for all or for none"):
        all_have([dict(qid=1, x=1), dict(qid=2)], "x", "label")


@pytest.mark.parametrize(("value", "width", "expected"), [
    ([1, 2], None, [1, 2]), ([], None, []), ((), None, []), (np.zeros(0), None, []),
    ([[1, 2], [3, 4]], 2, [[1, 2], [3, 4]]), ([[1, 2, 3]], ANY_WIDTH, [[1, 2, 3]]),
])
def test_numbers_become_arrays(value, width, expected):
    array, = finite_arrays([dict(qid=1, x=value)], "x", width, "label")
    assert array.dtype == np.float64
    assert array.tolist() == expected


@pytest.mark.parametrize(("width", "shape"), [(None, (0,)), (2, (0, 2)), (3, (0, 3)), (ANY_WIDTH, (0, 0))])
def test_empty_lists_have_the_requested_width(width, shape):
    assert finite_arrays([dict(qid=1, x=[])], "x", width, "label")[0].shape == shape


@pytest.mark.parametrize(("value", "width", "message"), [
    ([[1, 2]], None, "x must be a list of finite numbers, not [[1, 2]]"),
    ([1, 2], 2, "x must be a list of lists of 2 finite numbers, not [1, 2]"),
    ([[1, 2, 3]], 2, "x must be a list of lists of 2 finite numbers, not [[1, 2, 3]]"),
    ([[1, 2], [3]], ANY_WIDTH, "x must be a list of equally long lists of finite numbers, not [[1, 2], [3]]"),
    (["a"], None, "not ['a']"), ([True], None, "not [True]"), (None, None, "not None"), ("", None, "not ''"),
    ([float("inf")], None, "not [inf]"), ({}, None, "not {}"),
    (list(range(40)), 2, "not [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 1…"),
])
def test_other_values_are_named(value, width, message):
    with pytest.raises(InputError) as err:
        finite_arrays([dict(qid=0, x=[] if width is None else np.zeros((0, 2))), dict(qid=7, x=value)], "x", width, "label")
    assert str(err.value).startswith("label of qid 7: ")
    assert message in str(err.value)


@pytest.mark.parametrize("value", [1, 0.001, np.float32(2), np.int64(3)])
def test_positive_numbers(value):
    assert positive_number(dict(qid=1, x=value), "x", "label") == float(value)


@pytest.mark.parametrize("value", [0, -1, True, "1", None, float("nan"), float("inf")])
def test_other_numbers_are_named(value):
    with pytest.raises(InputError, match=f"label of qid 1: x must be a number above 0, not {value!r}"):
        positive_number(dict(qid=1, x=value), "x", "label")
