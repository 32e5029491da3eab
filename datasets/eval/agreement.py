"""Metrics of video summaries against several people's: F-score of frames, rank correlation of scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from common.errors import InputError


class RankCorrelation(NamedTuple):
    """Means over annotators, in [-1, 1]."""

    kendall_tau: float
    spearman_rho: float


def f_score(machine: np.ndarray, users: np.ndarray, reduce: str) -> float:
    """F-score of a summary's frames against every user's, in per cent.

    Args:
        machine: (N,) of 0 and 1, or bool: the frames that the summary keeps.
        users: (U, N) likewise, one row per user.
        reduce: `avg`, the mean over users, as on TVSum; `max`, the nearest user, as on SumMe.

    Returns:
        In [0, 100]; a summary without a frame scores 0.

    Raises:
        InputError: other shapes, other values than 0 and 1, another `reduce`.
    """
    if reduce not in ("avg", "max"):
        raise InputError(f"reduce={reduce!r}; it must be 'avg' (TVSum) or 'max' (SumMe)")
    m, u = np.asarray(machine), np.asarray(users)
    if m.ndim != 1 or u.ndim != 2 or len(u) == 0 or m.shape != u.shape[1:]:
        raise InputError(f"the summary {m.shape} and the users' {u.shape} do not fit; "
                         "they must be (N,) and (U, N) of the same frames")
    if not np.isin(m, (0, 1)).all() or not np.isin(u, (0, 1)).all():
        raise InputError("summaries must hold 0 or 1 for every frame; select frames from scores first")
    m, u = m.astype(bool), u.astype(bool)
    both, kept = (u & m).sum(axis=1), u.sum(axis=1) + m.sum()   # (U,)
    scores = 200 * both / np.maximum(kept, 1)   # 2PR / (P + R) with P = both / |m|, R = both / |u|
    return float(scores.mean() if reduce == "avg" else scores.max())


def rank_correlation(scores: np.ndarray, user_scores: np.ndarray) -> RankCorrelation:
    """How well scores order the frames as people do (Otani et al., CVPR 2019).

    Kendall's tau-b and Spearman's rho with each annotator, then the mean over annotators; the other
    way round, with the annotators' mean scores, gives far higher numbers, which do not compare. An
    annotator who rates all frames alike has no order and is left out; scores that are all alike give 0.

    Args:
        scores: (N,).
        user_scores: (U, N), one row per annotator, of the same frames.

    Raises:
        InputError: other shapes, fewer than two frames, NaN, or no annotator with an order.
    """
    from scipy.stats import kendalltau, spearmanr  # takes a second to load, which other metrics need not wait for

    s, u = np.asarray(scores, dtype=np.float64), np.asarray(user_scores, dtype=np.float64)
    if s.ndim != 1 or u.ndim != 2 or s.shape != u.shape[1:] or len(s) < 2:
        raise InputError(f"scores {s.shape} and user_scores {u.shape} do not fit; "
                         "they must be (N,) and (U, N) of the same frames, N at least 2")
    if not np.isfinite(s).all() or not np.isfinite(u).all():
        raise InputError("scores or user_scores hold NaN or infinity")
    ordered = u[u.min(axis=1) < u.max(axis=1)]
    if len(ordered) == 0:
        raise InputError("every annotator rates all frames alike, so there is no order to compare with")
    if s.min() == s.max():
        return RankCorrelation(0.0, 0.0)
    return RankCorrelation(float(np.mean([kendalltau(s, row).statistic for row in ordered])),
                           float(np.mean([spearmanr(s, row).statistic for row in ordered])))
