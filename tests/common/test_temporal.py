"""Arithmetic with time intervals."""

import numpy as np
import pytest

from common.temporal import num_complete_clips, soft_nms, temporal_iou


def slow_soft_nms(windows, sigma):
    """Apply soft-NMS to one pair of windows at a time."""
    left, kept = [list(w) for w in windows], []
    while left:
        best = max(left, key=lambda w: w[2])
        left.remove(best)
        kept.append(best)
        for w in left:
            inside = max(0, min(best[1], w[1]) - max(best[0], w[0]))
            union = best[1] - best[0] + w[1] - w[0] - inside
            w[2] *= np.exp(-(inside / union if union else 0)**2 / sigma)
    return kept


def test_soft_nms_equals_the_slow_reference():
    r = np.random.default_rng(1)
    windows = np.column_stack([np.sort(r.random((40, 2)), axis=1), r.random(40)])
    before = windows.copy()
    np.testing.assert_allclose(soft_nms(windows, 0.5), slow_soft_nms(windows, 0.5), atol=1e-12)
    np.testing.assert_array_equal(windows, before)
    assert soft_nms(np.zeros((0, 3))).shape == (0, 3)
    assert temporal_iou(np.array([1.0, 1.0]), np.array([[1.0, 1.0], [0, 2]])).tolist() == [0, 0]


@pytest.mark.parametrize("duration_s, clip_len_s, clips", [
    (150, 2, 75),
    (151.9, 2, 75),
    (1.2, 2, 1),
    (0.6, 0.2, 3),
    (10, 2.5, 4),
    (9.99, 2.5, 3),
])
def test_last_incomplete_clip_is_not_counted(duration_s, clip_len_s, clips):
    assert num_complete_clips(duration_s, clip_len_s) == clips
