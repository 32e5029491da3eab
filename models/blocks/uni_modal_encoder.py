"""The encoder of one stream, video or audio."""

from __future__ import annotations

import torch
import torch.nn as nn
from nncore.nn import MODELS, build_linear_modules
from torch import Tensor

from common.build import build
from models.cpu.fast_dropout import FastDropout

from .standardize import Standardize


@MODELS.register()
class UniModalEncoder(nn.Module):
    """Dropout, projection, position embedding and a transformer layer for one stream (UMT, Liu et al., CVPR 2022).

    Args:
        dims: widths of the projection, from the features' width to the model's.
        p: dropout rate of the features.
        pos_cfg: config of the position embedding, or None.
        enc_cfg: config of the transformer layer, or None.
        standardize: True to standardize the features first; see `Standardize`.
        noise: standard deviation of the noise that training adds to standardized features.

    Attributes:
        in_dims: width of the features.
    """

    def __init__(self, dims: list[int], p: float = 0.5, pos_cfg: dict | None = None,
                 enc_cfg: dict | None = None, standardize: bool = False,
                 noise: float = 0):
        super().__init__()
        self.in_dims = dims[0]
        self.standardize = Standardize(dims[0], noise) if standardize else None
        self.dropout = FastDropout(p)
        self.mapping = build_linear_modules(list(dims))
        self.pos_enc = build(pos_cfg, MODELS, dims[-1], location="pos_cfg")
        self.encoder = build(enc_cfg, MODELS, dims[-1], location="enc_cfg")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Encode features (B, T, in_dims) with a mask (B, T), nonzero at valid clips, to (B, T, C)."""
        if self.standardize is not None:
            x = self.standardize(x, mask)
        device_type = x.device.type
        if torch.is_autocast_enabled(device_type):   # Cast first: the dropout reads the widest tensor.
            x = x.to(torch.get_autocast_dtype(device_type))
        x = self.mapping(self.dropout(x))
        if self.encoder is not None:
            pe = None if self.pos_enc is None else self.pos_enc(x)
            x = self.encoder(x, pe=pe, mask=mask)
        return x
