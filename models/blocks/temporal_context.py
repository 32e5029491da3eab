"""What lies just before and after a clip, for heads that must tell where things begin and end."""

from __future__ import annotations

import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from models.cpu.fast_dropout import Dropout


@MODELS.register()
class TemporalContext(nn.Module):
    """Residual convolutions over time: a clip sees `layers * (kernel - 1) / 2` neighbours on each side.

    Args:
        dims: width.
        layers: convolutions.
        kernel: clips that one spans; odd.
        p: dropout.
    """

    def __init__(self, dims: int, layers: int = 3, kernel: int = 5, p: float = 0.1):
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"TemporalContext: kernel {kernel} is even, so a clip would have no middle")
        self.norms = nn.ModuleList(nn.LayerNorm(dims) for _ in range(layers))
        self.convs = nn.ModuleList(nn.Conv1d(dims, dims, kernel, padding=kernel // 2) for _ in range(layers))
        self.act, self.dropout = nn.ReLU(), Dropout(p)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C), mask (B, T), nonzero where a clip exists -> (B, T, C); padding is seen as zeros."""
        exists = (mask > 0).unsqueeze(-1)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv((norm(x) * exists).transpose(1, 2)).transpose(1, 2)   # (B, T, C) -> (B, C, T) -> (B, T, C)
            x = x + self.dropout(self.act(y))
        return x
