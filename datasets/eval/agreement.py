"""Agreement of one video's summary with several annotators: F-score of frames, rank correlation of scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from common.errors import InputError

REDUCTIONS = ("avg", "max")   # Reductions over users: TVSum uses the mean, SumMe the maximum.


class RankCorrelation(NamedTuple):
    """Rank correlations in [-1, 1], averaged over annotators."""

    kendall_tau: float
    spearman_rho: float


def f_score(machine: np.ndarray, users: np.ndarray, reduce: str) -> float:
    """Compute the F-score of a summary's frames against each user's, in percent.

    Args:
        machine: (N,) of 0 and 1, or bool: 1 for the frames of the summary.
        users: (U, N) likewise, one row per user.
        reduce: `avg`, the mean over users, as on TVSum; `max`, the best match, as on SumMe.

    Returns:
        In [0, 100]; an empty summary scores 0.

    Raises:
        InputError: shapes do not match, values are not 0 or 1, or `reduce` is unknown.
    """
    if reduce not in REDUCTIONS:
        raise InputError(None, f"reduce={reduce!r}", "use 'avg' (TVSum) or 'max' (SumMe)")
    m, u = np.asarray(machine), np.asarray(users)
    if m.ndim != 1 or u.ndim != 2 or len(u) == 0 or m.shape != u.shape[1:]:
        raise InputError(None, f"the summary has shape {m.shape} and the users' summaries {u.shape}; they must be (N,) "
                               "and (U, N) of the same frames")
    if not np.isin(m, (0, 1)).all() or not np.isin(u, (0, 1)).all():
        raise InputError(None, "summaries must have 0 or 1 for every frame", "select frames from scores first")
    m, u = m.astype(bool), u.astype(bool)
    both, total = (u & m).sum(axis=1), u.sum(axis=1) + m.sum()   # (U,)
    scores = 200 * both / np.maximum(total, 1)   # 2PR / (P + R) with P = both / |m| and R = both / |u|.
    return float(scores.mean() if reduce == "avg" else scores.max())


def rank_correlation(scores: np.ndarray, user_scores: np.ndarray) -> RankCorrelation:
    """Compute the rank correlation of frame scores with each annotator's (Otani et al., CVPR 2019).

    Kendall's tau-b and Spearman's rho are computed per annotator and then averaged. Correlations with the annotators'
    mean scores are far higher and not comparable. Annotators whose scores are all equal are excluded, because they
    have no ranking; if `scores` are all equal, the result is 0.

    Args:
        scores: (N,).
        user_scores: (U, N), one row per annotator, of the same frames.

    Raises:
        InputError: shapes do not match, there are fewer than two frames, values are NaN or infinite, or no annotator
            has a ranking.
    """
    from scipy.stats import kendalltau, spearmanr  # Takes a second to import, which other metrics do not need.

    s, u = np.asarray(scores, dtype=np.float64), np.asarray(user_scores, dtype=np.float64)
    if s.ndim != 1 or u.ndim != 2 or s.shape != u.shape[1:] or len(s) < 2:
        raise InputError(None, f"scores have shape {s.shape} and user_scores {u.shape}; they must be (N,) and (U, N) "
                               "of the same frames, N at least 2")
    if not np.isfinite(s).all() or not np.isfinite(u).all():
        raise InputError(None, "scores or user_scores contain NaN or infinity")
    ranked = u[u.min(axis=1) < u.max(axis=1)]
    if len(ranked) == 0:
        raise InputError(None, "the scores of each annotator are all equal, so there is no ranking to compare with")
    if s.min() == s.max():
        return RankCorrelation(0.0, 0.0)
    return RankCorrelation(float(np.mean([kendalltau(s, row).statistic for row in ranked])),
                           float(np.mean([spearmanr(s, row).statistic for row in ranked])))
