"""A trained model on videos longer than those it was trained on: windows that overlap by half."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn as nn


def takes_text(model: nn.Module) -> bool:
    """Whether the model was trained to be asked in words."""
    query_gen = getattr(model, "query_gen", None)
    return query_gen is not None and getattr(query_gen, "in_dims", None) is not None


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

    Where windows overlap, saliency is averaged with triangular weights, and each moment is taken from
    the window whose middle is nearest to the moment's, which is the one that sees most around it.

    Args:
        model: UMT or alike, on the CPU.
        visual: (T, V) features; audio: (T, A), or None; query: (L, D) words, or None.
        window_clips: clips in a window.
        clip_len_s: seconds in a clip.

    Returns:
        (T,) saliency in [0, 1], and moments (start_s, end_s, score) in no order; none of the latter
        when the model has no boundary head.
    """
    n_clips = len(visual)
    starts = window_starts(n_clips, window_clips)
    length = min(window_clips, n_clips)
    middles = np.array(starts) + length / 2
    limits = [-np.inf, *(middles[:-1] + middles[1:]) / 2, np.inf]   # window i answers from i to i + 1
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
            if limits[i] <= middle < limits[i + 1]:
                moments.append((begin_s + start * clip_len_s, end_s + start * clip_len_s, score))
    return total / weights, moments


def _forward(model: nn.Module, visual: np.ndarray, audio: np.ndarray | None,
             query: np.ndarray | None) -> dict:
    data = dict(video=_batch_of_one(visual), saliency=torch.ones(1, len(visual)))
    if audio is not None:
        data["audio"] = _batch_of_one(audio)
    if query is not None:
        data["query"] = _batch_of_one(query)
    with torch.inference_mode():
        return model(data, mode="test")["_out"]


def _batch_of_one(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)).unsqueeze(0)
