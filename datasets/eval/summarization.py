"""Summarization metrics of frame scores over videos, with the metrics of random scores, labels and annotators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from common.errors import InputError
from datasets.annotations.summarization_h5 import SummarizedVideo

from .agreement import REDUCTIONS, f_score, rank_correlation

Scores = Mapping[str, np.ndarray]
Videos = Mapping[str, SummarizedVideo]
SelectFrames = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]   # For example `key_frames`.


def eval_summaries(scores: Scores, videos: Videos, select: SelectFrames) -> dict[str, dict[str, float]]:
    """Return the metrics of each video, see `video_metrics`.

    Args:
        scores: (T,) by video, one score per sampled frame.
        videos: annotations of the same videos.
        select: (shots, scores, picks, n_frames) -> (K, 2) first and last frames of the key-shots, inclusive.

    Raises:
        InputError: the videos differ, or there are none; see also `f_score` and `rank_correlation`.
    """
    if not videos or scores.keys() != videos.keys():
        differing = sorted(map(str, scores.keys() ^ videos.keys()))
        raise InputError(None, "scores and labels must have the same videos, at least one; only one of them has: "
                               f"{differing}")
    return {name: video_metrics(scores[name], video, select) for name, video in videos.items()}


def video_metrics(scores: np.ndarray, video: SummarizedVideo, select: SelectFrames) -> dict[str, float]:
    """Return the metrics of one video.

    Returns:
        `kendall`, `spearman` in [-1, 1], computed per annotator and then averaged, see `rank_correlation`; and, if the
        labels have summaries, `f1_avg` (as on TVSum) and `f1_max` (as on SumMe) of the key-shots, in percent.
    """
    tau, rho = rank_correlation(scores, annotator_scores(video))
    metrics = dict(kendall=tau, spearman=rho)
    if video.user_summary is not None:
        selected = selected_frames(scores, video, select)
        metrics.update({f"f1_{reduce}": f_score(selected, video.user_summary, reduce) for reduce in REDUCTIONS})
    return metrics


def annotator_scores(video: SummarizedVideo) -> np.ndarray:
    """Return (U, T), the scores to correlate with; gtscore as the only annotator if there are no `user_scores`."""
    return video.gtscore[None] if video.user_scores is None else video.user_scores


def selected_frames(scores: np.ndarray, video: SummarizedVideo, select: SelectFrames) -> np.ndarray:
    """Return (n_frames,) of 0 and 1: the key-shots, or the part of the best shot that fits into the budget.

    A knapsack never selects negative scores. If there are any, all scores are therefore shifted to start at 0.
    """
    scores = np.asarray(scores, dtype=np.float64)
    selected = np.zeros(video.n_frames, dtype=np.int64)
    for first, last in select(video.change_points, scores - min(scores.min(), 0), video.picks, video.n_frames):
        selected[first:last + 1] = 1
    return selected


def mean_metrics(by_video: Mapping[Any, Mapping[str, float]]) -> dict[str, float]:
    """Return the mean over videos of each metric that all of them have."""
    rows = list(by_video.values())
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if all(key in row for row in rows)}


def random_metrics(videos: Videos, select: SelectFrames, seeds: int) -> dict[str, float]:
    """Return the metrics of uniform random scores, averaged over videos, then seeds."""
    draws = {}
    for seed in range(seeds):
        r = np.random.default_rng(seed)
        scores = {name: r.random(len(video.picks)) for name, video in videos.items()}
        draws[seed] = mean_metrics(eval_summaries(scores, videos, select))
    return mean_metrics(draws)


def oracle_metrics(videos: Videos, select: SelectFrames) -> dict[str, float]:
    """Return the metrics of the annotators' mean score as a prediction, which cannot agree with all of them."""
    return mean_metrics(eval_summaries({name: annotator_scores(video).mean(axis=0) for name, video in videos.items()},
                                       videos, select))


def human_metrics(videos: Videos) -> dict[str, float]:
    """Return the `leave_one_out_metrics`, averaged over videos, of the metrics that all labels support."""
    return mean_metrics({name: leave_one_out_metrics(video) for name, video in videos.items()})


def leave_one_out_metrics(video: SummarizedVideo) -> dict[str, float]:
    """Compare each annotator with the others, and return the mean over annotators of each metric.

    Annotators whose scores are all equal are excluded. Metrics need at least two annotators, or two summaries.
    """
    metrics: dict[str, float] = {}
    scores, summaries = video.user_scores, video.user_summary
    if scores is not None:
        scores = scores[scores.min(axis=1) < scores.max(axis=1)]
        if len(scores) > 1:
            pairs = [rank_correlation(row, np.delete(scores, i, axis=0)) for i, row in enumerate(scores)]
            metrics.update(zip(("kendall", "spearman"), map(float, np.mean(pairs, axis=0)), strict=True))
    if summaries is not None and len(summaries) > 1:
        for reduce in REDUCTIONS:
            metrics[f"f1_{reduce}"] = float(np.mean([
                f_score(row, np.delete(summaries, i, axis=0), reduce) for i, row in enumerate(summaries)]))
    return metrics
