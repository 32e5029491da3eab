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
    if not dropped:
        return x
    draws = torch.empty(-(-x.numel() // PER_DRAW), dtype=torch.int64).random_(-2**63, None)
    uniform = draws.view(torch.int16)[:x.numel()].view(x.shape)   # in [-LEVELS / 2, LEVELS / 2)
    keep = (uniform >= dropped - LEVELS // 2).to(x.dtype)
    return x * keep.mul_(LEVELS / (LEVELS - dropped))


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` by `drop`."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; the input itself outside of training."""
        return drop(x, self.p) if self.training and self.p else x
