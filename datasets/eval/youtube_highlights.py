"""The YouTube Highlights metric: average precision of all clips."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.errors import InputError


def youtube_map(scores: Mapping, matches: Mapping) -> float:
    """Compute the mAP that highlight detectors report on YouTube Highlights (Sun et al., ECCV 2014).

    A clip is positive if its match is above 0. The AP is the area under the precision-recall curve by the trapezoidal
    rule, from precision 1 at recall 0, over a video's clips by descending score; ties are ranked by time. A video
    without positive clips counts as 0.

    Args:
        scores: (T,) by video, higher is better.
        matches: (T,) by the same videos: 1 for a highlight, 0 for a borderline clip, -1 for a clip that is none.

    Returns:
        Mean over videos, in [0, 1].

    Raises:
        InputError: there are no videos, the videos or numbers of clips differ, or values are not finite numbers.
    """
    if not matches or scores.keys() != matches.keys():
        differing = sorted(map(str, scores.keys() ^ matches.keys()))
        raise InputError(None, "scores and matches must have the same videos, at least one; only one of them has: "
                               f"{differing}")
    return float(np.mean([_video_ap(vid, scores[vid], matches[vid]) for vid in matches]))


def _video_ap(vid: object, scores: object, matches: object) -> float:
    try:
        s, m = np.asarray(scores, dtype=np.float64), np.asarray(matches, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise InputError(f"{vid}", f"scores and matches must be lists of numbers ({err})") from err
    if s.ndim != 1 or s.shape != m.shape or not len(s) or not np.isfinite(s).all() or not np.isfinite(m).all():
        raise InputError(f"{vid}", f"scores {s.shape} and matches {m.shape} must be finite and of the same clips")
    hits = (m > 0)[np.argsort(-s, kind="stable")]
    if not hits.any():
        return 0.0
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    previous = np.concatenate([[1], precision[:-1]])
    return float(((precision + previous) / 2 * hits).sum() / hits.sum())
