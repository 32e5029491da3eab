import numpy as np
import pytest

from pipelines.scoring.moments import Moment, find_moments, suppress_overlaps


def test_moments_reach_the_midpoint_between_median_and_peak():
    curve = np.zeros(30)
    curve[4:8], curve[15], curve[20:22] = 0.8, 0.3, [0.5, 1.0]     # Median 0, peak 1: the threshold is 0.5.
    assert find_moments(curve) == [(4, 7, pytest.approx(0.8)), (20, 21, pytest.approx(0.75))]
    assert [m[:2] for m in find_moments(0.5 + curve / 2)] == [(4, 7), (20, 21)]   # Median 0.5, threshold 0.75.
    assert find_moments(curve, max_moments=1) == [(4, 7, pytest.approx(0.8))]
    assert find_moments(curve[::-1])[0][:2] == (22, 25)


def test_moments_include_both_ends_of_the_video():
    curve = np.array([1, 0, 0, 0, 0, 0.9, 1])
    assert sorted(m[:2] for m in find_moments(curve)) == [(0, 0), (5, 6)]


def test_a_constant_curve_has_no_moments():
    assert find_moments(np.full(9, 0.5)) == []
    assert find_moments(np.array([0.5])) == []


def test_suppression_keeps_the_better_of_overlapping_moments():
    intervals = [(0, 10, 0.5), (2, 10, 0.9), (8, 20, 0.7), (30, 31, 0.1)]
    moments = [Moment(*interval, "") for interval in intervals]
    # The first two have an IoU of 0.8, the second and the third one of 1/9.
    assert [m.score for m in suppress_overlaps(moments)] == [0.9, 0.7, 0.1]
    assert [m.score for m in suppress_overlaps(moments, max_iou=0.8)] == [0.9, 0.7, 0.5, 0.1]
    assert [m.score for m in suppress_overlaps(moments, max_iou=0.1)] == [0.9, 0.1]
    assert [m.score for m in suppress_overlaps(moments, max_moments=2)] == [0.9, 0.7]
