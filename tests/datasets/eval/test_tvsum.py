"""TVSum's top-5 mAP: the golden, a slow twin, and its odd corners by hand."""

import json

import numpy as np
import pytest

from common.errors import InputError
from datasets.eval import tvsum_top5_map
from tests.paths import EVALUATOR_GOLDENS


@pytest.mark.skipif(not EVALUATOR_GOLDENS.is_file(), reason="../shared is not at hand")
def test_equals_the_published_metric():
    golden = json.loads(EVALUATOR_GOLDENS.read_text())["tvsum_top5"]
    assert round(tvsum_top5_map(golden["scores"], golden["anno"]), 5) == golden["expected"]["mAP"]


def slow_ap(scores, ratings):
    best = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:5]
    middle = sorted(ratings)[(len(ratings) - 1) // 2]
    hits = [ratings[i] > middle for i in best]
    points = [(0, 1)]
    for n in range(1, len(hits) + 1):
        points.append((sum(hits[:n]) / max(sum(hits), 1), sum(hits[:n]) / n))
    return sum((r2 - r1) * (p1 + p2) / 2 for (r1, p1), (r2, p2) in zip(points[:-1], points[1:], strict=True))


@pytest.mark.parametrize("seed", range(10))
def test_equals_a_slow_twin(seed):
    r = np.random.default_rng(seed)
    lengths = r.integers(1, 30, 4)
    scores = {i: r.integers(0, 8, n).tolist() for i, n in enumerate(lengths)}   # with ties, and fewer than five clips
    ratings = {i: r.integers(1, 6, (n, 3)) for i, n in enumerate(lengths)}
    expected = np.mean([np.mean([slow_ap(scores[i], column.tolist()) for column in ratings[i].T]) for i in scores])
    assert tvsum_top5_map(scores, ratings) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ratings, expected", [
    ([1, 2, 2, 2], 0),   # nothing is strictly above the median 2
    ([4, 3, 2, 1], 1),   # of 3 and 2 the lower is the median: the two best clips are positive
    ([1, 2, 3, 4], ((0 + 1 / 3) / 2 + (1 / 3 + 2 / 4) / 2) / 2),
    ([1, 4, 1, 1, 1, 9, 9, 1, 1], (0 + 1 / 2) / 2),   # positives beyond the fifth clip do not count
])
def test_worked_by_hand(ratings, expected):
    falling = list(range(len(ratings), 0, -1))
    assert tvsum_top5_map({"v": falling}, {"v": np.array(ratings)[:, None]}) == pytest.approx(expected)


@pytest.mark.parametrize("scores, ratings, message", [
    ({"a": [1]}, {"b": [[1]]}, r"same videos, at least one; only one of them has: \['a', 'b'\]"),
    ({}, {}, "at least one"),
    ({"a": [1, 2]}, {"a": [[1]]}, r"a: scores have shape \(2,\) and annotations \(1, 1\)"),
    ({"a": [1, float("nan")]}, {"a": [[1], [2]]}, "a: .* NaN"),
    ({"a": ["x"]}, {"a": [[1]]}, "a: .* must be numbers"),
])
def test_bad_input_is_named(scores, ratings, message):
    with pytest.raises(InputError, match=message):
        tvsum_top5_map(scores, ratings)
