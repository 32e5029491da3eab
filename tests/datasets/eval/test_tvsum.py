"""TVSum's top-5 mAP against a golden, a slow reference and results that were computed by hand."""

import numpy as np
import pytest

from common.errors import InputError
from datasets.eval import tvsum_top5_map
from datasets.eval.tvsum import pad_scores
from tests.golden.inputs import read_golden, tvsum_pairs


def test_top5_map_equals_the_published_metric():
    assert round(tvsum_top5_map(*tvsum_pairs()), 5) == read_golden("evaluators")["tvsum_top5_map"]


def slow_ap(scores, ratings):
    """Compute the average precision of the five best clips, for one annotator."""
    best = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:5]
    middle = sorted(ratings)[(len(ratings) - 1) // 2]
    hits = [ratings[i] > middle for i in best]
    points = [(0, 1)]
    for n in range(1, len(hits) + 1):
        points.append((sum(hits[:n]) / max(sum(hits), 1), sum(hits[:n]) / n))
    return sum((r2 - r1) * (p1 + p2) / 2 for (r1, p1), (r2, p2) in zip(points[:-1], points[1:], strict=True))


@pytest.mark.parametrize("seed", range(10))
def test_top5_map_equals_the_slow_reference(seed):
    r = np.random.default_rng(seed)
    lengths = r.integers(1, 30, 4)
    # Some scores are equal, and some videos have fewer than five clips.
    scores = {i: r.integers(0, 8, n).tolist() for i, n in enumerate(lengths)}
    ratings = {i: r.integers(1, 6, (n, 3)) for i, n in enumerate(lengths)}
    expected = np.mean([np.mean([slow_ap(scores[i], column.tolist()) for column in ratings[i].T]) for i in scores])
    assert tvsum_top5_map(scores, ratings) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ratings, expected", [
    pytest.param([1, 2, 2, 2], 0, id="no-rating-above-the-median"),
    # The median of an even number of ratings is the lower of the two in the middle, so two clips are positive.
    pytest.param([4, 3, 2, 1], 1, id="best-order"),
    pytest.param([1, 2, 3, 4], ((0 + 1 / 3) / 2 + (1 / 3 + 2 / 4) / 2) / 2, id="worst-order"),
    pytest.param([1, 4, 1, 1, 1, 9, 9, 1, 1], (0 + 1 / 2) / 2, id="positive-clips-after-the-fifth"),
])
def test_top5_map_equals_results_by_hand(ratings, expected):
    descending = list(range(len(ratings), 0, -1))
    assert tvsum_top5_map({"v": descending}, {"v": np.array(ratings)[:, None]}) == pytest.approx(expected)


@pytest.mark.parametrize("scores, ratings, message", [
    ({"a": [1]}, {"b": [[1]]}, r"same videos, at least one; only one of them has: \['a', 'b'\]"),
    ({}, {}, "at least one"),
    ({"a": [1, 2]}, {"a": [[1]]}, r"a: scores have shape \(2,\) and annotations \(1, 1\)"),
    ({"a": [1, float("nan")]}, {"a": [[1], [2]]}, "a: .* NaN"),
    ({"a": ["x"]}, {"a": [[1]]}, "a: .* must be numbers"),
])
def test_invalid_input_is_an_error(scores, ratings, message):
    with pytest.raises(InputError, match=message):
        tvsum_top5_map(scores, ratings)


def test_padding_has_the_lowest_scores():
    assert pad_scores([0.5, 0.2], 4) == [0.5, 0.2, -0.8, -0.8]
    assert pad_scores([3, 2, 1], 2) == [3, 2]
