"""Score the novelty of clips: the distance of each clip from the most similar other clips."""

from __future__ import annotations

import numpy as np

from models.encoders.base import normalize_rows

from .curves import SIGMA_CLIPS, min_max_scale, smooth, standardize

NUM_NEIGHBORS = 5    # Other clips that a clip is compared with.
AUDIO_WEIGHT = 0.5   # Weight of audio novelty relative to visual novelty.
MIN_SPREAD = 1e-3    # Features with a smaller spread of directions count as constant; the rest is decoder noise.
BLOCK_CLIPS = 256    # Clips that are compared at once, which bounds the memory.


def novelty(visual: np.ndarray, audio: np.ndarray | None = None, blank: np.ndarray | None = None,
            sigma_clips: float = SIGMA_CLIPS) -> np.ndarray:
    """Score each clip by its distance from its nearest neighbors among the clips of the video.

    The novelty of a clip is its mean cosine distance to the five most similar other clips. Visual and audio
    novelty are smoothed and standardized over the video; audio has half the weight. Blank clips, which differ
    from all others, get the lowest score.

    Args:
        visual: (T, D) visual features.
        audio: (T, A) audio features, or None. Each feature is standardized over the video first.
        blank: (T,) bool, True for clips with a uniform frame, as in a fade; None if there are none.
        sigma_clips: standard deviation of the smoothing over time.

    Returns:
        (T,) in [0, 1]; 0.5 everywhere if neither visual nor audio features vary.
    """
    curve = np.zeros(len(visual))
    shown = np.ones(len(visual), dtype=bool) if blank is None or blank.all() else ~blank
    if has_variation(visual[shown]):
        distance = np.zeros(len(visual))
        distance[shown] = _neighbor_distance(visual[shown])
        distance[~shown] = distance[shown].min()
        curve = standardize(smooth(distance, sigma_clips))
    if audio is not None:
        curve = curve + AUDIO_WEIGHT * standardize(smooth(_neighbor_distance(standardize(audio.T).T), sigma_clips))
    return min_max_scale(np.where(shown, curve, curve[shown].min()))


def has_variation(features: np.ndarray) -> bool:
    """Return True if the directions of the feature vectors (T, D) have a spread of more than 0.001."""
    mean, squares = np.zeros(features.shape[1]), 0.0
    for begin in range(0, len(features), BLOCK_CLIPS):
        unit = normalize_rows(np.asarray(features[begin:begin + BLOCK_CLIPS], dtype=np.float64))
        mean += unit.sum(axis=0) / len(features)
        squares += float(np.square(unit).sum()) / len(features)
    return bool(squares - mean @ mean > MIN_SPREAD**2)


def _neighbor_distance(features: np.ndarray) -> np.ndarray:
    """Return the mean cosine distance (T,) of each row to its nearest other rows, without a T x T matrix."""
    unit = normalize_rows(features)
    T = len(unit)
    k = min(NUM_NEIGHBORS, T - 1)
    mean_distance = np.zeros(T)
    if k == 0:
        return mean_distance
    for begin in range(0, T, BLOCK_CLIPS):
        rows = np.arange(begin, min(begin + BLOCK_CLIPS, T))
        distance = 1 - unit[rows] @ unit.T                # (block, T)
        distance[np.arange(len(rows)), rows] = np.inf     # A clip is not its own neighbor.
        mean_distance[rows] = np.partition(distance, k - 1, axis=1)[:, :k].mean(axis=1)
    return mean_distance
