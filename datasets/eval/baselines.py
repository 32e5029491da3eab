"""Baselines of the QVHighlights metrics: random predictions, and the labels as predictions."""

from __future__ import annotations

import numpy as np

from common.temporal import num_complete_clips

from .qvhighlights import CLIP_LEN_S, MAX_PREDICTIONS, eval_qvhighlights

NUM_RANDOM_SEEDS = 20


def random_baseline(labels: list[dict], seeds: int = NUM_RANDOM_SEEDS,
                    clip_len_s: float = CLIP_LEN_S) -> dict[str, float]:
    """Return the main metrics of random scores and windows, averaged over seeds.

    A query gets uniform scores and ten windows. A window is between two uniform times in the video, the first rounded
    down and the second rounded up to clip boundaries.
    """
    draws = []
    for seed in range(seeds):
        r = np.random.default_rng(seed)
        predictions = []
        for label in labels:
            num_clips = num_complete_clips(label["duration"], clip_len_s)
            times = np.sort(r.random((MAX_PREDICTIONS, 2)), axis=1) * num_clips
            windows = np.column_stack([np.floor(times[:, 0]), np.floor(times[:, 1]) + 1]) * clip_len_s
            predictions.append(dict(
                qid=label["qid"], pred_saliency_scores=r.random(num_clips),
                pred_relevant_windows=np.column_stack([windows, np.linspace(1, 0.1, MAX_PREDICTIONS)])))
        draws.append(eval_qvhighlights(predictions, labels, clip_len_s)["brief"])
    return {key: round(float(np.mean([d[key] for d in draws])), 2) for key in draws[0]}


def oracle_baseline(labels: list[dict], clip_len_s: float = CLIP_LEN_S) -> dict[str, float]:
    """Return the main metrics of the labels' windows and the annotators' summed scores as predictions.

    They are not always 100: only ten windows of a query count, windows of other lengths are false positives in a
    length range, and annotators disagree.
    """
    predictions = []
    for label in labels:
        prediction = dict(qid=label["qid"])
        if "relevant_windows" in label:
            prediction["pred_relevant_windows"] = [[*window, 1.0] for window in label["relevant_windows"]]
        if "saliency_scores" in label:
            scores = np.zeros(num_complete_clips(label["duration"], clip_len_s))
            for clip, row in zip(label["relevant_clip_ids"], label["saliency_scores"], strict=True):
                scores[clip] = sum(row)
            prediction["pred_saliency_scores"] = scores
        predictions.append(prediction)
    return eval_qvhighlights(predictions, labels, clip_len_s)["brief"]
