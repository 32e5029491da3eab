"""Dropout that does not spend a third of a training step on random numbers."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from numpy.random import SFC64
from torch import Tensor

BITS = 16   # random bits per element: the rate is exact to 2**-16
LEVELS = 2**BITS
PER_DRAW = 64 // BITS


def drop(x: Tensor, p: float) -> Tensor:
    """Zeroes elements at random and scales the rest, so that the expectation stays (Srivastava et al., 2014).

    torch draws a Bernoulli number per element on a CPU, one thread, about 10 ns each. Here one 64-bit
    draw of a faster generator (SFC64, seeded by torch's) serves four elements; other devices use
    torch's kernel.

    Args:
        x: any shape.
        p: probability of zero, in [0, 1); on a CPU it is rounded to a multiple of 2**-16.

    Returns:
        The shape and dtype of x.
    """
    if x.device.type != "cpu":
        return F.dropout(x, p)
    dropped = round(p * LEVELS)
    return x * _kept(x, dropped).mul_(LEVELS / (LEVELS - dropped)) if dropped else x


def _kept(like: Tensor, dropped: int) -> Tensor:
    """Ones, and zeros with a probability of dropped / LEVELS, of a tensor's shape and dtype."""
    seed = int(torch.empty((), dtype=torch.int64).random_())   # so torch's generator decides
    draws = SFC64(seed).random_raw(-(-like.numel() // PER_DRAW)).view(np.int16)[:like.numel()]
    uniform = torch.from_numpy(draws).view(like.shape)   # in [-LEVELS / 2, LEVELS / 2)
    return uniform.ge_(dropped - LEVELS // 2).to(like.dtype)   # in place: bools are slow to convert


class _ReluDrop(torch.autograd.Function):
    """`drop` of the ReLU, whose own result, which the next layer keeps anyway, tells where the gradient passes."""

    @staticmethod
    def forward(ctx, x: Tensor, dropped: int) -> Tensor:
        ctx.scale = LEVELS / (LEVELS - dropped)
        out = F.relu(x).mul_(_kept(x, dropped)).mul_(ctx.scale)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return torch.ops.aten.threshold_backward(gradient, ctx.saved_tensors[0], 0).mul_(ctx.scale), None


class ReluDropout(nn.Module):
    """ReLU, then dropout; without gradients in place of its input, which is the widest of a layer.

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
            return F.relu(x, inplace=not torch.is_grad_enabled())
        return drop(F.relu(x), self.p) if x.device.type != "cpu" else _ReluDrop.apply(x, dropped)


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` by `drop`."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; the input itself outside of training."""
        return drop(x, self.p) if self.training and self.p else x
