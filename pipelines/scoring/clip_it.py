"""Score clips with CLIP-It: one forward pass over the complete video and all queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn as nn

from common.errors import InputError
from models.device import move_to_device
from models.encoders import Encoders
from models.encoders.base import normalize_rows
from pipelines.features.encoded_video import EncodedVideo

from .queries import embed_texts


def run_clip_it(model: nn.Module, video: EncodedVideo, encoders: Encoders,
                texts: Sequence[str] | np.ndarray = ()) -> np.ndarray:
    """Score all clips of a video in one forward pass.

    Args:
        model: a model that scores complete videos, such as `CLIPIt`.
        video: the video, encoded by `encoders`.
        encoders: the encoders that the model was trained with.
        texts: sentences to score by, or their embeddings (N, D); may be empty. Their order has no effect, not even
            on the last digit.

    Returns:
        (T,) float64 in (0, 1), relative to the other clips of this video; not comparable between videos.

    Raises:
        InputError: the visual features or the sentence embeddings do not have the width that the model expects.
    """
    rows = np.concatenate([video.visual[part] for part in encoders.visual.parts if part in video.visual], axis=1)
    width = model.video_dims
    if rows.shape[1] != width:
        raise InputError(video.info.path, f"its visual features have {rows.shape[1]} dimensions "
                         f"({', '.join(video.visual)}), but the model expects {width}",
                         "encode it with the encoders that the model was trained with")
    if getattr(model, "expects_unit_norm", False):
        rows = normalize_rows(rows)
    data = dict(video=torch.from_numpy(rows).float()[None], saliency=torch.ones(1, len(rows)), row_s=video.clip_len_s)
    if len(texts):
        query = texts if isinstance(texts, np.ndarray) else embed_texts(encoders, texts)
        if query.shape[1] != model.text_dims:
            raise InputError(None, f"the sentence embeddings have {query.shape[1]} dimensions, but the model expects "
                             f"{model.text_dims}", "use the text encoder that the model was trained with")
        data["query"] = torch.from_numpy(query).float()[None]
    with torch.inference_mode():
        return model(move_to_device(data, model), mode="test")["_out"]["saliency"][0].double().numpy()
