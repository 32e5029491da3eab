"""The YouTube Highlights metric: AP of all clips."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.errors import InputError


def youtube_map(scores: Mapping, matches: Mapping) -> float:
    """The mAP that highlight detectors report on YouTube Highlights (Sun et al., ECCV 2014).

    A clip is positive when its match is above 0. The AP is the area under the precision-recall curve by
    the trapezoid rule, from precision 1 at recall 0, over a video's clips by falling score; of equal
    ones the earlier comes first. A video without a positive clip counts as 0.

    Args:
        scores: by video (T,), higher is better.
        matches: by the same videos (T,), 1 for highlights, 0 between, -1 for none.

    Returns:
        In [0, 1], the mean over videos.

    Raises:
        InputError: no video, other videos here than there, other lengths, NaN.
    """
    if not matches or scores.keys() != matches.keys():
        odd = sorted(map(str, scores.keys() ^ matches.keys()))
        raise InputError(f"scores and matches must be of the same videos, at least one; not in both: {odd}")
    return float(np.mean([_video_ap(vid, scores[vid], matches[vid]) for vid in matches]))


def _video_ap(vid: object, scores: object, matches: object) -> float:
    try:
        s, m = np.asarray(scores, dtype=np.float64), np.asarray(matches, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise InputError(f"{vid}: scores and matches must be lists of numbers ({err})") from err
    if s.ndim != 1 or s.shape != m.shape or not len(s) or not np.isfinite(s).all() or not np.isfinite(m).all():
        raise InputError(f"{vid}: scores {s.shape} and matches {m.shape} must be finite and of the same clips")
    hits = (m > 0)[np.argsort(-s, kind="stable")]
    if not hits.any():
        return 0.0
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    before = np.concatenate([[1], precision[:-1]])
    return float(((precision + before) / 2 * hits).sum() / hits.sum())
