"""The encoder of one stream: video or sound."""

from __future__ import annotations

import torch
import torch.nn as nn
from nncore.nn import MODELS, build_linear_modules
from torch import Tensor

from common.build import build
from models.cpu.fast_dropout import Dropout

from .standardize import Standardize


@MODELS.register()
class UniModalEncoder(nn.Module):
    """Dropout, projection, positions and a transformer layer for one stream (UMT, Liu et al., 2022).

    Args:
        dims: widths of the projection, from the features' to the model's.
        p: dropout on the features.
        pos_cfg: the positions, or None.
        enc_cfg: the transformer layer, or None.
        standardize: whether features are first brought to mean 0 and deviation 1.
        noise: deviation of the noise added to standardised features in training.
    """

    def __init__(self, dims: list[int], p: float = 0.5, pos_cfg: dict | None = None,
                 enc_cfg: dict | None = None, standardize: bool = False,
                 noise: float = 0):
        super().__init__()
        self.in_dims = dims[0]
        self.standardize = Standardize(dims[0], noise) if standardize else None
        self.dropout = Dropout(p)
        self.mapping = build_linear_modules(list(dims))
        self.pos_enc = build(pos_cfg, MODELS, dims[-1], location="pos_cfg")
        self.encoder = build(enc_cfg, MODELS, dims[-1], location="enc_cfg")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, features' width), mask (B, T) -> (B, T, C)."""
        if self.standardize is not None:
            x = self.standardize(x, mask)
        kind = x.device.type
        if torch.is_autocast_enabled(kind):   # before dropout, which is the widest operation of all
            x = x.to(torch.get_autocast_dtype(kind))
        x = self.mapping(self.dropout(x))
        if self.encoder is not None:
            pe = None if self.pos_enc is None else self.pos_enc(x)
            x = self.encoder(x, pe=pe, mask=mask)
        return x
