"""The encoder that fuses the video stream and the audio stream."""

from __future__ import annotations

import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from common.build import build


@MODELS.register()
class CrossModalEncoder(nn.Module):
    """A fusing transformer, followed by the sum of both streams and a layer norm (UMT, Liu et al., CVPR 2022).

    Args:
        dims: width of both streams.
        pos_cfg: config of the position embedding, or None.
        enc_cfg: config of the fusing transformer, or None.
    """

    def __init__(self, dims: int, pos_cfg: dict | None = None, enc_cfg: dict | None = None):
        super().__init__()
        self.pos_enc = build(pos_cfg, MODELS, dims, location="pos_cfg")
        self.encoder = build(enc_cfg, MODELS, dims, location="enc_cfg")
        self.norm = nn.LayerNorm(dims)

    def forward(self, a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
        """Fuse two streams (B, T, C) with a mask (B, T), nonzero at valid clips, into one (B, T, C)."""
        if self.encoder is not None:
            pe = None if self.pos_enc is None else self.pos_enc(a)
            a, b = self.encoder(a, b, pe=pe, mask=mask)
        return self.norm(a + b)
