import numpy as np
import pytest

from pipelines.scoring.moments import Moment, find_moments, moments_in_curve, rank_moments, suppress_overlaps


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


def test_a_curve_below_the_minimum_range_is_constant():
    assert find_moments(np.array([0.5, 0.5 + 0.9e-6, 0.5])) == []
    assert find_moments(np.array([0.5, 0.5 + 1.1e-6, 0.5]))[0][:2] == (1, 1)


def test_the_times_of_moments_are_the_edges_of_their_clips():
    curve, edges_s = np.array([0, 0, 1, 1, 0, 0, 0.9]), np.array([0, 2, 4, 6, 8, 10, 12, 13.5])
    assert moments_in_curve(curve, edges_s, "red") == [Moment(4, 8, 1, "red"), Moment(12, 13.5, 0.9, "red")]
    assert moments_in_curve(curve, edges_s, max_moments=1) == [Moment(4, 8, 1, "")]


def test_moments_of_all_queries_are_ranked_by_score_time_and_query():
    a = [Moment(0, 4, 0.5, "a"), Moment(1, 4, 0.4, "a"), Moment(8, 10, 0.9, "a")]
    b = [Moment(0, 4, 0.5, "b"), Moment(0, 3, 0.5, "c"), Moment(20, 22, 0.5, "b")]
    ranked = [a[2], b[1], a[0], b[2]]
    # Suppression acts within a query only; of the equal moments of the second one, the first given is kept.
    assert rank_moments([a, b]) == [a[2], a[0], b[0], b[2]]
    assert rank_moments([a, b[1:]]) == ranked
    assert rank_moments([b[1:], a]) == ranked
    assert rank_moments([a, b], max_iou=1) == [a[2], b[1], a[0], b[0], b[2], a[1]]
    assert rank_moments([a, b], max_moments=1) == [a[2], b[0]]
