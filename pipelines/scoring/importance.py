"""How important each clip of an encoded video is to people, by a trained CLIP-It."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn as nn
from nncore.nn import MODELS

from common.build import build
from common.config import load_config
from common.errors import InputError
from common.paths import ROOT
from models.checkpoint import load_checkpoint
from models.device import best_device, move_to_device
from models.encoders import Encoders
from models.encoders.base import normalize_rows
from pipelines.features.encode import EncodedVideo

CONFIG = ROOT / "configs/tvsum/clip_it_offline_all.py"
CHECKPOINT = ROOT / "checkpoints/clip_it_tvsum.safetensors"
SELF_LIKE_KNOWN, SELF_LIKE_UNKNOWN = 0.79, 0.83   # see `trust`


def load_importance(checkpoint: str | os.PathLike = CHECKPOINT, config: str | os.PathLike = CONFIG) -> nn.Module:
    """The trained model, ready to score; the shipped one when nothing is named.

    Raises:
        InputError: faults of the config or of the checkpoint.
    """
    model = build(load_config(config).model, MODELS, location="model").eval().to(best_device())
    load_checkpoint(model, checkpoint)
    return model


def importance(model: nn.Module, video: EncodedVideo, encoders: Encoders,
               sentences: Sequence[str] | np.ndarray = ()) -> np.ndarray:
    """Scores every clip of a video, the whole of it and all sentences in one call.

    Args:
        model: of `load_importance`, or another one that reads sentences.
        video: encoded by `encoders`.
        encoders: those that the model was trained with.
        sentences: what the video is about, or what is asked; none works too, and their order is nothing, to the last
            digit. Or their embeddings (N, D).

    Returns:
        (T,) float64 in (0, 1): how a clip stands among those of this video; scores of two do not compare.

    Raises:
        InputError: the video was encoded by other encoders than the model reads, or sentences are.
    """
    rows = np.concatenate([video.visual[part] for part in encoders.visual.parts if part in video.visual], axis=1)
    width = model.video_dims
    if rows.shape[1] != width:
        raise InputError(f"{video.info.path}: its features are {rows.shape[1]} wide ({', '.join(video.visual)}), but "
                         f"the model reads {width}; encode it with the encoders that the model was trained with")
    if getattr(model, "expects_unit_norm", False):
        rows = normalize_rows(rows)
    data = dict(video=torch.from_numpy(rows).float()[None], saliency=torch.ones(1, len(rows)), row_s=video.clip_len_s)
    if len(sentences):
        query = embedded(encoders, sentences)
        if query.shape[1] != model.text_dims:
            raise InputError(f"sentences are embedded {query.shape[1]} wide, but the model reads {model.text_dims}; "
                             "take the text encoder that the model was trained with")
        data["query"] = torch.from_numpy(query).float()[None]
    with torch.inference_mode():
        return model(move_to_device(data, model), mode="test")["_out"]["saliency"][0].double().numpy()


def embedded(encoders: Encoders, sentences: Sequence[str] | np.ndarray) -> np.ndarray:
    """(N, D) embeddings of sentences, in an order that theirs does not change: sums round by it."""
    if isinstance(sentences, np.ndarray):
        return sentences
    return np.stack([feature.pooler_output for feature in encoders.text.encode(sorted(sentences))])


def trust(visual: np.ndarray) -> float:
    """How far the shipped model may decide what matters in a video, by how like itself the video is.

    That is the mean cosine of its clips with their mean: 0.57 to 0.79 for the 40 web videos that the model
    learned from, 0.83 and 0.84 for two tapes of cameras that never move. There it prefers the empty room,
    and what differs from the rest is what happens.

    Args:
        visual: (T, D) pooled features of EfficientNet-Lite0.

    Returns:
        1 up to the most self-like video that it knows, 0 from those tapes on, evenly between.
    """
    norms = np.maximum(np.linalg.norm(visual, axis=1), 1e-12)
    mean = (1 / norms).astype(visual.dtype) @ visual / len(visual)   # of the rows of unit norm
    self_like = float(np.linalg.norm(mean.astype(np.float64)))        # as is their mean cosine with it
    return float(np.clip((SELF_LIKE_UNKNOWN - self_like) / (SELF_LIKE_UNKNOWN - SELF_LIKE_KNOWN), 0, 1))
