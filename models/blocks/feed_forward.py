"""The position-wise feed-forward network of a transformer."""

from __future__ import annotations

import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from models.cpu.fast_dropout import FastDropout, FusedReluDropout


@MODELS.register()
class FeedForward(nn.Module):
    """Linear, ReLU, dropout, linear, dropout (Vaswani et al., NeurIPS 2017).

    Args:
        dims: width of input and output.
        ratio: hidden width as a multiple of `dims`.
        p: dropout rate.
    """

    def __init__(self, dims: int, ratio: float = 4, p: float = 0.1):
        super().__init__()
        hidden = int(dims * ratio)
        # The identity keeps the indices, and with them the parameter names, of the published checkpoints.
        self.mapping = nn.Sequential(
            nn.Linear(dims, hidden), FusedReluDropout(p), nn.Identity(), nn.Linear(hidden, dims), FastDropout(p))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network to each position: (..., C) -> (..., C)."""
        return self.mapping(x)
