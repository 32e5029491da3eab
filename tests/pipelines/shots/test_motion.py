"""pipelines/shots/motion.py: smoothing, global motion, and block matching equal slow implementations."""

import numpy as np
import pytest

from pipelines.shots import motion
from pipelines.shots.motion import _block_means, _overlap_difference, block_differences, global_shifts, smoothed


def frames(*positions, seed=1):
    """Return smoothed frames of a texture from which a camera shows parts at (row, column)."""
    texture = np.random.default_rng(seed).integers(0, 256, (120, 160, 3))
    return smoothed(np.stack([texture[y:y + 36, x:x + 64] for y, x in positions]))


def test_smoothing_is_binomial_and_repeats_the_edges():
    image = np.random.default_rng(0).integers(0, 256, (2, 36, 64, 3)).astype(np.int16)
    found = smoothed(image)
    assert found.dtype == np.float32
    for y, x in ((0, 0), (35, 63), (10, 20), (0, 30), (20, 63)):
        expected = sum((2 - abs(dy)) * (2 - abs(dx)) * image[:, min(max(y + dy, 0), 35), min(max(x + dx, 0), 63)]
                       for dy in (-1, 0, 1) for dx in (-1, 0, 1)) / 16
        np.testing.assert_allclose(found[:, y, x], expected, rtol=1e-6)


def test_blocks_are_six_by_eight():
    values = np.random.default_rng(0).random((3, 36, 64, 3)).astype(np.float32)
    found = _block_means(values)
    assert found.shape == (3, 6, 8)
    for row in range(6):
        for column in range(8):
            block = values[:, 6 * row:6 * row + 6, 8 * column:8 * column + 8]
            np.testing.assert_allclose(found[:, row, column], block.mean(axis=(1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize(("y", "x"), [(0, 0), (3, 0), (-3, 0), (0, 5), (0, -5), (12, -24), (-1, 2)])
def test_overlaps_of_displaced_frames(y, x):
    a, b = np.random.default_rng(0).random((2, 36, 64, 3))
    pairs = [np.abs(a[r, c] - b[r + y, c + x]).mean() for r in range(36) for c in range(64)
             if 0 <= r + y < 36 and 0 <= c + x < 64]
    assert _overlap_difference(a, b, y, x) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("shift", [(0, 0), (0, 7), (5, -3), (-11, 20), (12, 24), (-12, -24)])
def test_global_motion_is_found_up_to_its_maximum(shift):
    first, second = (40, 50), (40 - shift[0], 50 - shift[1])
    assert global_shifts(frames(first), frames(second)).tolist() == [list(shift)]


@pytest.mark.parametrize("shift", [(14, 0), (0, 27)])
def test_larger_motion_is_not_found(shift):
    a, b = frames((40, 50)), frames((40 - shift[0], 50 - shift[1]))
    assert global_shifts(a, b).tolist() != [list(shift)]


def test_several_pairs_are_independent():
    a, b = frames((40, 50), (20, 30), (60, 70)), frames((38, 50), (20, 40), (60, 70))
    assert global_shifts(a, b).tolist() == [[2, 0], [0, -10], [0, 0]]


@pytest.mark.parametrize(("gain", "expected"), [(0.9, [[0, 0]]), (1.1, None)])
def test_motion_that_does_not_fit_better_is_ignored(monkeypatch, gain, expected):
    """Two textures have nothing in common, so that every motion has about the same difference."""
    monkeypatch.setattr(motion, "MAX_SHIFT_GAIN", gain)
    found = global_shifts(frames((40, 50)), frames((40, 50), seed=2)).tolist()
    assert found == expected if expected else found != [[0, 0]]


def slow_block_differences(a, b, shift):
    """Return the differences (6, 8) of the blocks of one frame, each searched within two pixels of its position."""
    result = np.full((6, 8), np.nan)
    for row in range(6):
        for column in range(8):
            ys, xs = np.arange(6 * row, 6 * row + 6), np.arange(8 * column, 8 * column + 8)
            if np.mean((ys + shift[0] >= 0) & (ys + shift[0] < 36)) <= 0.5 or \
                    np.mean((xs + shift[1] >= 0) & (xs + shift[1] < 64)) <= 0.5:
                continue
            result[row, column] = min(
                np.abs(a[np.ix_(ys, xs)] - b[np.ix_((ys + shift[0] + dy).clip(0, 35), (xs + shift[1] + dx).clip(0, 63))]).mean()
                for dy in range(-2, 3) for dx in range(-2, 3))
    return result


@pytest.mark.parametrize("shift", [(0, 0), (0, 7), (5, -3), (-4, 9), (4, 4)])
def test_block_differences_equal_a_slow_implementation(shift):
    """Each frame also has its own noise, and an object that moves differently."""
    r = np.random.default_rng(3)
    a, b = frames((40, 50)), frames((40 - shift[0], 50 - shift[1]))
    a, b = (x + 2 * r.random(x.shape, dtype=np.float32) for x in (a, b))
    b[0, 12:24, 20:36] = a[0, 11:23, 22:38] + 5
    assert global_shifts(a, b).tolist() == [list(shift)]
    np.testing.assert_allclose(block_differences(a, b)[0], slow_block_differences(a[0], b[0], shift), rtol=1e-4)
