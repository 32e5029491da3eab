"""Suppression of moments that overlap better ones."""

from __future__ import annotations

import numpy as np


def temporal_iou(one: np.ndarray, many: np.ndarray) -> np.ndarray:
    """Intersection over union of a window (2,) with windows (N, 2), [start, end) -> (N,); 0 for an empty union."""
    inside = np.clip(np.minimum(one[1], many[:, 1]) - np.maximum(one[0], many[:, 0]), 0, None)
    union = (one[1] - one[0]) + (many[:, 1] - many[:, 0]) - inside
    return np.divide(inside, union, out=np.zeros(len(many)), where=union > 0)


def soft_nms(windows: np.ndarray, sigma: float = 0.5) -> np.ndarray:
    """Soft-NMS with a Gaussian penalty (Bodla et al., ICCV 2017).

    The best window stays, the scores of the others fall by exp(-IoU^2 / sigma), and so on with the rest.

    Args:
        windows: (N, 3), start, end, score >= 0.
        sigma: how mild the penalty is, above 0.

    Returns:
        (N, 3), a new array, by falling score; of equal ones the earlier in `windows` comes first.
    """
    rest = np.array(windows, dtype=np.float64).reshape(-1, 3)
    kept = np.empty_like(rest)
    for i in range(len(kept)):
        best = int(rest[:, 2].argmax())
        kept[i] = rest[best]
        rest = np.delete(rest, best, axis=0)
        rest[:, 2] *= np.exp(-temporal_iou(kept[i], rest) ** 2 / sigma)
    return kept
