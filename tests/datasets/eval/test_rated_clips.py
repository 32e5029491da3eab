"""Metrics of one score per rated clip."""

import numpy as np
import pytest

from common.errors import InputError
from datasets.eval.rated_clips import eval_by_video, eval_clips


def test_average_precision_and_auc_of_clips():
    # AP is (1/1 + 2/3) / 2; three of four pairs are in the right order.
    assert eval_clips([0.9, 0.8, 0.1, 0.4], [1, 0, 0, 1]) == {"AP": 83.33, "ROC-AUC": 75.0}
    assert eval_clips([1, 2], [0, 0]) == dict(AP=0.0)
    assert eval_clips([1, 2], [1, 1]) == dict(AP=100.0)
    with pytest.raises(InputError, match="must have one value per clip, at least one, and scores must be finite"):
        eval_clips([1, float("nan")], [0, 1])


def test_clips_are_ranked_within_their_video():
    videos = ["a"] * 3 + ["b"] * 3 + ["c"] * 2 + ["d"]
    positive = [1, 0, 1, 0, 0, 1, 1, 1, 0]   # c has no negative clip, d has no positive one.
    scores = [0.9, 0.8, 0.1, 0.3, 0.2, 0.1, 5, 6, 7]
    # The AP of a is (1/1 + 2/3) / 2, and its best-scored clip is positive; the AP of b is 1/3, and its clip is not.
    assert eval_by_video(scores, positive, videos) == {
        "HD-mAP-by-video": round(100 * (5 / 6 + 1 / 3) / 2, 2), "HD-HIT@1-by-video": 50.0,
        "HD-videos": 2, "HD-videos-left-out": 2}
    order = [8, 3, 0, 6, 1, 4, 2, 7, 5]
    reordered = [list(np.array(x)[order]) for x in (scores, positive, videos)]
    assert eval_by_video(*reordered) == eval_by_video(scores, positive, videos)
    # Of equally scored clips, the share of positive ones counts.
    assert eval_by_video([1, 1, 1, 1], [1, 0, 0, 0], ["a"] * 4)["HD-HIT@1-by-video"] == 25.0
    assert eval_by_video([1], [1], ["a"]) == {"HD-videos": 0, "HD-videos-left-out": 1}
    with pytest.raises(InputError, match="must have one value per clip"):
        eval_by_video([1, 2], [0, 1], ["a"])
