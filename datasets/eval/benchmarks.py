"""Benchmarks: evaluation of a prediction file against a label file, with baselines."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.build import suggest
from common.errors import InputError
from datasets.annotations.charades_sta import read_charades
from datasets.annotations.domain_splits import SPLITS, domain_videos
from datasets.annotations.json_files import read_jsonl
from datasets.annotations.qvhighlights import check_clip_len, read_labels
from datasets.annotations.summarization_h5 import fold_names, read_folds, read_summarization_h5
from datasets.annotations.tvsum import read_tvsum
from datasets.annotations.youtube_highlights import read_youtube

from .baselines import NUM_RANDOM_SEEDS, oracle_baseline, random_baseline
from .charades_sta import eval_charades
from .prediction_files import read_clip_scores, read_frame_scores
from .qvhighlights import eval_qvhighlights
from .summarization import SelectFrames, eval_summaries, human_metrics, mean_metrics, oracle_metrics, random_metrics
from .tvsum import pad_scores, tvsum_top5_map
from .youtube_highlights import youtube_map

NUM_RANDOM_WINDOWS = 10   # Number of windows per query in the random baseline of Charades-STA.

Metrics = dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """The metrics of predictions, and functions that compute the metrics of baselines.

    Attributes:
        metrics: main metrics by name.
        full: all metrics, nested like the public evaluator's output.
        random: computes the mean of `metrics` over 20 seeds of random scores or windows.
        oracle: computes `metrics` of the labels as predictions.
        human: computes those of `metrics` that the labels allow, of each annotator against the others; None if there
            are no annotators.
        by_video: `metrics` of each video, if they are means over videos.
        note: a remark that is needed to interpret the metrics; "" for none.
    """

    metrics: Metrics
    full: dict = field(default_factory=dict)
    random: Callable[[], Metrics] = dict
    oracle: Callable[[], Metrics] = dict
    human: Callable[[], Metrics] | None = None
    by_video: dict[str, Metrics] = field(default_factory=dict)
    note: str = ""


def evaluate_qvhighlights(pred: str | os.PathLike, label: str | os.PathLike, clip_len_s: float = 2) -> Evaluation:
    """Evaluate QVHighlights predictions on any split with annotations.

    Raises:
        InputError: errors in the files, with their lines; queries are missing or duplicate.
    """
    check_clip_len(clip_len_s)
    labels = read_labels(label, clip_len_s)
    full = eval_qvhighlights(read_jsonl(pred), labels, clip_len_s)
    return Evaluation(full["brief"], full, lambda: random_baseline(labels, NUM_RANDOM_SEEDS, clip_len_s),
                      lambda: oracle_baseline(labels, clip_len_s))


def evaluate_tvsum(pred: str | os.PathLike, label: str | os.PathLike, domain: str | None = None,
                   clip_len_s: float = 2) -> Evaluation:
    """Compute TVSum's top-5 mAP on a domain's validation videos, or on all labeled videos.

    Raises:
        InputError: errors in the files; the domain is unknown or has no labeled validation video.
    """
    check_clip_len(clip_len_s)
    labels = read_tvsum(label, clip_len_s)
    ratings = _of_domain(labels, domain, SPLITS / "tvsum.json", label)
    scores = read_clip_scores(pred, ratings, labels)
    return tvsum_evaluation({vid: pad_scores(scores[vid], len(rows)) for vid, rows in ratings.items()}, ratings)


def tvsum_evaluation(scores: dict, ratings: dict[str, np.ndarray]) -> Evaluation:
    """Compute `tvsum_top5_map` of scores (T,) against ratings (T, annotators), both by video."""
    def metric(scores: dict) -> Metrics:
        return dict(mAP=round(tvsum_top5_map(scores, ratings), 5))

    return _evaluation(metric, scores, {vid: rows.mean(axis=1) for vid, rows in ratings.items()})


def evaluate_youtube(pred: str | os.PathLike, label: str | os.PathLike, domain: str | None = None) -> Evaluation:
    """Compute YouTube Highlights' mAP on a domain's validation videos, or on all labeled videos.

    Raises:
        InputError: errors in the files; the domain is unknown or has no labeled validation video.
    """
    labels = read_youtube(label)
    matches = _of_domain(labels, domain, SPLITS / "youtube.json", label)
    return youtube_evaluation(read_clip_scores(pred, matches, labels), matches)


def youtube_evaluation(scores: dict, matches: dict) -> Evaluation:
    """Compute `youtube_map` of scores against matches, both by video; matches beyond the scores are ignored."""
    matches = {vid: match[:len(scores[vid])] for vid, match in matches.items()}

    def metric(scores: dict) -> Metrics:
        return dict(mAP=round(youtube_map(scores, matches), 5))

    return _evaluation(metric, scores, matches)


def evaluate_charades(pred: str | os.PathLike, label: str | os.PathLike) -> Evaluation:
    """Compute Charades-STA's recalls; random windows end before the last labeled moment of their video.

    Raises:
        InputError: errors in the files; queries are missing, duplicate or unknown.
    """
    return charades_evaluation(read_jsonl(pred), [entry for _, entry in read_charades(label)])


def charades_evaluation(predictions: list[dict], labels: list[dict]) -> Evaluation:
    """Evaluate prediction lines against labels, see `eval_charades` and `evaluate_charades`."""
    video_ends_s: dict[str, float] = {}
    for entry in labels:
        video_ends_s[entry["vid"]] = max(video_ends_s.get(entry["vid"], 0), entry["relevant_windows"][0][1])

    def metric(predictions: list[dict]) -> Metrics:
        return eval_charades(predictions, labels)

    def random() -> Metrics:
        draws = []
        for seed in range(NUM_RANDOM_SEEDS):
            r = np.random.default_rng(seed)
            windows = [np.column_stack([
                np.sort(r.random((NUM_RANDOM_WINDOWS, 2)), axis=1) * video_ends_s[entry["vid"]],
                r.random(NUM_RANDOM_WINDOWS)]) for entry in labels]
            draws.append(metric([dict(qid=entry["qid"], pred_relevant_windows=w)
                                 for entry, w in zip(labels, windows, strict=True)]))
        return _mean(draws)

    truth = [dict(qid=e["qid"], pred_relevant_windows=[[*e["relevant_windows"][0], 1]]) for e in labels]
    metrics = metric(predictions)
    return Evaluation(metrics, dict(metrics), random, lambda: metric(truth))


def evaluate_summary(pred: str | os.PathLike, label: str | os.PathLike, select: SelectFrames,
                     split: str | None = None, fold: int | None = None) -> Evaluation:
    """Evaluate key-shot summaries against an h5 file: F1 over users, Kendall's tau and Spearman's rho.

    Args:
        pred: see `read_frame_scores`.
        label: see `read_summarization_h5`.
        select: selects the key-shots, see `eval_summaries`.
        split: split file, see `read_folds`; None evaluates all videos of the labels.
        fold: index of the fold whose test videos are evaluated.

    Raises:
        InputError: errors in the files; only one of `split` and `fold` is given; a video of the split has no labels.
    """
    if split is not None and fold is None:
        raise InputError(split, f"needs --fold, from 0 to {len(read_folds(split)) - 1}")
    if split is None and fold is not None:
        raise InputError(None, f"--fold {fold} needs --split, the file of the folds")
    labels = read_summarization_h5(label, None, ())
    names = list(labels) if split is None or fold is None else fold_names(split, fold, "test") or []
    missing = [name for name in names if name not in labels]
    if missing:
        raise InputError(label, f"no video {missing[0]!r}, which {split} names", suggest(missing[0], labels))
    videos = {name: labels[name] for name in names}
    scores = read_frame_scores(pred, {name: len(video.picks) for name, video in videos.items()}, labels)
    by_video = {name: _rounded(row) for name, row in eval_summaries(scores, videos, select).items()}
    metrics = _rounded(mean_metrics(by_video))
    unrated = sum(video.user_scores is None for video in videos.values())
    note = (f"{unrated} of {len(videos)} videos have no user_scores; their ranking is compared with gtscore, which "
            "yields higher numbers than a comparison with each annotator") if unrated else ""
    return Evaluation(metrics, dict(mean=metrics, videos=by_video),
                      lambda: _rounded(random_metrics(videos, select, NUM_RANDOM_SEEDS)),
                      lambda: _rounded(oracle_metrics(videos, select)), lambda: _rounded(human_metrics(videos)),
                      by_video, note)


EVALUATORS: dict[str, Callable[..., Evaluation]] = {
    "qvhighlights": evaluate_qvhighlights, "tvsum": evaluate_tvsum, "youtube": evaluate_youtube,
    "charades": evaluate_charades, "summary": evaluate_summary}


def _rounded(metrics: Metrics) -> Metrics:
    return {key: round(value, 5) for key, value in metrics.items()}


def _evaluation(metric: Callable[[dict], Metrics], scores: dict, truth: dict) -> Evaluation:
    """Evaluate scores by video, with random scores and the truth as baselines."""
    def random() -> Metrics:
        draws = []
        for seed in range(NUM_RANDOM_SEEDS):
            r = np.random.default_rng(seed)
            draws.append(metric({vid: r.random(len(rows)) for vid, rows in truth.items()}))
        return _mean(draws)

    metrics = metric(scores)
    return Evaluation(metrics, dict(metrics), random, lambda: metric(truth))


def _mean(draws: list[Metrics]) -> Metrics:
    return {key: round(float(np.mean([d[key] for d in draws])), 5) for key in draws[0]}


def _of_domain(labels: dict, domain: str | None, split_path: Path, label_path: str | os.PathLike) -> dict:
    """Return the labels of a domain's validation videos; all labels if the domain is None."""
    if domain is None:
        return labels
    selected = {vid: labels[vid] for vid in domain_videos(split_path, domain, "val") if vid in labels}
    if not selected:
        raise InputError(label_path, f"no labels for the validation videos of {domain}")
    return selected
