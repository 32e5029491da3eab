"""Metrics of a score per picked frame: F1 of the key-shots, rank correlation; chance, labels and people beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from common.errors import InputError
from datasets.annotations.summarization_h5 import SummarizedVideo

from .agreement import f_score, rank_correlation

REDUCTIONS = ("avg", "max")   # over users, as on TVSum and as on SumMe
Scores = Mapping[str, np.ndarray]
Videos = Mapping[str, SummarizedVideo]
Select = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]   # such as `key_frames`


def eval_summaries(scores: Scores, videos: Videos, select: Select) -> dict[str, dict[str, float]]:
    """Every video's metrics, see `video_metrics`.

    Args:
        scores: by video (T,), of its picked frames.
        videos: the same ones, with what people said.
        select: (shots, scores, picks, n_frames) -> (K, 2) frames of the key-shots, first and last inclusive.

    Raises:
        InputError: other videos here than there, or none; what `f_score` and `rank_correlation` refuse.
    """
    if not videos or scores.keys() != videos.keys():
        odd = sorted(map(str, scores.keys() ^ videos.keys()))
        raise InputError(f"scores and labels must be of the same videos, at least one; not in both: {odd}")
    return {name: video_metrics(scores[name], video, select) for name, video in videos.items()}


def video_metrics(scores: np.ndarray, video: SummarizedVideo, select: Select) -> dict[str, float]:
    """One video's metrics.

    Returns:
        `kendall`, `spearman` in [-1, 1], each annotator by himself and then the mean over them, see
        `rank_correlation`; and where the labels have summaries `f1_avg` (as on TVSum) and `f1_max` (as on
        SumMe) of the key-shots, in per cent.
    """
    tau, rho = rank_correlation(scores, annotator_scores(video))
    metrics = dict(kendall=tau, spearman=rho)
    if video.user_summary is not None:
        kept = selected_frames(scores, video, select)
        metrics.update({f"f1_{reduce}": f_score(kept, video.user_summary, reduce) for reduce in REDUCTIONS})
    return metrics


def annotator_scores(video: SummarizedVideo) -> np.ndarray:
    """(U, T) scores that an order is compared with; without `user_scores` gtscore is the one annotator."""
    return video.gtscore[None] if video.user_scores is None else video.user_scores


def selected_frames(scores: np.ndarray, video: SummarizedVideo, select: Select) -> np.ndarray:
    """(n_frames,) of 0 and 1: the key-shots that the scores select, or the part of the best one that fits.

    Where some are below 0, which a knapsack never takes, all are lifted until none is; others count as they are.
    """
    scores = np.asarray(scores, dtype=np.float64)
    kept = np.zeros(video.n_frames, dtype=np.int64)
    for first, last in select(video.change_points, scores - min(scores.min(), 0), video.picks, video.n_frames):
        kept[first:last + 1] = 1
    return kept


def mean_metrics(by_video: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The mean over videos of each metric that all of them have."""
    rows = list(by_video.values())
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if all(key in row for row in rows)}


def random_metrics(videos: Videos, select: Select, seeds: int) -> dict[str, float]:
    """What uniform scores give: the mean over seeds of the mean over videos."""
    draws = {}
    for seed in range(seeds):
        r = np.random.default_rng(seed)
        drawn = {name: r.random(len(video.picks)) for name, video in videos.items()}
        draws[seed] = mean_metrics(eval_summaries(drawn, videos, select))
    return mean_metrics(draws)


def oracle_metrics(videos: Videos, select: Select) -> dict[str, float]:
    """What the annotators' mean score gives, as a prediction: no machine can agree with all of them."""
    return mean_metrics(eval_summaries({name: annotator_scores(video).mean(axis=0) for name, video in videos.items()},
                                       videos, select))


def human_metrics(videos: Videos) -> dict[str, float]:
    """What people give, see `human`: the mean over videos of each metric that all their labels allow."""
    return mean_metrics({name: human(video) for name, video in videos.items()})


def human(video: SummarizedVideo) -> dict[str, float]:
    """Each annotator left out and compared with the others: the mean over annotators of each metric.

    Who rates all frames alike has no order and is left out. Two annotators, or users, are the least.
    """
    metrics: dict[str, float] = {}
    scores, summaries = video.user_scores, video.user_summary
    if scores is not None:
        scores = scores[scores.min(axis=1) < scores.max(axis=1)]
        if len(scores) > 1:
            pairs = [rank_correlation(own, np.delete(scores, i, axis=0)) for i, own in enumerate(scores)]
            metrics.update(zip(("kendall", "spearman"), map(float, np.mean(pairs, axis=0)), strict=True))
    if summaries is not None and len(summaries) > 1:
        for reduce in REDUCTIONS:
            metrics[f"f1_{reduce}"] = float(np.mean([
                f_score(own, np.delete(summaries, i, axis=0), reduce) for i, own in enumerate(summaries)]))
    return metrics
