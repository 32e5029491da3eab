"""YouTube Highlights' mAP against a slow reference."""

import numpy as np
import pytest

from datasets.eval import youtube_map
from tests.golden.inputs import read_golden, youtube_pairs


def test_map_equals_the_published_metric():
    assert round(youtube_map(*youtube_pairs()), 5) == read_golden("evaluators")["youtube_map"]


def slow_youtube_ap(scores, match):
    """Compute the average precision of one video, clip by clip in the order of the scores."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    hits = ap = recall = 0
    precision = 1
    total = sum(m > 0 for m in match)
    for rank, i in enumerate(order, 1):
        hits += match[i] > 0
        ap += (hits / total - recall) * (precision + hits / rank) / 2 if total else 0
        recall, precision = hits / total if total else 0, hits / rank
    return ap


def test_map_equals_the_slow_reference():
    r = np.random.default_rng(0)
    scores = {i: r.random(n).tolist() for i, n in enumerate((1, 2, 7, 40, 41))}
    matches = {i: r.integers(-1, 2, len(s)).tolist() for i, s in scores.items()}
    slow = np.mean([slow_youtube_ap(scores[i], matches[i]) for i in scores])
    assert youtube_map(scores, matches) == pytest.approx(slow, abs=1e-12)
