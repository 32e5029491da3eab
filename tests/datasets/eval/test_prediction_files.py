"""Prediction files in every format, and a list of all errors in them."""

import json

import numpy as np
import pytest

from common.errors import InputError
from datasets.eval.prediction_files import read_clip_scores, read_frame_scores


def write(folder, *lines):
    (folder / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "p.jsonl"


LABELS = dict(a=[0] * 5, b=[0] * 3)


def line(vid, *scores):
    return dict(vid=vid, pred_saliency_scores=scores)


@pytest.mark.parametrize(("a", "expected"), [
    ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]), ([1, 2, 3], [1, 2, 3]), ([1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5])])
def test_clip_scores_may_differ_by_two_clips(tmp_path, a, expected):
    path = write(tmp_path, line("b", 7, 8, 9), line("known"), line("a", *a))
    assert read_clip_scores(path, LABELS, {"known"}) == dict(a=expected, b=[7, 8, 9])


@pytest.mark.parametrize(("lines", "message"), [
    ([line("a", 1, 2), line("b", 1, 2, 3)], "video a: 2 scores for 5 clips"),
    ([line("a", *range(8)), line("b", 1, 2, 3)], "video a: 8 scores for 5 clips"),
    ([line("a", *range(5))], "video b: no prediction"),
    ([line("a", *range(5)), line("b", 1, 2, 3), line("b", 1, 2, 3)], "video b: predicted 2 times"),
    ([line("a", *range(5)), line("b", 1, 2, 3), line("c", 1)], "video c: not among the labels"),
    ([line("a", *range(5)), line("b", 1, 2, 3), line([3], 1)], "entry 3: vid [3] is not the name of a video"),
    ([line("a", *range(5)), line("b")], "video b: pred_saliency_scores must be a list of finite numbers"),
    ([line("a", *range(5)), dict(vid="b")], "video b: pred_saliency_scores must be"),
    ([line("a", *range(5)), line("b", [1, 2, 3])], "video b: pred_saliency_scores must be"),
    ([line("a", *range(5)), line("b", 1, 2, float("nan"))], "video b: pred_saliency_scores must be"),
    ([line("a", *range(5)), line("b", 1, 2, "x")], "video b: pred_saliency_scores must be"),
])
def test_invalid_clip_scores_are_named(tmp_path, lines, message):
    with pytest.raises(InputError) as err:
        read_clip_scores(write(tmp_path, *lines), LABELS, {"known"})
    assert message in str(err.value)
    assert len(err.value.errors) == 1


def test_frame_scores_in_every_format(tmp_path):
    lines = [dict(vid="a", scores=[1, 2, 3]), dict(video="b", pred_saliency_scores=[0.5, 1])]
    found = read_frame_scores(write(tmp_path, *lines), dict(a=3, b=2))
    assert {vid: scores.tolist() for vid, scores in found.items()} == dict(a=[1, 2, 3], b=[0.5, 1])
    assert found["a"].dtype == np.float64
    (tmp_path / "o.json").write_text(json.dumps(dict(a=[1, 2, 3], b=[0.5, 1])))
    again = read_frame_scores(tmp_path / "o.json", dict(a=3), known=["b"])
    assert {vid: scores.tolist() for vid, scores in again.items()} == dict(a=[1, 2, 3])
    one_line = write(tmp_path, dict(vid="a", scores=[1, 2, 3]))   # Not an object of videos.
    assert read_frame_scores(one_line, dict(a=3))["a"].tolist() == [1, 2, 3]
    both = write(tmp_path, dict(vid="a", scores=[1, 2], pred_saliency_scores=[3, 4]))
    assert read_frame_scores(both, dict(a=2))["a"].tolist() == [1, 2]


@pytest.mark.parametrize(("lines", "message"), [
    ([dict(vid="a", scores=[1, 2])], "video a: 2 scores for 3 sampled frames; give one score per pick of the labels"),
    ([dict(vid="a", scores=[1, 1, 1])], "video a: scores are all 1, so there is no ranking to measure"),
    ([dict(vid="a", scores=[1, 2, float("nan")])], "video a: score 2 is nan"),
    ([dict(vid="a", scores="abc")], "video a: scores must be a list of numbers"),
    ([dict(vid="a", scores=[[1], [2, 3]])], "video a: scores must be a list of numbers"),
    ([dict(vid="a", scores=[1, 2, 3])] * 2, "video a: given 2 times"),
    ([], "video a: no scores"),
    ([dict(vid="a", scores=[1, 2, 3]), dict(vid="ab", scores=[1])], "video ab: not among the labels; did you mean 'a"),
    ([dict(vid="a", scores=[1, 2, 3]), dict(scores=[1])], "entry 2: needs vid or video, a text, and scores or"),
    ([dict(vid="a", scores=[1, 2, 3]), dict(vid=[1], scores=[1])], "entry 2: needs vid or video"),
    ([dict(vid="a", scores=[1, 2, 3]), dict(vid="x")], "entry 2: needs vid or video"),
])
def test_invalid_frame_scores_are_named(tmp_path, lines, message):
    with pytest.raises(InputError) as err:
        read_frame_scores(write(tmp_path, *lines), dict(a=3), ["abc"])
    assert message in str(err.value)
    assert len(err.value.errors) == 1
