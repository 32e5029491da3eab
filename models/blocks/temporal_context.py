"""Temporal convolutions, for heads that locate where moments begin and end."""

from __future__ import annotations

import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from models.cpu.fast_dropout import FastDropout


@MODELS.register()
class TemporalContext(nn.Module):
    """Residual convolutions over time; the receptive field has `layers * (kernel - 1) / 2` clips on each side.

    Args:
        dims: width of the clips.
        layers: number of convolutions.
        kernel: kernel size in clips; odd.
        p: dropout rate.
    """

    def __init__(self, dims: int, layers: int = 3, kernel: int = 5, p: float = 0.1):
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"TemporalContext: kernel={kernel} is even; use an odd number, which has a center")
        self.norms = nn.ModuleList(nn.LayerNorm(dims) for _ in range(layers))
        self.convs = nn.ModuleList(nn.Conv1d(dims, dims, kernel, padding=kernel // 2) for _ in range(layers))
        self.act, self.dropout = nn.ReLU(), FastDropout(p)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Apply the convolutions; padding is treated as zeros.

        Args:
            x: (B, T, C).
            mask: (B, T), nonzero at valid clips.

        Returns:
            (B, T, C).
        """
        is_valid = (mask > 0).unsqueeze(-1)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv((norm(x) * is_valid).transpose(1, 2)).transpose(1, 2)   # (B, T, C) -> (B, C, T) -> (B, T, C)
            x = x + self.dropout(self.act(y))
        return x
