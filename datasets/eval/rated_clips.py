"""Metrics of one score per rated clip: separation of positive and negative clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.errors import InputError


def eval_clips(scores: np.ndarray, positive: np.ndarray) -> dict[str, float]:
    """Compute the average precision and the area under the ROC curve.

    Args:
        scores: (N,), higher is better.
        positive: (N,) of 0 and 1, or bool.

    Returns:
        `AP` and `ROC-AUC` in percent, two decimals. If all clips are positive or all negative, there is no AUC, and
        AP is 100 or 0.

    Raises:
        InputError: shapes do not match, there are no clips, or scores are NaN or infinite.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # Takes a second to import.

    s, p = _checked(scores, positive)
    if p.all() or not p.any():
        return dict(AP=100.0 * float(p.all()))
    return {"AP": round(100 * float(average_precision_score(p, s)), 2),
            "ROC-AUC": round(100 * float(roc_auc_score(p, s)), 2)}


def eval_by_video(scores: np.ndarray, positive: np.ndarray, videos: Sequence[str]) -> dict[str, float]:
    """Compute highlight detection metrics within each source video, whose clips are rated as units.

    Videos whose clips are all positive or all negative are excluded, because they have nothing to rank.

    Args:
        scores, positive: see `eval_clips`.
        videos: (N,), source video of each clip.

    Returns:
        `HD-mAP-by-video`, the mean of the videos' average precisions, and `HD-HIT@1-by-video`, the share of videos
        whose best-scored clip is positive (or the positive share of equally scored ones), in percent, two decimals;
        both are absent if all videos are excluded. `HD-videos` and `HD-videos-left-out`, the numbers of included and
        excluded videos.

    Raises:
        InputError: see `eval_clips`.
    """
    from sklearn.metrics import average_precision_score  # Takes a second to import.

    s, p = _checked(scores, positive)
    names, of_video = np.unique(np.asarray(videos), return_inverse=True)
    if of_video.shape != s.shape:
        raise InputError(None, f"scores {s.shape} and videos {of_video.shape} must have one value per clip")
    precisions, hits = [], []
    for i in range(len(names)):
        video_scores, video_positive = s[of_video == i], p[of_video == i]
        if video_positive.any() and not video_positive.all():
            precisions.append(float(average_precision_score(video_positive, video_scores)))
            hits.append(float(video_positive[video_scores == video_scores.max()].mean()))
    counts: dict[str, float] = {"HD-videos": len(hits), "HD-videos-left-out": len(names) - len(hits)}
    if not hits:
        return counts
    return {"HD-mAP-by-video": round(100 * float(np.mean(precisions)), 2),
            "HD-HIT@1-by-video": round(100 * float(np.mean(hits)), 2), **counts}


def _checked(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    s, p = np.asarray(scores, dtype=np.float64), np.asarray(positive).astype(bool)
    if s.ndim != 1 or s.shape != p.shape or not len(s) or not np.isfinite(s).all():
        raise InputError(None, f"scores {s.shape} and positive {p.shape} must have one value per clip, at least one, "
                               "and scores must be finite")
    return s, p
