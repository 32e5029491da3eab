"""Differences between frames that remain after compensating the motion of the camera and of objects."""

from __future__ import annotations

import numpy as np

from .boundaries import THUMBNAIL_PX

WIDTH, HEIGHT = THUMBNAIL_PX
BLOCKS = (6, 8)        # Rows and columns of blocks whose motion is searched.
MAX_SHIFT = (12, 24)   # Maximum global motion between two frames, in rows and columns of a thumbnail.
SEARCH_PX = 2          # Blocks are searched up to this far around their global position.
MAX_SHIFT_GAIN = 0.9   # A global motion must reduce the difference of the frames to this share.
MIN_MAGNITUDE = 0.05  # Frequencies below this share of the mean magnitude do not contribute to phase correlation.

_COLUMN_POOL = np.kron(np.eye(BLOCKS[1], dtype=np.float32),
                       np.full((WIDTH // BLOCKS[1] * 3, 1), 1 / (WIDTH // BLOCKS[1] * 3), np.float32))
_WINDOW = np.outer(np.hanning(HEIGHT + 2)[1:-1], np.hanning(WIDTH + 2)[1:-1]).astype(np.float32)


def smoothed(thumbnails: np.ndarray) -> np.ndarray:
    """Return thumbnails (N, 36, 64, 3) smoothed by [1 2 1] / 4 along both axes, so that half pixels match; float32."""
    padded = np.pad(thumbnails.astype(np.float32), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 4


def block_differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the mean absolute differences of blocks after motion compensation.

    The global motion is found by phase correlation (Kuglin and Hines, 1975); then each block is searched around its
    global position (block matching).

    Args:
        a: (N, 36, 64, 3) float32, thumbnails from `smoothed`.
        b: thumbnails to compare with, one for each in `a`.

    Returns:
        (N, 6, 8) float32 in levels of 255; NaN for blocks of `a` that are outside of `b`.
    """
    shifts = global_shifts(a, b)
    rows = np.arange(-SEARCH_PX, HEIGHT + SEARCH_PX)[None, :] + shifts[:, :1]
    columns = np.arange(-SEARCH_PX, WIDTH + SEARCH_PX)[None, :] + shifts[:, 1:]
    moved = b[np.arange(len(b))[:, None, None], rows.clip(0, HEIGHT - 1)[:, :, None],
              columns.clip(0, WIDTH - 1)[:, None, :]]
    best = np.full((len(a), *BLOCKS), np.inf, dtype=np.float32)
    for y in range(2 * SEARCH_PX + 1):
        for x in range(2 * SEARCH_PX + 1):
            np.minimum(best, _block_means(np.abs(a - moved[:, y:y + HEIGHT, x:x + WIDTH])), out=best)
    for axis, (positions, size) in enumerate(((rows, HEIGHT), (columns, WIDTH))):
        inside = (positions[:, SEARCH_PX:-SEARCH_PX] >= 0) & (positions[:, SEARCH_PX:-SEARCH_PX] < size)
        visible = inside.reshape(len(a), BLOCKS[axis], -1).mean(axis=2) > 0.5
        best[~(visible[:, :, None] if axis == 0 else visible[:, None, :]).repeat(BLOCKS[1 - axis], 2 - axis)] = np.nan
    return best


def global_shifts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the (N, 2) rows and columns by which the content of `a` is displaced in `b`; 0 unless that fits better."""
    spectra = [np.fft.rfft2((x.mean(axis=3) - x.mean(axis=(1, 2, 3))[:, None, None]) * _WINDOW) for x in (a, b)]
    cross = np.conj(spectra[0]) * spectra[1]
    magnitude = np.abs(cross)
    floor = MIN_MAGNITUDE * magnitude.mean(axis=(1, 2), keepdims=True) + 1e-6
    correlation = np.fft.irfft2(cross / (magnitude + floor), s=(HEIGHT, WIDTH))
    max_y, max_x = MAX_SHIFT
    near = np.concatenate([correlation[:, -max_y:], correlation[:, :max_y + 1]], axis=1)
    near = np.concatenate([near[:, :, -max_x:], near[:, :, :max_x + 1]], axis=2)
    peaks = np.stack(np.unravel_index(near.reshape(len(a), -1).argmax(axis=1), near.shape[1:]), axis=1) - MAX_SHIFT
    for i, (y, x) in enumerate(peaks):
        if (y or x) and _overlap_difference(a[i], b[i], y, x) >= MAX_SHIFT_GAIN * np.abs(a[i] - b[i]).mean():
            peaks[i] = 0
    return peaks


def _overlap_difference(a: np.ndarray, b: np.ndarray, y: int, x: int) -> float:
    """Return the mean absolute difference of one thumbnail to another one that is displaced, where both overlap."""
    part_a = a[max(0, -y):HEIGHT - max(0, y), max(0, -x):WIDTH - max(0, x)]
    part_b = b[max(0, y):HEIGHT - max(0, -y), max(0, x):WIDTH - max(0, -x)]
    return float(np.abs(part_a - part_b).mean())


def _block_means(values: np.ndarray) -> np.ndarray:
    """Return the means (N, 6, 8) of the blocks of (N, 36, 64, 3)."""
    columns = values.reshape(len(values) * HEIGHT, WIDTH * 3) @ _COLUMN_POOL
    return columns.reshape(len(values), BLOCKS[0], HEIGHT // BLOCKS[0], BLOCKS[1]).mean(axis=2)
