"""The parts of the search for transitions equal slow implementations, and act at exactly their thresholds."""

from fractions import Fraction

import numpy as np
import pytest

from pipelines.shots import transitions as module
from pipelines.shots.transitions import (
    Transitions,
    _fps,
    _max_increase,
    _mean,
    _Search,
    contrast,
    find_transitions,
    gradual_transitions,
    onset,
    peaks,
    same_content,
    shot_changes,
    steep_onset,
)
from tests.pipelines.shots.scenes import joined, scene


def slow_peaks(change):
    """Find peaks from the highest to the lowest."""
    values, rest, found = list(change), list(change), []
    while max(rest) >= 3:
        top = rest.index(max(rest))
        first = max([end for _, end in found if end <= top] or [0])
        last = min([begin for begin, _ in found if begin >= top] or [len(values) - 1])
        low_left, low_right = min(values[first:top + 1]), min(values[top:last + 1])
        begin = max(i for i in range(first, top + 1) if values[i] <= low_left + 0.2 * (values[top] - low_left))
        end = min(i for i in range(top, last + 1) if values[i] <= low_right + 0.2 * (values[top] - low_right))
        base = max(low_left, low_right)
        if values[top] >= base + max(0.4 * base, 3):
            found.append((begin, end))
        for i in range(begin + 1, end):
            rest[i] = 0
        rest[top] = 0
    return sorted(found)


@pytest.mark.parametrize("seed", range(60))
def test_peaks_equal_a_slow_implementation(seed):
    r = np.random.default_rng(seed)
    change = np.abs(np.cumsum(r.integers(-4, 5, int(r.integers(1, 30))))).astype(float)
    assert peaks(change) == slow_peaks(change)


@pytest.mark.parametrize(("change", "found"), [
    ([0, 3, 0], [(0, 2)]), ([0, 2.9, 0], []), ([10, 14, 10], [(0, 2)]), ([10, 13.9, 10], []), ([2, 5, 2], [(0, 2)]),
    ([2, 4.9, 2], []), ([10, 14, 1], [(0, 2)]), ([0, 2, 10, 2, 0], [(1, 3)]), ([0, 2.1, 10, 2.1, 0], [(0, 4)]), ([], []),
])
def test_peaks_at_the_thresholds(change, found):
    assert peaks(np.array(change, dtype=float)) == found


@pytest.mark.parametrize("seed", range(10))
def test_onset_is_the_best_of_all_corners(seed):
    r = np.random.default_rng(seed)
    curve = np.maximum(0, np.arange(25) - r.uniform(2, 9)) * r.uniform(0.5, 3) + r.uniform(0, 0.3, 25)
    half = (curve.min() + curve.max()) / 2
    n = next(i for i, value in enumerate(curve) if value >= half) + 1
    errors = {}
    for corner in np.arange(0, n - 1.5, 0.25):
        slopes = np.array([max(0, i - corner) for i in range(n)])
        slope, level = np.polyfit(slopes, curve[:n], 1)
        errors[corner] = ((level + slope * slopes - curve[:n]) ** 2).sum()
    assert onset(curve) == min(errors, key=errors.get)


@pytest.mark.parametrize(("curve", "expected"), [
    (np.maximum(0, np.arange(30) - 10.0), 9.5), (np.minimum(20, np.maximum(0, np.arange(60) - 5)), 4.5),
    ([0, 0, 10, 10], 1.5), ([10, 10], 0), (np.arange(21.0), 0), ([0, 0, 0, 0, 2, 2, 2, 4, 10], 0.5),
])
def test_steep_onset_extrapolates_from_20_and_40_percent(curve, expected):
    assert steep_onset(np.array(curve, dtype=float)) == pytest.approx(expected)


def test_means_and_increases_ignore_missing_blocks():
    blocks = np.random.default_rng(0).random((7, 6, 8))
    blocks[2, 3, 4] = blocks[5, 0, 0] = np.nan
    usual = np.nanmean(blocks[:3], axis=0)
    for i, block in enumerate(blocks):
        values = [block[r, c] for r in range(6) for c in range(8) if np.isfinite(block[r, c])]
        assert _mean(blocks)[i] == pytest.approx(np.mean(values))
        rises = [block[r, c] - usual[r, c] for r in range(6) for c in range(8) if np.isfinite(block[r, c])]
        assert _max_increase(blocks)[i] == pytest.approx(max(rises))


def test_contrast_is_the_mean_deviation_from_the_mean_color():
    frame = np.random.default_rng(0).random((36, 64, 3)) * [1, 10, 100]
    expected = np.mean([np.abs(frame[..., c] - frame[..., c].mean()).mean() for c in range(3)])
    assert contrast(frame) == pytest.approx(expected)


A, B = (scene(seed)(0).astype(np.float32) for seed in (1, 2))
GREY = np.full((36, 64, 3), 100, np.float32)


@pytest.mark.parametrize(("a", "b", "expected"), [
    pytest.param(A, A, True, id="equal"), pytest.param(A, B, False, id="different"),
    pytest.param(A, A * 0.5 + 20, True, id="darker-and-less-contrast"), pytest.param(A, 0.2 * A + 0.8 * B, False, id="mixture"),
    pytest.param(A, GREY, False, id="uniform"), pytest.param(GREY, A, False, id="from-uniform"),
    pytest.param(GREY, GREY, False, id="both-uniform"),
])
def test_same_content(a, b, expected):
    assert same_content(a, b, 1.0) is expected


@pytest.mark.parametrize(("share", "level", "expected"), [
    (0.34, 0, True), (0.36, 0, False), (0.45, 0.24, True), (0.45, 0.22, False), (0.49, 9, True), (0.51, 9, False)])
def test_the_difference_of_the_same_content_is_limited(monkeypatch, share, level, expected):
    """By 35 % of the contrast, or twice the usual difference, up to half of the contrast."""
    value = share * contrast(B)
    blocks = np.full((2, 6, 8), value)
    blocks[0], blocks[1, 0, 0] = value + 1, np.nan   # The smaller median counts.
    monkeypatch.setattr(module, "block_differences", lambda a, b: blocks)
    assert same_content(A, B, level * contrast(B)) is expected


@pytest.mark.parametrize(("deviation", "expected"), [(4, True), (4.01, False)])
def test_a_frame_is_uniform_up_to_a_contrast_of_4(deviation, expected):
    frame = np.full((36, 64, 3), 100.0)
    frame[::2] += deviation
    frame[1::2] -= deviation
    assert _Search(frame[None], 6, 60).is_uniform(0) is expected


def search(change, lag=6, max_length=60, n=None, uniform=()):
    """Return a search whose differences at the lag are given."""
    step = max(1, lag // 3)
    n = n or (len(change) - 2) * step + lag + 2

    class Given(_Search):
        received = []   # noqa: RUF012

        def differences(self, a, b):
            Given.received.append((a.tolist(), b.tolist()))
            return np.array(change, dtype=float)

        def is_uniform(self, index):
            return index in uniform

    return Given(np.zeros((n, 36, 64, 3)), lag, max_length)


def test_frames_at_the_lag_are_compared():
    given = search([1] * 4, n=13)
    assert given.candidates() == ([], False, False)
    assert given.received == [([0, 2, 4, 6], [6, 8, 10, 12])]
    given.received.clear()
    search([1, 1, 1], lag=2, n=5).candidates()
    assert given.received == [] and search([1, 1, 1], lag=2, n=5).candidates() is not None


@pytest.mark.parametrize(("change", "expected"), [
    pytest.param([1, 2, 9, 2, 1, 1, 1], [(2, 12, 1)], id="one"),
    pytest.param([1, 1, 9, 1, 1, 1, 1, 9, 1, 1, 1], [(2, 12, 1), (12, 22, 1)], id="two-that-touch"),
    pytest.param([1, 1, 9, 1, 1, 1, 9, 1, 1, 1], [(2, 20, 1)], id="two-that-overlap"),
    pytest.param([1, 1, 9, 1, 9, 1, 1, 1, 1], [(2, 16, 1)], id="overlapping"),
    pytest.param([4, 3, 2, 2, 9, 1, 2, 3, 4, 4], [(6, 16, 2)], id="level-of-the-higher-side"),
])
def test_candidates_enclose_peaks(change, expected):
    assert search(change).candidates()[0] == expected


@pytest.mark.parametrize(("max_length", "found"), [(8, 1), (7, 0)])
def test_long_changes_are_no_candidates(max_length, found):
    """The change extends over 20 frames, of which twice the lag of 6 does not count."""
    change = [1, 1, 9, 9, 9, 9, 9, 9, 1, 1, 1]
    candidates = search(change, max_length=max_length).candidates()[0]
    assert [c[:2] for c in candidates] == [(2, 22)][:found]


@pytest.mark.parametrize(("change", "open_start", "open_end"), [
    ([4, 1, 1, 1], True, False), ([3.9, 1, 1, 1], False, False), ([1, 1, 1, 4], False, True), ([14, 10, 10, 13.9], True, False),
])
def test_changes_at_the_ends_are_open(change, open_start, open_end):
    assert search(change).candidates()[1:] == (open_start, open_end)


def test_a_fade_may_start_with_the_first_and_end_with_the_last_frame():
    change = [9, 5, 1, 1, 1, 1, 5, 9]
    n = 20
    found = search(change, n=n, uniform=(0, n - 1)).candidates()[0]
    assert [(before, after) for before, after, _ in found] == [(0, 10), (10, 19)]
    assert search(change, n=n).candidates()[0] == []


def test_transitions_around_uniform_frames_are_joined():
    shown, faint = A, 100 + 0.2 * (A - A.mean(axis=(0, 1)))
    frames = np.stack([shown] * 4 + [GREY] * 4 + [shown] * 4)
    spans = [(2, 5), (6, 9)]
    assert _Search(frames, 2, 60).joined(spans) == [(2, 9)]
    frames[6] = faint   # Its contrast is less than half of that of the shots.
    assert _Search(frames, 2, 60).joined(spans) == [(2, 9)]
    frames[6] = 100 + 0.6 * (A - A.mean(axis=(0, 1)))
    assert _Search(frames, 2, 60).joined(spans) == spans
    frames[4:8] = faint   # No frame is uniform.
    assert _Search(frames, 2, 60).joined(spans) == spans
    assert _Search(frames, 2, 60).joined([]) == []


@pytest.mark.parametrize(("times", "fps"), [([], 25), ([1], 25), ([0, Fraction(1, 10)], 10), ([0, 1, 2, 4], 0.75)])
def test_the_frame_rate_is_the_average(times, fps):
    assert _fps([Fraction(t) for t in times]) == pytest.approx(fps)


@pytest.mark.parametrize(("n", "fps", "lag"), [(7, 25, None), (8, 25, 6), (9, 30, 7), (20, 4, 2), (3, 4, None)])
def test_the_lag_is_a_quarter_of_a_second(monkeypatch, n, fps, lag):
    received = []
    monkeypatch.setattr(module, "_Search", lambda frames, lag, longest: received.append((len(frames), lag, longest)) or search([1]))
    find_transitions(np.zeros((n, 36, 64, 3), np.int16), fps)
    assert received == ([] if lag is None else [(n, lag, round(2.5 * fps))])


@pytest.mark.parametrize(("kind", "fps", "length", "expected"), [
    ("dissolve", 25, 15, (21, 38)), ("black", 25, 21, (21, 44)), ("white", 30, 12, (26, 40)), ("wipe", 25, 15, (21, 37)),
])
def test_spans_are_reproducible(kind, fps, length, expected):
    """The transition fills [fps - 3, fps - 3 + length)."""
    frames = joined(kind, fps, fps - 3, length, 2 * fps + length - 3, scene(1, (9, 2)), scene(2, (-6, 3)))
    assert find_transitions(frames, fps).spans == [expected]


class Info:
    """A video of 20 s."""

    duration_s = Fraction(20)


@pytest.mark.parametrize(("found", "from_s", "until_s", "ranges", "spans"), [
    pytest.param([Transitions([(5, 9)])], 5, 8, [(4.5, 8.5)], [(5, 5.4)], id="inside"),
    pytest.param([Transitions([(0, 5)])], 5, 8, [(4.5, 8.5)], [], id="ends-with-the-start-of-the-range"),
    pytest.param([Transitions([(0, 6)])], 5, 8, [(4.5, 8.5)], [(4.5, 5.1)], id="ends-after-the-start"),
    pytest.param([Transitions([(35, 39)])], 5, 8, [(4.5, 8.5)], [], id="starts-with-the-end-of-the-range"),
    pytest.param([Transitions([(34, 39)])], 5, 8, [(4.5, 8.5)], [(7.9, 8.4)], id="starts-before-the-end"),
    pytest.param([Transitions([], True), Transitions([(5, 39)])], 5, 8, [(4.5, 8.5), (2, 8.5)], [(2.5, 5.9)], id="open-start"),
    pytest.param([Transitions([], False, True), Transitions([(5, 9)])], 5, 8, [(4.5, 8.5), (4.5, 11)], [(5, 5.4)],
                 id="open-end"),
    pytest.param([Transitions([(5, 9)], True)], Fraction(1, 2), 8, [(0, 8.5)], [(0.5, 0.9)], id="start-of-the-video"),
    pytest.param([Transitions([], True), Transitions([])], 1, 8, [(0.5, 8.5), (0, 8.5)], [], id="near-the-start"),
    pytest.param([Transitions([], False, True)], 5, Fraction(39, 2), [(4.5, 20)], [], id="end-of-the-video"),
])
def test_ranges_are_decoded_with_context(monkeypatch, found, from_s, until_s, ranges, spans):
    received, results = [], iter(found)

    def read(info, first_s, last_s, opened):
        received.append((first_s, last_s))
        return [first_s + Fraction(i, 10) for i in range(60)], "thumbnails"

    def find(thumbnails, fps):
        assert (thumbnails, fps) == ("thumbnails", pytest.approx(10))
        return next(results)

    monkeypatch.setattr(module, "read_thumbnails", read)
    monkeypatch.setattr(module, "find_transitions", find)
    assert [tuple(map(float, span)) for span in gradual_transitions(Info, Fraction(from_s), Fraction(until_s))] == spans
    assert received == ranges


def test_hard_cuts_and_transitions_are_sorted(monkeypatch):
    times_s = [Fraction(9, 2) + Fraction(i, 10) for i in range(41)]
    monkeypatch.setattr(module, "read_thumbnails", lambda info, first_s, last_s: (
        (times_s, np.arange(41)) if (first_s, last_s) == (Fraction(9, 2), Fraction(17, 2)) else None))
    monkeypatch.setattr(module, "find_transitions", lambda thumbnails, fps: Transitions([(0, 5), (8, 12), (34, 36), (35, 40)]))
    received = []
    monkeypatch.setattr(module, "cut_indices", lambda thumbnails: received.append(thumbnails.tolist()) or [0, 20, 30])
    found = shot_changes(Info, Fraction(5), Fraction(8))
    assert [tuple(map(float, change)) for change in found] == [(5, 5), (5.3, 5.7), (7, 7), (7.9, 8.1), (8, 8)]
    assert received == [list(range(5, 36))]
