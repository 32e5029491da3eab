"""The parts of reframing equal slow implementations: saliency, background, camera path, and offsets."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from pipelines.editing.reframe import Camera, _profile, camera_path, remove_background, saliency


def test_saliency_is_squared_contrast_and_motion():
    r = np.random.default_rng(0)
    frame, previous = (r.uniform(0, 255, (40, 50, 3)).astype(np.float32) for _ in range(2))
    center, surround = (np.stack([gaussian_filter(frame[..., c], sigma) for c in range(3)], axis=-1) for sigma in (1.5, 14))
    contrast = ((center - surround) ** 2).sum(axis=-1) / 40**2
    np.testing.assert_allclose(saliency(frame, None), contrast, rtol=1e-3, atol=1e-5)
    change = gaussian_filter(np.abs(frame[..., 0] - previous[..., 0]), 1.5)
    motion = change - np.median(change)
    motion[motion <= 4] = 0
    assert 0.05 < (motion > 0).mean() < 0.45
    np.testing.assert_allclose(saliency(frame, previous), contrast + 1.5 * motion / 40, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("along_x", [True, False])
def test_profiles_are_weighted_towards_the_center(along_x):
    saliency_map = np.random.default_rng(1).random((30, 50))
    sums = saliency_map.sum(axis=0) if along_x else saliency_map.sum(axis=1)
    expected = [value * (0.5 + 0.5 * np.exp(-0.5 * ((i / (len(sums) - 1) - 0.5) / 0.35) ** 2)) + 1e-9
                for i, value in enumerate(sums)]
    np.testing.assert_allclose(_profile(saliency_map, along_x), expected)


def test_the_permanent_part_of_the_saliency_is_removed():
    profiles = np.random.default_rng(2).random((30, 12)) + np.arange(12)
    background = np.array([np.percentile(profiles[:, i], 20) for i in range(12)])
    foreground = profiles - 0.8 * background
    expected = foreground / np.percentile(foreground.sum(axis=1), 90)
    np.testing.assert_allclose(remove_background(profiles), expected)
    assert np.isfinite(remove_background(np.zeros((3, 4)))).all()


def slow_path(profiles, window):
    """Return the path of least loss by trying all paths, then the dead zone and the smoothing."""
    weights = [1 - abs(i - (window - 1) / 2) / window for i in range(window)]
    shown = np.array([[sum(w * row[p + i] for i, w in enumerate(weights)) for p in range(len(row) - window + 1)]
                      for row in profiles])
    P = shown.shape[1]
    paths = itertools.product(range(P), repeat=len(profiles))
    best = min(paths, key=lambda path: sum(4 / P * abs(a - b) for a, b in itertools.pairwise(path))
               - sum(row[p] for row, p in zip(shown, path, strict=True)))
    still = [best[0]]
    for p in best[1:]:
        still.append(still[-1] if abs(p - still[-1]) <= 0.1 * window else p)
    return gaussian_filter1d(np.array(still, dtype=float), 2, mode="nearest") / (P - 1), best


@pytest.mark.parametrize("seed", range(5))
def test_a_moving_camera_follows_the_path_of_least_loss(seed):
    r = np.random.default_rng(seed)
    profiles = 0.2 * r.random((6, 9))
    for t in range(6):   # The subject is on one side, then on the other.
        profiles[t, (1 if t < 3 else 6):][:2] += 2
    expected, best = slow_path(profiles, 4)
    assert len(set(best)) > 1
    np.testing.assert_allclose(camera_path(profiles, 4), expected)


@pytest.mark.parametrize(("share", "moves"), [(0.86, False), (0.84, True)])
def test_a_camera_that_shows_nearly_as_much_is_stationary(share, moves):
    """The subject is elsewhere in the last rows; a stationary camera shows a given share of what a moving one shows."""
    T = 100
    profiles = np.zeros((T, 11))
    profiles[:, 2] = 1
    profiles[round(share * T):, 2], profiles[round(share * T):, 8] = 0, 1
    positions = camera_path(profiles, 3)   # Only in the middle of the window, a cell counts completely.
    assert bool(np.ptp(positions)) is moves
    if not moves:
        assert positions.tolist() == [1 / 8] * T


def test_equally_good_positions_are_as_central_as_possible():
    profiles = np.zeros((4, 11))
    profiles[:, [1, 6, 9]] = 1
    assert camera_path(profiles, 3).tolist() == [5 / 8] * 4


CAMERA = Camera((100, 80), (61, 0), [(0.0, np.array([0.0, 1.0]), np.array([0.0, 0.5])),
                                     (2.0, np.array([2.0, 3.0]), np.array([1.0, 1.0]))])


@pytest.mark.parametrize(("time_s", "x"), [
    (-1, 0), (0, 0), (0.5, 16), (1, 30), (1.9, 30), (2, 60), (2 - 5e-7, 60), (2 - 2e-6, 30), (9, 60)])
def test_offsets_are_even_interpolated_and_jump_with_the_shot(time_s, x):
    assert CAMERA.offset(time_s) == (x, 0)


def test_offsets_along_y_stay_inside():
    camera = Camera((100, 80), (0, 7), [(1.0, np.array([1.0]), np.array([1.0]))])
    assert camera.offset(0) == camera.offset(Fraction(5)) == (0, 6)
