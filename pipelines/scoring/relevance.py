"""Score clips by their similarity to text queries, without training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .curves import SIGMA_CLIPS, min_max_scale, smooth, standardize

EVIDENCE_WEIGHT = 4.0   # Standard deviations of a similarity curve that evidence of 1 adds.


def query_scores(similarity: np.ndarray, evidence: np.ndarray | None = None,
                 sigma_clips: float = SIGMA_CLIPS) -> np.ndarray:
    """Return zero-shot scores of all clips for each query.

    The similarities of a query are smoothed over time and standardized over the video, because some queries are
    closer to every frame than others. Evidence is added on that scale: a subtitle that repeats the query raises
    its clips by four standard deviations, a less similar one proportionally less.

    Args:
        similarity: (T, Q) cosine similarities between clips and queries.
        evidence: (Q, T) in [0, 1], see `evidence.Evidence.match`; None without evidence.
        sigma_clips: standard deviation of the smoothing over time.

    Returns:
        (Q, T) in [0, 1] on a common scale, so that the maximum over the queries is the score of a clip.
    """
    curves = standardize(smooth(similarity.T, sigma_clips))
    if evidence is not None:
        curves = curves + EVIDENCE_WEIGHT * evidence
    return min_max_scale(curves)


def map_rows(function: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Apply a function to each row separately, so that a result does not depend on the other rows.

    A matrix product rounds a row differently depending on its position and on the number of rows. The order of
    the queries, or an additional query, would then change the last digits of all scores.

    Args:
        function: maps (1, D) to (1, N).
        rows: (Q, D).

    Returns:
        (Q, N) float64.
    """
    return np.concatenate([np.asarray(function(row[None]), dtype=np.float64) for row in rows])
