"""Time intervals: numbers of clips, overlap, and non-maximum suppression."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

Interval = tuple[Fraction, Fraction]   # A start and an end in seconds.

MAX_JOINED_REST = Fraction(1, 4)   # A last piece of at most this share of a clip is joined to the clip before it.


def num_clips(duration_s: float | Fraction, clip_len_s: float) -> int:
    """Return the number of clips that a video is encoded in, at least 1.

    The last clip ends with the video; a remainder of a quarter clip or less is joined to the clip before it.
    """
    return max(1, math.ceil(Fraction(duration_s) / Fraction(clip_len_s) - MAX_JOINED_REST))


def num_complete_clips(duration_s: float, clip_len_s: float) -> int:
    """Return the number of complete clips in a labeled video, at least 1, as QVHighlights counts them."""
    return max(int(duration_s / clip_len_s + 1e-9), 1)   # The epsilon makes 0.6 s / 0.2 s 3 clips, not 2.


def temporal_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the intersection over union of intervals.

    Args:
        a: (..., 2 or more), [start, end) in the first two columns.
        b: intervals in the same format; the leading axes of `a` and `b` broadcast.

    Returns:
        The broadcast leading shape; 0 where the union is empty.
    """
    overlap = np.clip(np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0]), 0, None)
    union = (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - overlap
    return np.divide(overlap, union, out=np.zeros(np.shape(overlap)), where=union > 0)


def soft_nms(windows: np.ndarray, sigma: float = 0.5) -> np.ndarray:
    """Apply soft-NMS with a Gaussian penalty (Bodla et al., ICCV 2017).

    Repeatedly take the best remaining window and multiply the scores of the others by exp(-IoU^2 / sigma).

    Args:
        windows: (N, 3), start, end, score >= 0.
        sigma: width of the penalty, above 0; a larger value suppresses less.

    Returns:
        (N, 3), a new array, by descending score; ties keep the order of `windows`.
    """
    rest = np.array(windows, dtype=np.float64).reshape(-1, 3)
    kept = np.empty_like(rest)
    for i in range(len(kept)):
        best = int(rest[:, 2].argmax())
        kept[i] = rest[best]
        rest = np.delete(rest, best, axis=0)
        rest[:, 2] *= np.exp(-temporal_iou(kept[i], rest) ** 2 / sigma)
    return kept
