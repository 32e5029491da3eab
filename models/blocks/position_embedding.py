"""Positions of a sequence, learned or sinusoidal."""

from __future__ import annotations

import math

import torch
import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from models.cpu.fast_dropout import Dropout


@MODELS.register()
class PositionEmbedding(nn.Module):
    """One vector per position, under the published key `pe` of shape (1, max_len, C).

    `learnable` has no default on purpose: nncore changed its own from True to False in 0.4.0, and a
    UMT trained with fixed positions loses more than half of its mAP without any error.

    Args:
        dims: width C.
        learnable: learned vectors, else sines and cosines (Vaswani et al., 2017).
        p: dropout.
        max_len: the longest sequence, in items.
    """

    def __init__(self, dims: int, learnable: bool, p: float = 0.1, max_len: int = 5000):
        super().__init__()
        if learnable:
            self.pe = nn.Parameter(torch.randn(1, max_len, dims) / dims**0.5)
        else:
            self.register_buffer("pe", sinusoids(max_len, dims)[None])
        self.dropout = Dropout(p)

    def forward(self, x: Tensor) -> Tensor:
        """The positions of a (B, T, C) sequence, as (B, T, C).

        Raises:
            ValueError: T is over `max_len`.
        """
        B, T, _ = x.shape
        if T > self.pe.size(1):
            raise ValueError(f"a sequence of {T} items, but this model has positions for {self.pe.size(1)}")
        return self.dropout(self.pe[:, :T].expand(B, -1, -1))


def sinusoids(length: int, dims: int) -> Tensor:
    """(length, dims): sin(t / 10000^(2i / dims)) at even, cos at odd columns (Vaswani et al., 2017)."""
    position = torch.arange(length).unsqueeze(1)
    rate = torch.exp(torch.arange(0, dims, 2) * (-math.log(10000.0) / dims))
    table = torch.zeros(length, dims)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)[:, : dims // 2]
    return table
