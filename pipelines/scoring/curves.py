"""Smooth and normalize score curves: one value per clip of a video."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

SIGMA_CLIPS = 1.0   # Standard deviation of the Gaussian that smooths zero-shot scores over time.
MIN_STD = 1e-6      # A curve with a smaller standard deviation or range counts as constant.


def smooth(curves: np.ndarray, sigma_clips: float = SIGMA_CLIPS) -> np.ndarray:
    """Apply a Gaussian filter over time, repeating the first and the last value beyond the ends.

    Args:
        curves: (..., T).
        sigma_clips: standard deviation of the Gaussian in clips; 0 returns the curves unchanged.

    Returns:
        (..., T) float64.
    """
    curves = np.asarray(curves, dtype=np.float64)
    return gaussian_filter1d(curves, sigma_clips, axis=-1, mode="nearest") if sigma_clips > 0 else curves


def standardize(curves: np.ndarray) -> np.ndarray:
    """Scale each curve (..., T) to zero mean and unit standard deviation; a constant curve becomes zero."""
    curves = np.asarray(curves, dtype=np.float64)
    spread = curves.std(axis=-1, keepdims=True)
    flat = spread < MIN_STD
    return np.where(flat, 0.0, (curves - curves.mean(axis=-1, keepdims=True)) / np.where(flat, 1.0, spread))


def min_max_scale(curves: np.ndarray) -> np.ndarray:
    """Scale all curves jointly to [0, 1]; constant curves become 0.5."""
    low, high = float(curves.min()), float(curves.max())
    return (curves - low) / (high - low) if high - low > MIN_STD else np.full(curves.shape, 0.5)
