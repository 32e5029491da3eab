"""The position-wise feed-forward network of a transformer."""

from __future__ import annotations

import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from models.cpu.fast_dropout import Dropout, ReluDropout


@MODELS.register()
class FeedForward(nn.Module):
    """Linear, ReLU, linear, each followed by dropout (Vaswani et al., 2017).

    Args:
        dims: width of input and output.
        ratio: hidden width as a multiple of `dims`.
        p: dropout.
    """

    def __init__(self, dims: int, ratio: float = 4, p: float = 0.1):
        super().__init__()
        hidden = int(dims * ratio)
        self.mapping = nn.Sequential(
            nn.Linear(dims, hidden), ReluDropout(p), nn.Identity(), nn.Linear(hidden, dims), Dropout(p))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.mapping(x)
