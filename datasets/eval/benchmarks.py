"""Metrics of prediction files against label files, with what chance and the labels themselves score beside."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.build import suggest
from common.errors import InputError
from datasets.annotations.charades_sta import read_charades
from datasets.annotations.domain_splits import SPLITS, domain_videos, padded
from datasets.annotations.qvhighlights import check_clip_len, raise_errors, read_jsonl, read_labels
from datasets.annotations.summarization_h5 import fold_names, read_folds, read_summarization_h5
from datasets.annotations.tvsum import read_tvsum
from datasets.annotations.youtube_highlights import read_youtube

from .baselines import oracle, random_baseline
from .charades_sta import eval_charades
from .prediction_files import read_scores
from .qvhighlights import eval_qvhighlights
from .summarization import Select, eval_summaries, human_metrics, mean_metrics, oracle_metrics, random_metrics
from .tvsum import tvsum_top5_map
from .youtube_highlights import youtube_map

SEEDS = 20
MAX_ROWS_OFF = 2   # that predictions may be shorter than the labels, as features are
WINDOWS = 10       # of the random floor


@dataclass(frozen=True)
class Scores:
    """What an evaluation gives.

    Attributes:
        metrics: the main ones by name.
        full: all of them, as the public evaluator nests them.
        random: the mean of `metrics` over 20 seeds of random scores or windows.
        oracle: `metrics` of the labels themselves, as predictions.
        human: `metrics` of each annotator beside the others, of those that the labels allow; None where there is none.
        by_video: `metrics` of every video, where they are means over videos.
        note: what a reader of the numbers has to know; "" for nothing.
    """

    metrics: dict[str, float]
    full: dict = field(default_factory=dict)
    random: Callable[[], dict[str, float]] = dict
    oracle: Callable[[], dict[str, float]] = dict
    human: Callable[[], dict[str, float]] | None = None
    by_video: dict[str, dict[str, float]] = field(default_factory=dict)
    note: str = ""


def qvhighlights(pred: str | os.PathLike, label: str | os.PathLike, clip_len_s: float = 2) -> Scores:
    """QVHighlights' metrics; any split whose labels are at hand.

    Raises:
        InputError: as all here: faults in the files, each with its line; queries that lack or come twice.
    """
    check_clip_len(clip_len_s)
    labels = read_labels(label, clip_len_s)
    full = eval_qvhighlights(read_jsonl(pred), labels, clip_len_s)
    return Scores(full["brief"], full, lambda: random_baseline(labels, SEEDS, clip_len_s),
                  lambda: oracle(labels, clip_len_s))


def tvsum(pred: str | os.PathLike, label: str | os.PathLike, domain: str | None = None,
          clip_len_s: float = 2) -> Scores:
    """TVSum's top-5 mAP, of a domain's validation videos or of all that are labelled."""
    check_clip_len(clip_len_s)
    labels = read_tvsum(label, clip_len_s)
    ratings = _of_domain(labels, domain, SPLITS / "tvsum.json", label)
    given = _saliency_by_vid(pred, ratings, labels)
    return tvsum_scores({vid: padded(given[vid], len(rows)) for vid, rows in ratings.items()}, ratings)


def tvsum_scores(scores: dict, ratings: dict[str, np.ndarray]) -> Scores:
    """Of scores (T,) by video against ratings (T, annotators), see `tvsum_top5_map`."""
    def metric(by_vid: dict) -> dict[str, float]:
        return dict(mAP=round(tvsum_top5_map(by_vid, ratings), 5))

    return _with_floors(metric, scores, {vid: rows.mean(axis=1) for vid, rows in ratings.items()})


def youtube(pred: str | os.PathLike, label: str | os.PathLike, domain: str | None = None) -> Scores:
    """YouTube Highlights' mAP, of a domain's validation videos or of all that are labelled."""
    labels = read_youtube(label)
    matches = _of_domain(labels, domain, SPLITS / "youtube.json", label)
    return youtube_scores(_saliency_by_vid(pred, matches, labels), matches)


def youtube_scores(scores: dict, matches: dict) -> Scores:
    """Of scores by video against its matches, of which those beyond the scores are left out, see `youtube_map`."""
    matches = {vid: match[:len(scores[vid])] for vid, match in matches.items()}

    def metric(by_vid: dict) -> dict[str, float]:
        return dict(mAP=round(youtube_map(by_vid, matches), 5))

    return _with_floors(metric, scores, matches)


def charades(pred: str | os.PathLike, label: str | os.PathLike) -> Scores:
    """Charades-STA's recalls. A video's random windows lie before the end of its last labelled moment."""
    return charades_scores(read_jsonl(pred), [entry for _, entry in read_charades(label)])


def charades_scores(predictions: list[dict], labels: list[dict]) -> Scores:
    """Of prediction lines against labels, see `eval_charades` and `charades`."""
    ends: dict[str, float] = {}
    for entry in labels:
        ends[entry["vid"]] = max(ends.get(entry["vid"], 0), entry["relevant_windows"][0][1])

    def metric(predictions: list[dict]) -> dict[str, float]:
        return eval_charades(predictions, labels)

    def random() -> dict[str, float]:
        draws = []
        for seed in range(SEEDS):
            r = np.random.default_rng(seed)
            windows = [np.column_stack([np.sort(r.random((WINDOWS, 2)), axis=1) * ends[entry["vid"]],
                                        r.random(WINDOWS)]) for entry in labels]
            draws.append(metric([dict(qid=entry["qid"], pred_relevant_windows=w)
                                 for entry, w in zip(labels, windows, strict=True)]))
        return _mean(draws)

    truth = [dict(qid=e["qid"], pred_relevant_windows=[[*e["relevant_windows"][0], 1]]) for e in labels]
    metrics = metric(predictions)
    return Scores(metrics, dict(metrics), random, lambda: metric(truth))


def summary(pred: str | os.PathLike, label: str | os.PathLike, select: Select, split: str | None = None,
            fold: int | None = None) -> Scores:
    """Summaries by key-shots against an h5 file's: F1 over users, Kendall's tau and Spearman's rho.

    Args:
        pred: see `read_scores`.
        label: see `read_summarization_h5`.
        select: chooses the key-shots, see `eval_summaries`.
        split: the field's split file; None for all videos of the labels.
        fold: whose tested videos count.
    """
    if split is not None and fold is None:
        raise InputError(f"{split}: needs --fold, from 0 to {len(read_folds(split)) - 1}")
    if split is None and fold is not None:
        raise InputError(f"--fold {fold} needs --split, the file that divides the videos")
    labels = read_summarization_h5(label, None, ())
    names = labels if split is None else fold_names(split, fold, "test")
    lacking = [name for name in names if name not in labels]
    if lacking:
        raise InputError(f"{label}: holds no video {lacking[0]!r}, which {split} names; {suggest(lacking[0], labels)}")
    videos = {name: labels[name] for name in names}
    scores = read_scores(pred, {name: len(video.picks) for name, video in videos.items()}, labels)
    by_video = {name: _rounded(row) for name, row in eval_summaries(scores, videos, select).items()}
    metrics = _rounded(mean_metrics(by_video))
    unrated = sum(video.user_scores is None for video in videos.values())
    return Scores(metrics, dict(mean=metrics, videos=by_video),
                  lambda: _rounded(random_metrics(videos, select, SEEDS)),
                  lambda: _rounded(oracle_metrics(videos, select)), lambda: _rounded(human_metrics(videos)), by_video,
                  f"{unrated} of {len(videos)} videos have no user_scores, so their order is compared with gtscore, "
                  "which gives higher numbers than each annotator by himself" if unrated else "")


def _rounded(metrics: dict[str, float]) -> dict[str, float]:
    return {key: round(value, 5) for key, value in metrics.items()}


def _with_floors(metric: Callable[[dict], dict], scores: dict, truth: dict) -> Scores:
    def random() -> dict[str, float]:
        draws = []
        for seed in range(SEEDS):
            r = np.random.default_rng(seed)
            draws.append(metric({vid: r.random(len(rows)) for vid, rows in truth.items()}))
        return _mean(draws)

    metrics = metric(scores)
    return Scores(metrics, dict(metrics), random, lambda: metric(truth))


def _mean(draws: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(float(np.mean([d[key] for d in draws])), 5) for key in draws[0]}


def _of_domain(labels: dict, domain: str | None, split_path: Path, label_path: str | os.PathLike) -> dict:
    if domain is None:
        return labels
    chosen = {vid: labels[vid] for vid in domain_videos(split_path, domain, "val") if vid in labels}
    if not chosen:
        raise InputError(f"{label_path}: labels no validation video of {domain}")
    return chosen


def _saliency_by_vid(path: str | os.PathLike, labels: dict, known: dict) -> dict[str, list[float]]:
    """`pred_saliency_scores` of every labelled video; others that are `known` are left out, unknown ones refused."""
    lines = read_jsonl(path)
    faults = [f"entry {number}: vid {line.get('vid')!r} is not a video's name" for number, line in enumerate(lines, 1)
              if not isinstance(line.get("vid"), str)]
    lines = [line for line in lines if isinstance(line.get("vid"), str)
             and (line["vid"] in labels or line["vid"] not in known)]
    given = [line["vid"] for line in lines]
    faults += [f"no prediction for video {vid}" for vid in labels if vid not in given]
    faults += [f"video {vid} is not among the labels" for vid in given if vid not in labels]
    faults += [f"video {vid} comes twice" for vid in {v for v in given if given.count(v) > 1}]
    scores = {}
    for line in lines:
        values = line.get("pred_saliency_scores")
        try:
            numbers = np.asarray(values, dtype=np.float64)
            whole = numbers.ndim == 1 and len(numbers) > 0 and bool(np.isfinite(numbers).all())
        except (TypeError, ValueError):
            whole = False
        if not whole:
            faults.append(f"video {line.get('vid')}: pred_saliency_scores must be a list of finite numbers")
        elif line.get("vid") in labels:
            short = len(labels[line["vid"]]) - len(values)
            if abs(short) > MAX_ROWS_OFF:
                faults.append(f"video {line['vid']}: {len(values)} scores for {len(labels[line['vid']])} clips")
            scores[line["vid"]] = list(values)[:len(labels[line["vid"]])]
    raise_errors(path, faults)
    return scores
