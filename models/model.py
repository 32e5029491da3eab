"""UMT, which retrieves moments and scores highlights from video, audio and text."""

from __future__ import annotations

import torch.nn as nn
from nncore.nn import MODELS, xavier_init_
from torch import Tensor

from common.build import build
from models.cpu.onednn_linear import use_onednn_linear


@MODELS.register()
class UMT(nn.Module):
    """Unified Multi-modal Transformer (Liu et al., CVPR 2022), with the parameter names of the published checkpoints.

    Args:
        video_enc: config of the encoder of the video stream, or None.
        audio_enc: config of the encoder of the audio stream, or None.
        cross_enc: config of the encoder that fuses both streams; required if both exist, otherwise None.
        query_gen: config of the generator of one query per clip from the text; None together with `query_dec`.
        query_dec: config of the decoder that relates these queries to the clips.
        pred_head: config of a head, or a list of them.
        mask_padding: True to mask padded clips in the decoder as in the encoders, so that a prediction does not depend
            on the rest of its batch. The published code does not; configs that reproduce it say False.
    """

    scores_whole_video = False   # It scores windows of the length that it was trained on.

    def __init__(self, video_enc: dict | None = None, audio_enc: dict | None = None, cross_enc: dict | None = None,
                 query_gen: dict | None = None, query_dec: dict | None = None,
                 pred_head: dict | list[dict] | None = None, mask_padding: bool = True):
        super().__init__()
        if video_enc is None and audio_enc is None:
            raise ValueError("UMT needs video_enc or audio_enc")
        if (cross_enc is not None) != (video_enc is not None and audio_enc is not None):
            raise ValueError("UMT needs cross_enc exactly when it has both video_enc and audio_enc")
        if (query_gen is None) != (query_dec is None):
            raise ValueError("UMT needs query_gen and query_dec together")
        heads = [pred_head] if isinstance(pred_head, dict) else list(pred_head or ())
        self.video_enc = build(video_enc, MODELS, location="model.video_enc")
        self.audio_enc = build(audio_enc, MODELS, location="model.audio_enc")
        self.cross_enc = build(cross_enc, MODELS, location="model.cross_enc")
        self.query_gen = build(query_gen, MODELS, location="model.query_gen")
        self.query_dec = build(query_dec, MODELS, location="model.query_dec")
        self.pred_head = nn.ModuleList(
            build(cfg, MODELS, location=f"model.pred_head[{i}]") for i, cfg in enumerate(heads))
        self.mask_padding = mask_padding
        for module in self.modules():
            if isinstance(module, nn.Linear):
                xavier_init_(module)
        use_onednn_linear(self)

    @property
    def accepts_text(self) -> bool:
        """True if the model was trained with queries."""
        return getattr(self.query_gen, "in_dims", None) is not None

    @property
    def requires_text(self) -> bool:
        """True if the model requires a query, as every model does that accepts one."""
        return self.accepts_text

    def forward(self, data: dict, mode: str) -> dict:
        """Score every clip and retrieve moments.

        Args:
            data: `video` (B, T, V) and `audio` (B, T, A), 0 at padding; `query` (B, L, D), inf at padding, or absent;
                `saliency` (B, T) in [0, 1], -1 at padding (any value >= 0 marks a valid clip); `boundary` (B, W, 2) in
                seconds, -1 at padding; `meta`, which is returned unchanged. The data is not modified.
            mode: `train`, `val`, or `test`, which computes no losses.

        Returns:
            `_avg_factor` (number of items with valid clips), the losses by name, and `_out` with `meta`, `clips` (B,),
            the number of valid clips of each item, and, on the CPU, the results of the heads: `saliency` (B, T) and
            `boundary` (B, N, 3).
        """
        mask = data["saliency"] >= 0   # (B, T)
        clips = self.encode(data, mask)
        if self.query_gen is not None:
            query = self.query_gen(clips, data.get("query"))
            layers = self.query_dec(query, clips, mask=mask if self.mask_padding else None)
        else:
            layers = [clips]
        lengths = mask.sum(dim=1).cpu()
        output = dict(_avg_factor=int((lengths > 0).sum()), _out=dict(meta=data.get("meta"), clips=lengths))
        for head in self.pred_head:
            output = head(layers, data, output, mode)
        return output

    def encode(self, data: dict, mask: Tensor) -> Tensor:
        """Return the fused clips (B, T, C), which do not depend on the query."""
        if self.video_enc is None:
            return self.audio_enc(data["audio"], mask=mask)
        video = self.video_enc(data["video"], mask=mask)
        if self.audio_enc is None:
            return video
        return self.cross_enc(video, self.audio_enc(data["audio"], mask=mask), mask=mask)
