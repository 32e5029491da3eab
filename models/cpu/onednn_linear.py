"""Linear layers by oneDNN's float32 product, which some CPUs run twice as fast as the one that torch calls."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

LEAST_ROWS = 64   # below, a call costs more than it saves


def _onednn():
    """torch's oneDNN linear, or None where this torch has none."""
    try:
        return torch.ops.mkldnn._linear_pointwise if torch.backends.mkldnn.is_available() else None
    except (AttributeError, RuntimeError):
        return None


ONEDNN = _onednn()


def _product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """(M, K) @ (N, K)^T + bias -> (M, N), in full float32."""
    return ONEDNN(a, b, bias, "none", [], "")


class _LinearFunction(torch.autograd.Function):
    """`F.linear` whose three products, forward and backward, are oneDNN's."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return _product(x.reshape(-1, x.size(-1)), weight, bias).view(*x.shape[:-1], weight.size(0))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.size(-1))
        for_x = _product(rows, weight.t()).view(x.shape) if ctx.needs_input_grad[0] else None
        for_weight = _product(rows.t(), x.reshape(-1, x.size(-1)).t()) if ctx.needs_input_grad[1] else None
        return for_x, for_weight, rows.sum(dim=0) if ctx.has_bias and ctx.needs_input_grad[2] else None


class Linear(nn.Linear):
    """`torch.nn.Linear`; in float32 on a CPU by oneDNN, else as torch has it."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        plain = (ONEDNN is None or x.device.type != "cpu" or x.dtype != torch.float32
                 or self.weight.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
                 or x.numel() < LEAST_ROWS * self.in_features)
        return F.linear(x, self.weight, self.bias) if plain else _LinearFunction.apply(x, self.weight, self.bias)


def use_onednn_linear(module: nn.Module) -> None:
    """Makes every `torch.nn.Linear` inside a module one of these; weights and their names stay."""
    for part in module.modules():
        if type(part) is nn.Linear:
            part.__class__ = Linear
