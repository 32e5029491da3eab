"""How well one score per item tells the positive ones from the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.errors import InputError


def eval_clips(scores: np.ndarray, positive: np.ndarray) -> dict[str, float]:
    """Average precision and area under the ROC curve.

    Args:
        scores: (N,), higher is better.
        positive: (N,) of 0 and 1, or bool.

    Returns:
        `AP` and `ROC-AUC` in per cent, two decimals; without an item of either kind there is no AUC, and
        AP is 0 or 100.

    Raises:
        InputError: other shapes, no item, NaN.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # takes a second to load

    s, p = _checked(scores, positive)
    if p.all() or not p.any():
        return dict(AP=100.0 * float(p.all()))
    return {"AP": round(100 * float(average_precision_score(p, s)), 2),
            "ROC-AUC": round(100 * float(roc_auc_score(p, s)), 2)}


def eval_by_video(scores: np.ndarray, positive: np.ndarray, videos: Sequence[str]) -> dict[str, float]:
    """How well the clips of each video are ranked: highlight detection where a video's clips are rated as wholes.

    Videos without a positive or without a negative clip have nothing to rank and are left out.

    Args:
        scores, positive: see `eval_clips`.
        videos: (N,), the source video of every clip.

    Returns:
        `HD-mAP-by-video`, the mean of the videos' average precisions, and `HD-HIT@1-by-video`, the share of videos
        whose best-scored clip is positive (of several that score equally, the share of these), in per cent, two
        decimals; lacking where no video counts. `HD-videos` and `HD-videos-left-out`, how many there are of both.

    Raises:
        InputError: as `eval_clips`.
    """
    from sklearn.metrics import average_precision_score

    s, p = _checked(scores, positive)
    names, of_video = np.unique(np.asarray(videos), return_inverse=True)
    if of_video.shape != s.shape:
        raise InputError(f"scores {s.shape} and videos {of_video.shape} must be of the same items")
    precisions, hits = [], []
    for i in range(len(names)):
        own, right = s[of_video == i], p[of_video == i]
        if right.any() and not right.all():
            precisions.append(float(average_precision_score(right, own)))
            hits.append(float(right[own == own.max()].mean()))
    counts = {"HD-videos": len(hits), "HD-videos-left-out": len(names) - len(hits)}
    if not hits:
        return counts
    return {"HD-mAP-by-video": round(100 * float(np.mean(precisions)), 2),
            "HD-HIT@1-by-video": round(100 * float(np.mean(hits)), 2), **counts}


def _checked(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    s, p = np.asarray(scores, dtype=np.float64), np.asarray(positive).astype(bool)
    if s.ndim != 1 or s.shape != p.shape or not len(s) or not np.isfinite(s).all():
        raise InputError(f"scores {s.shape} and positive {p.shape} must be finite, of the same items, at least one")
    return s, p
