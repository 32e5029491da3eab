"""The encoder that joins video and sound."""

from __future__ import annotations

import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from common.build import build


@MODELS.register()
class CrossModalEncoder(nn.Module):
    """Fuses two streams, sums them and normalises (UMT, Liu et al., 2022).

    Args:
        dims: width of both streams.
        pos_cfg: the positions, or None.
        enc_cfg: the fusing transformer, or None.
    """

    def __init__(self, dims: int, pos_cfg: dict | None = None, enc_cfg: dict | None = None):
        super().__init__()
        self.pos_enc = build(pos_cfg, MODELS, dims, location="pos_cfg")
        self.encoder = build(enc_cfg, MODELS, dims, location="enc_cfg")
        self.norm = nn.LayerNorm(dims)

    def forward(self, a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
        """Two (B, T, C) streams, mask (B, T) -> (B, T, C)."""
        if self.encoder is not None:
            pe = None if self.pos_enc is None else self.pos_enc(a)
            a, b = self.encoder(a, b, pe=pe, mask=mask)
        return self.norm(a + b)
