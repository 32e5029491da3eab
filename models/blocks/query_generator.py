"""The query generator of UMT, which converts text tokens into one query per clip."""

from __future__ import annotations

import torch.nn as nn
from nncore.nn import MODELS, build_linear_modules
from torch import Tensor

from common.build import build
from models.cpu.fast_dropout import FastDropout

NUM_EMPTY_TOKENS = 10   # Number of zero tokens that replace a missing text, as in the published code.


@MODELS.register()
class QueryGenerator(nn.Module):
    """Attention from every clip to the text tokens (UMT, Liu et al., CVPR 2022).

    Args:
        dims: widths of the projection, from the text features' width to the model's. None for a model that is trained
            without text, whose clips are the queries.
        p: dropout rate of the text features.
        enc_cfg: config of the attention, or None.

    Attributes:
        in_dims: width of the text features; None without text.
    """

    def __init__(self, dims: list[int] | None = None, p: float = 0.3, enc_cfg: dict | None = None):
        super().__init__()
        self.in_dims = dims[0] if dims else None
        self.dropout = FastDropout(p)
        self.mapping = build_linear_modules(list(dims), last_norm=True, norm_cfg=dict(type="LN")) if dims else None
        self.encoder = build(enc_cfg, MODELS, dims[-1], location="enc_cfg") if dims else None

    def forward(self, x: Tensor, query: Tensor | None = None) -> Tensor:
        """Generate the queries.

        Args:
            x: (B, T, C) clips.
            query: (B, L, in_dims) text tokens, padded with inf and not modified. None is replaced by zero tokens.

        Returns:
            (B, T, C), one query per clip.
        """
        if self.mapping is None or self.encoder is None:
            return x
        if query is None:
            query = x.new_zeros(x.size(0), NUM_EMPTY_TOKENS, self.in_dims)
        is_token = query.isfinite().all(dim=-1)   # (B, L)
        query = query.masked_fill(~is_token.unsqueeze(-1), 0)
        return self.encoder(x, self.mapping(self.dropout(query)), mask=is_token)
