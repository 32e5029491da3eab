"""The TVSum highlight metric: AP of the five best-scored clips."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.errors import InputError

TOP = 5


def tvsum_top5_map(scores: Mapping, annotations: Mapping) -> float:
    """The top-5 mAP that highlight detectors report on TVSum (Song et al., CVPR 2015).

    For every annotator those clips are positive that he rated strictly above the (lower) median of
    his ratings. The AP is the area under the precision-recall curve of the five best-scored clips by
    the trapezoid rule, from precision 1 at recall 0; recall counts the positives among these five only,
    and the AP is 0 where there is none. Of equal scores the earlier clip comes first. The AP is averaged
    over a video's annotators, then over videos.

    A generous metric: it says nothing about positives that were missed. See it beside a random floor.

    Args:
        scores: by video (T,), higher is better.
        annotations: by the same videos (T, A), one column per annotator.

    Returns:
        In [0, 1].

    Raises:
        InputError: no video, other videos here than there, values that are not finite numbers, or
            as many scores as the annotations have no clips.
    """
    if not annotations or scores.keys() != annotations.keys():
        odd = sorted(map(str, scores.keys() ^ annotations.keys()))
        raise InputError(f"scores and annotations must be of the same videos, at least one; not in both: {odd}")
    return float(np.mean([_video_ap(vid, scores[vid], annotations[vid]) for vid in annotations]))


def _video_ap(vid: object, scores: object, annotations: object) -> float:
    try:
        s, a = np.asarray(scores, dtype=np.float64), np.asarray(annotations, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise InputError(f"{vid}: scores (T,) and annotations (T, A) must be numbers ({err})") from err
    if s.ndim != 1 or a.ndim != 2 or len(s) != len(a) or a.size == 0:
        raise InputError(f"{vid}: scores {s.shape} and annotations {a.shape} do not fit; "
                         "they must be (T,) and (T, A) of the same clips")
    if not np.isfinite(s).all() or not np.isfinite(a).all():
        raise InputError(f"{vid}: scores or annotations hold NaN or infinity")
    median = np.sort(a, axis=0)[(len(a) - 1) // 2]   # (A,); of an even number of clips the lower one
    best = np.argsort(-s, kind="stable")[:TOP]
    hits = a[best] > median   # (up to 5, A)
    precision = hits.cumsum(axis=0) / np.arange(1, len(best) + 1)[:, None]
    before = np.concatenate([np.ones((1, a.shape[1])), precision[:-1]])
    area = ((precision + before) / 2 * hits).sum(axis=0)   # recall rises at hits, by one of their number
    return float((area / np.maximum(hits.sum(axis=0), 1)).mean())
