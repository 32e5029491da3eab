"""Learned or sinusoidal position embeddings."""

from __future__ import annotations

import math

import torch
import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from models.cpu.fast_dropout import FastDropout


@MODELS.register()
class PositionEmbedding(nn.Module):
    """One vector per position, stored under the published key `pe` in the shape (1, max_len, C).

    `learnable` deliberately has no default. nncore changed its default from True to False in version 0.4.0, and UMT
    trained with fixed positions loses more than half of its mAP without any error.

    Args:
        dims: width C.
        learnable: True for learned vectors, False for sines and cosines (Vaswani et al., NeurIPS 2017).
        p: dropout rate.
        max_len: maximum sequence length.
    """

    def __init__(self, dims: int, learnable: bool, p: float = 0.1, max_len: int = 5000):
        super().__init__()
        if learnable:
            self.pe = nn.Parameter(torch.randn(1, max_len, dims) / dims**0.5)
        else:
            self.register_buffer("pe", sinusoids(max_len, dims)[None])
        self.dropout = FastDropout(p)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings of the positions of a sequence (B, T, C), in the same shape.

        Raises:
            ValueError: T exceeds `max_len`.
        """
        B, T, _ = x.shape
        if T > self.pe.size(1):
            raise ValueError(f"a sequence of {T} items, but this model has positions for {self.pe.size(1)}")
        return self.dropout(self.pe[:, :T].expand(B, -1, -1))


def sinusoids(length: int, dims: int) -> Tensor:
    """Return (length, dims): sin(t / 10000^(2i / dims)) in even columns, cos in odd ones (Vaswani et al., 2017)."""
    position = torch.arange(length).unsqueeze(1)
    rate = torch.exp(torch.arange(0, dims, 2) * (-math.log(10000.0) / dims))
    table = torch.zeros(length, dims)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)[:, : dims // 2]
    return table
