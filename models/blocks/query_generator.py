"""Turns the words of a query into one query vector per clip."""

from __future__ import annotations

import torch.nn as nn
from nncore.nn import MODELS, build_linear_modules
from torch import Tensor

from common.build import build
from models.cpu.fast_dropout import Dropout

NO_TEXT_TOKENS = 10   # how many zero tokens stand in for a text that was not given


@MODELS.register()
class QueryGenerator(nn.Module):
    """Every clip attends to the words (UMT, Liu et al., 2022); without `dims` clips pass through.

    Args:
        dims: widths of the projection, from the text features' to the model's; None for models that
            were trained without text.
        p: dropout on the text features.
        enc_cfg: the attention, or None.
    """

    def __init__(self, dims: list[int] | None = None, p: float = 0.3, enc_cfg: dict | None = None):
        super().__init__()
        self.in_dims = dims[0] if dims else None
        self.dropout = Dropout(p)
        self.mapping = build_linear_modules(list(dims), last_norm=True, norm_cfg=dict(type="LN")) if dims else None
        self.encoder = build(enc_cfg, MODELS, dims[-1], location="enc_cfg") if dims else None

    def forward(self, x: Tensor, query: Tensor | None = None) -> Tensor:
        """Generates the moment queries.

        Args:
            x: (B, T, C) clips.
            query: (B, L, text width), padded with inf; left as it is. None counts as zero tokens.

        Returns:
            (B, T, C).
        """
        if self.encoder is None:
            return x
        if query is None:
            query = x.new_zeros(x.size(0), NO_TEXT_TOKENS, self.in_dims)
        exists = query.isfinite().all(dim=-1)   # (B, L)
        query = query.masked_fill(~exists.unsqueeze(-1), 0)
        words = self.mapping(self.dropout(query))
        return self.encoder(x, words, mask=exists)
