"""pipelines/shots/transitions.py: dissolves, fades, and wipes are found to the frame; motion and flashes are not."""

from fractions import Fraction

import numpy as np
import pytest

from pipelines.media.probe import probe
from pipelines.shots.transitions import find_transitions, gradual_transitions, onset, peaks, shot_changes
from tests.pipelines.shots.scenes import TRANSITIONS, joined, scene, write_frames

PAN, COUNTER_PAN = scene(1, (9, 2)), scene(2, (-6, 3))


@pytest.mark.parametrize(("kind", "fps", "length"), [
    *((kind, *rate) for kind in TRANSITIONS for rate in ((25, 5), (30, 21))), ("black", 25, 38), ("dissolve", 50, 75),
    ("wipe", 50, 25)])
def test_transitions_are_exact_to_two_frames(kind, fps, length):
    first = fps - 3
    frames = joined(kind, fps, first, length, first + length + fps, PAN, COUNTER_PAN)
    (found,) = find_transitions(frames, fps).spans
    most_lost, faint = 2 if kind != "wipe" else 4, length // 50   # A share of 2 % of the other shot is invisible.
    assert first - most_lost <= found[0] <= first + faint
    assert first + length - faint <= found[1] <= first + length + most_lost


def test_a_fade_out_a_hold_and_a_fade_in_are_one_transition():
    a, b, black = PAN, COUNTER_PAN, lambda _: np.full((36, 64, 3), 16.0)
    frames = np.concatenate([joined("dissolve", 25, 20, 10, 45, a, black), joined("dissolve", 25, 15, 10, 50, black, b)])
    ((first, end),) = find_transitions(frames, 25).spans
    assert 18 <= first <= 20
    assert 45 + 25 <= end <= 45 + 27


@pytest.mark.parametrize("reverse", [False, True])
def test_a_fade_at_the_end_of_the_video(reverse):
    frames = joined("dissolve", 25, 0, 20, 50, lambda _: np.zeros((36, 64, 3)), PAN)
    spans = find_transitions(frames[::-1] if reverse else frames, 25).spans
    ((first, end),) = [(50 - b, 50 - a) for a, b in spans] if reverse else spans
    assert first <= 1
    assert 20 <= end <= 22


def flash(frames: np.ndarray) -> np.ndarray:
    frames[40:42] = 240
    return frames


def passing_object(frames: np.ndarray) -> np.ndarray:
    item = scene(9, size=(24, 28))(0)
    for i in range(20, 60):
        left = max(0, 2 * (i - 20) - 16)
        frames[i, 4:32, left:left + 24] = item[:, :min(24, 64 - left)]
    return frames


@pytest.mark.parametrize("frames", [
    pytest.param(lambda: joined("dissolve", 25, 99, 1, 90, scene(3), PAN), id="static"),
    pytest.param(lambda: joined("dissolve", 25, 99, 1, 90, scene(3, (30, 5)), PAN), id="pan"),
    pytest.param(lambda: joined("dissolve", 25, 99, 1, 90, scene(3, growth=0.25), PAN), id="zoom"),
    pytest.param(lambda: flash(joined("dissolve", 25, 99, 1, 90, scene(3, (8, 0)), PAN)), id="flash"),
    pytest.param(lambda: passing_object(joined("dissolve", 25, 99, 1, 90, scene(3, (3, 0)), PAN)), id="object"),
    pytest.param(lambda: (joined("dissolve", 25, 99, 1, 90, scene(3, (3, 0)), PAN)
                          * np.linspace(0.5, 1, 90)[:, None, None, None]), id="slow-brightness"),
    pytest.param(lambda: joined("dissolve", 25, 40, 0, 90, scene(3, (3, 0)), PAN), id="hard-cut"),
])
def test_other_changes_are_no_transitions(frames):
    assert find_transitions(np.asarray(frames()), 25).spans == []


def test_a_range_inside_a_transition_is_extended(tmp_path):
    path = write_frames(tmp_path / "a.mp4", joined("dissolve", 25, 60, 38, 150, scene(1, (18, 4), size=(128, 72)),
                                                   scene(2, (-12, 6), size=(128, 72))), 25)
    info = probe(path)
    (span,) = gradual_transitions(info, Fraction(16, 5), Fraction(21, 5))   # Frames 80 to 105.
    assert Fraction(58, 25) <= span[0] <= Fraction(61, 25)   # A single frame shows 2.6 % of the other shot.
    assert Fraction(98, 25) <= span[1] <= Fraction(100, 25)
    assert gradual_transitions(info, Fraction(24, 5), Fraction(5)) == []
    ((first_s, end_s),) = shot_changes(info, Fraction(1), Fraction(5))
    assert max(abs(first_s - span[0]), abs(end_s - span[1])) <= Fraction(1, 25)


@pytest.mark.parametrize(("change", "found"), [
    pytest.param([1, 1, 6, 12, 12, 6, 1, 1], [(1, 6)], id="peak"),
    pytest.param([5, 5, 5, 5], [], id="constant-motion"),
    pytest.param([1, 9, 9, 9], [], id="open-end"),
    pytest.param([6, 6, 20, 20, 1, 1], [(1, 4)], id="sides-with-different-levels"),
    pytest.param([0, 20, 2, 20, 0], [(0, 2), (2, 4)], id="two-peaks"),
])
def test_peaks(change, found):
    assert peaks(np.array(change, dtype=float)) == found


def test_onset_is_the_corner_of_a_constant_and_a_line():
    assert onset(np.maximum(2, np.arange(40) - 9.5)) == 11.5
    assert onset(np.array([0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0])) == 2
