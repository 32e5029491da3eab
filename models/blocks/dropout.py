"""Dropout that does not spend a third of a training step on random numbers."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

BITS = 16   # random bits per element: the rate is exact to 2**-16
LEVELS = 2**BITS
PER_DRAW = 64 // BITS


def drop(x: Tensor, p: float) -> Tensor:
    """Zeroes elements at random and scales the rest, so that the expectation stays (Srivastava et al., 2014).

    torch draws a Bernoulli number per element on a CPU, one thread, about 10 ns each. Here one 64-bit
    draw of the same generator serves four elements; other devices use torch's kernel.

    Args:
        x: any shape.
        p: probability of zero, in [0, 1); on a CPU it is rounded to a multiple of 2**-16.

    Returns:
        The shape and dtype of x.
    """
    if x.device.type != "cpu":
        return F.dropout(x, p)
    dropped = round(p * LEVELS)
    return x * _kept(x.shape, dropped).to(x.dtype).mul_(LEVELS / (LEVELS - dropped)) if dropped else x


def _kept(shape: torch.Size, dropped: int) -> Tensor:
    """Bools, False with a probability of dropped / LEVELS."""
    draws = torch.empty(-(-shape.numel() // PER_DRAW), dtype=torch.int64).random_(-2**63, None)
    uniform = draws.view(torch.int16)[:shape.numel()].view(shape)   # in [-LEVELS / 2, LEVELS / 2)
    return uniform >= dropped - LEVELS // 2


class _ReluDrop(torch.autograd.Function):
    """`drop` of the ReLU with one mask for both, a byte per element, in half the passes over the memory."""

    @staticmethod
    def forward(ctx, x: Tensor, dropped: int) -> Tensor:
        passes = _kept(x.shape, dropped).logical_and_(x > 0)
        ctx.save_for_backward(passes)
        ctx.scale = LEVELS / (LEVELS - dropped)
        return torch.where(passes, x, 0).mul_(ctx.scale)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return torch.where(ctx.saved_tensors[0], gradient, 0).mul_(ctx.scale), None


class ReluDropout(nn.Module):
    """ReLU, then dropout.

    Args:
        p: see `drop`.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        dropped = round(self.p * LEVELS)
        if not self.training or not dropped:
            return F.relu(x)
        return drop(F.relu(x), self.p) if x.device.type != "cpu" else _ReluDrop.apply(x, dropped)


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` by `drop`."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; the input itself outside of training."""
        return drop(x, self.p) if self.training and self.p else x
