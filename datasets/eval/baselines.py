"""What chance and the labels themselves score: the floor and the ceiling of the QVHighlights metrics."""

from __future__ import annotations

import numpy as np

from common.temporal import num_complete_clips

from .qvhighlights import CLIP_LEN_S, MAX_PREDICTIONS, eval_qvhighlights


def random_baseline(labels: list[dict], seeds: int = 20, clip_len_s: float = CLIP_LEN_S) -> dict[str, float]:
    """The mean over seeds of the main metrics for random scores and windows.

    A query gets uniform scores, and ten windows: of two uniform times in the video the first is
    rounded down and the second up to the clips' borders.
    """
    draws = []
    for seed in range(seeds):
        r = np.random.default_rng(seed)
        predictions = []
        for label in labels:
            clips = num_complete_clips(label["duration"], clip_len_s)
            times = np.sort(r.random((MAX_PREDICTIONS, 2)), axis=1) * clips
            windows = np.column_stack([np.floor(times[:, 0]), np.floor(times[:, 1]) + 1]) * clip_len_s
            predictions.append(dict(
                qid=label["qid"], pred_saliency_scores=r.random(clips),
                pred_relevant_windows=np.column_stack([windows, np.linspace(1, 0.1, MAX_PREDICTIONS)])))
        draws.append(eval_qvhighlights(predictions, labels, clip_len_s)["brief"])
    return {key: round(float(np.mean([d[key] for d in draws])), 2) for key in draws[0]}


def oracle(labels: list[dict], clip_len_s: float = CLIP_LEN_S) -> dict[str, float]:
    """The main metrics of the labels' own windows and of the annotators' summed scores.

    Not 100 everywhere: ten windows of a query count, those of another range are wrong ones in a
    range, and annotators differ among themselves.
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
