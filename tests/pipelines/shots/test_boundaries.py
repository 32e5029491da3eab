"""pipelines/shots/boundaries.py: hard cuts are found to the frame, motion is not."""

from fractions import Fraction

import numpy as np
import pytest

from pipelines.media.probe import probe
from pipelines.shots.boundaries import find_cuts, hard_cuts
from tests.media import numbered_frame, write_video


def test_hard_cuts_are_exact_to_the_frame_and_ignore_motion(tmp_path):
    def render(index, size):
        """Draw a moving pattern whose colors are inverted and darkened from frame 37 on."""
        moving = np.roll(numbered_frame(0b1100110011, size), 3 * index, axis=1)
        return moving if index < 37 else 255 - moving // 2

    info = probe(write_video(tmp_path / "a.mp4", 100, render=render))
    assert hard_cuts(info, Fraction(0), Fraction(3)) == [Fraction(37, 25)]
    assert hard_cuts(info, Fraction(2), Fraction(4)) == []
    assert hard_cuts(info, Fraction(4), Fraction(4)) == []
    still = probe(write_video(tmp_path / "b.mp4", 30, render=lambda _, size: numbered_frame(5, size)))
    assert hard_cuts(still, Fraction(0), Fraction(2)) == []


@pytest.mark.parametrize(("differences", "cuts"), [
    pytest.param([1, 1, 40, 1, 1, 30, 2], [2, 5], id="two-isolated-peaks"),
    pytest.param([0, 0, 15, 16, 15, 0, 0], [], id="sweeping-object"),
    pytest.param([40], [0], id="single-difference"),
    pytest.param([11, 1, 1], [], id="below-the-minimum"),
    pytest.param([20] * 9, [], id="constant-motion"),
    pytest.param([0, 25, 60, 0, 0], [2], id="peak-after-a-smaller-one"),
])
def test_only_isolated_large_differences_are_cuts(differences, cuts):
    assert find_cuts(np.array(differences, dtype=float)) == cuts
