"""What chance and the labels themselves score: the floor and the ceiling of the QVHighlights metrics."""

from __future__ import annotations

import numpy as np

from .qvhighlights import CLIP_LEN_S, eval_qvhighlights


def random_floor(labels: list[dict], seeds: int = 20, clip_len_s: float = CLIP_LEN_S) -> dict[str, float]:
    """The mean over seeds of the main metrics for uniform random scores and windows.

    A query gets ten windows; both ends of each are drawn uniformly over the video's clip borders.
    """
    draws = []
    for seed in range(seeds):
        r = np.random.default_rng(seed)
        predictions = []
        for label in labels:
            num_clips = max(int(label["duration"] / clip_len_s), 1)
            ends = np.sort(r.random((10, 2)), axis=1) * num_clips
            windows = np.column_stack([np.floor(ends[:, 0]), np.floor(ends[:, 1]) + 1]) * clip_len_s
            predictions.append(dict(
                qid=label["qid"], pred_saliency_scores=r.random(num_clips).tolist(),
                pred_relevant_windows=np.column_stack([windows, np.linspace(1, 0.1, 10)]).tolist()))
        draws.append(eval_qvhighlights(predictions, labels, clip_len_s)["brief"])
    return {key: round(float(np.mean([d[key] for d in draws])), 2) for key in draws[0]}


def oracle(labels: list[dict], clip_len_s: float = CLIP_LEN_S) -> dict[str, float]:
    """The main metrics of the labels' own windows and of the annotators' summed scores."""
    predictions = []
    for label in labels:
        scores = np.zeros(max(int(label["duration"] / clip_len_s), 1))
        for clip, row in zip(label["relevant_clip_ids"], label["saliency_scores"], strict=True):
            scores[clip] = sum(row)
        predictions.append(dict(qid=label["qid"], pred_saliency_scores=scores.tolist(),
                                pred_relevant_windows=[[*w, 1.0] for w in label["relevant_windows"]]))
    return eval_qvhighlights(predictions, labels, clip_len_s)["brief"]
