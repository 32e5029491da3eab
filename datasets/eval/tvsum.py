"""The TVSum highlight metric: average precision of the five best-scored clips."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.errors import InputError

TOP = 5


def tvsum_top5_map(scores: Mapping, annotations: Mapping) -> float:
    """Compute the top-5 mAP that highlight detectors report on TVSum (Song et al., CVPR 2015).

    For each annotator, clips rated strictly above the (lower) median of the annotator's ratings are positive. The AP
    is the area under the precision-recall curve of the five best-scored clips by the trapezoidal rule, from precision
    1 at recall 0. Recall only counts positives among these five clips, and the AP is 0 if there are none. Ties are
    ranked by time. The AP is averaged over a video's annotators, then over videos.

    The metric is lenient, because positives below rank five do not count. Compare it with a random baseline.

    Args:
        scores: (T,) by video, higher is better.
        annotations: (T, A) by the same videos, one column per annotator.

    Returns:
        In [0, 1].

    Raises:
        InputError: there are no videos, the videos or numbers of clips differ, or values are not finite numbers.
    """
    if not annotations or scores.keys() != annotations.keys():
        differing = sorted(map(str, scores.keys() ^ annotations.keys()))
        raise InputError(None, "scores and annotations must have the same videos, at least one; only one of them has: "
                               f"{differing}")
    return float(np.mean([_video_ap(vid, scores[vid], annotations[vid]) for vid in annotations]))


def pad_scores(scores: list[float], num_clips: int) -> list[float]:
    """Fit a video's scores to the number of labeled clips; missing clips rank below all others."""
    return list(scores[:num_clips]) + [min(scores, default=0) - 1] * (num_clips - len(scores))


def _video_ap(vid: object, scores: object, annotations: object) -> float:
    try:
        s, a = np.asarray(scores, dtype=np.float64), np.asarray(annotations, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise InputError(f"{vid}", f"scores (T,) and annotations (T, A) must be numbers ({err})") from err
    if s.ndim != 1 or a.ndim != 2 or len(s) != len(a) or a.size == 0:
        raise InputError(f"{vid}", f"scores have shape {s.shape} and annotations {a.shape}; they must be (T,) and "
                                   "(T, A) of the same clips")
    if not np.isfinite(s).all() or not np.isfinite(a).all():
        raise InputError(f"{vid}", "scores or annotations contain NaN or infinity")
    median = np.sort(a, axis=0)[(len(a) - 1) // 2]   # (A,), the lower median of an even number of clips.
    best = np.argsort(-s, kind="stable")[:TOP]
    hits = a[best] > median   # (up to 5, A)
    precision = hits.cumsum(axis=0) / np.arange(1, len(best) + 1)[:, None]
    previous = np.concatenate([np.ones((1, a.shape[1])), precision[:-1]])
    area = ((precision + previous) / 2 * hits).sum(axis=0)   # Recall rises at each hit, by 1 / number of hits.
    return float((area / np.maximum(hits.sum(axis=0), 1)).mean())
