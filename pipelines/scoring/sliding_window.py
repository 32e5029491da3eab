"""A trained model on videos longer than those it was trained on: windows that overlap by half."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn as nn

from common.temporal import soft_nms
from models.device import move_to_device

SIGMA = 0.4        # of soft-NMS; a moment found twice falls to 0.08 of its score, so that MIN_SHARE drops it
MIN_SHARE = 0.1    # moments with less than this share of the best one's score are nothing
MARGIN = 0.25      # of the distance between windows, by which they answer for each other's moments


def window_starts(n_clips: int, window_clips: int) -> list[int]:
    """First clips of the windows: half a window apart, the last one ending with the video."""
    if n_clips <= window_clips:
        return [0]
    return [*range(0, n_clips - window_clips, max(1, window_clips // 2)), n_clips - window_clips]


def score_windows(
    model: nn.Module, visual: np.ndarray, audio: np.ndarray | None, query: np.ndarray | None,
    window_clips: int, clip_len_s: float,
) -> tuple[np.ndarray, list[tuple[float, float, float]]]:
    """Runs a model over a whole video.

    Where windows overlap, saliency is averaged with triangular weights, so that no seam shows, and a
    moment counts from those windows whose middle is about nearest to the moment's, since they see most
    around it. What several windows found is merged by `merge_moments`.

    Args:
        model: UMT or alike, on any device.
        visual: (T, V) features; audio: (T, A), or None; query: (L, D) words, or None.
        window_clips: clips in a window; a shorter video is one window.
        clip_len_s: seconds in a clip.

    Returns:
        (T,) saliency in [0, 1], and moments (start_s, end_s, score) by falling score; none of the latter
        when the model has no boundary head.
    """
    n_clips = len(visual)
    starts = window_starts(n_clips, window_clips)
    length = min(window_clips, n_clips)
    lower, upper = _limits(np.array(starts) + length / 2)
    position = np.arange(length)
    weight = np.minimum(position + 1, length - position).astype(np.float64)
    total, weights = np.zeros(n_clips), np.zeros(n_clips)
    moments = []
    for i, start in enumerate(starts):
        rows = slice(start, start + length)
        out = _forward(model, visual[rows], None if audio is None else audio[rows], query)
        total[rows] += weight * out["saliency"][0].numpy()
        weights[rows] += weight
        for begin_s, end_s, score in out["boundary"][0].tolist() if "boundary" in out else []:
            middle = start + (begin_s + end_s) / 2 / clip_len_s
            if lower[i] <= middle < upper[i]:
                moments.append((begin_s + start * clip_len_s, end_s + start * clip_len_s, score))
    return total / weights, merge_moments(moments)


def merge_moments(moments: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Moments of one question without those found twice and those that are nothing.

    Soft-NMS (Bodla et al., ICCV 2017) lowers the scores of moments that overlap better ones; then those
    below a tenth of the best one's score are left out.

    Args:
        moments: start, end, score >= 0.

    Returns:
        The same kind, by falling score.
    """
    kept = soft_nms(np.array(moments, dtype=np.float64).reshape(-1, 3), SIGMA)
    return [(start, end, score) for start, end, score in kept.tolist() if score >= MIN_SHARE * kept[0, 2]]


def _limits(middles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between which clips the middles of a window's moments lie: half way to the neighbours, and a margin."""
    apart = np.diff(middles)
    borders = middles[:-1] + apart / 2
    return (np.append(-np.inf, borders - MARGIN * apart), np.append(borders + MARGIN * apart, np.inf))


def _forward(model: nn.Module, visual: np.ndarray, audio: np.ndarray | None,
             query: np.ndarray | None) -> dict:
    data = dict(video=_batch_of_one(visual), saliency=torch.ones(1, len(visual)))
    if audio is not None:
        data["audio"] = _batch_of_one(audio)
    if query is not None:
        data["query"] = _batch_of_one(query)
    with torch.inference_mode():
        return model(move_to_device(data, model), mode="test")["_out"]


def _batch_of_one(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)).unsqueeze(0)
