"""Linear layers that compute in float32 with oneDNN.

The stock `torch.nn.functional.linear` calls the BLAS library that torch was built with (usually MKL) for float32, which
runs a slower code path on some processors, e.g. AMD's. oneDNN chooses its kernels by the instruction set.

Measured gain: the products took half the time on a processor whose model was not recorded. There is none on two cores
of an AMD EPYC (Zen 3): a training step of UMT on 32 videos takes 1.68 s instead of 1.62 s.
`tools/benchmark.py optimizations` measures other machines.
"""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

MIN_ROWS = 64   # For fewer rows, the overhead of a call exceeds the gain.


def _find_onednn_linear():
    """Return torch's oneDNN linear operator, or None if this build of torch has none."""
    try:
        return torch.ops.mkldnn._linear_pointwise if torch.backends.mkldnn.is_available() else None
    except (AttributeError, RuntimeError):
        return None


ONEDNN_LINEAR = _find_onednn_linear()


def onednn_product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return a @ b^T + bias in full float32: (M, K), (N, K) -> (M, N)."""
    return ONEDNN_LINEAR(a, b, bias, "none", [], "")


class _LinearFunction(torch.autograd.Function):
    """`F.linear` that computes its three products, one forward and two backward, with oneDNN."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return onednn_product(x.reshape(-1, x.size(-1)), weight, bias).view(*x.shape[:-1], weight.size(0))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.size(-1))
        for_x = onednn_product(rows, weight.t()).view(x.shape) if ctx.needs_input_grad[0] else None
        for_weight = onednn_product(rows.t(), x.reshape(-1, x.size(-1)).t()) if ctx.needs_input_grad[1] else None
        return for_x, for_weight, rows.sum(dim=0) if ctx.has_bias and ctx.needs_input_grad[2] else None


class OneDNNLinear(nn.Linear):
    """`torch.nn.Linear` that uses oneDNN for float32 on a CPU, and torch's implementation otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: (..., in_features) -> (..., out_features)."""
        if (ONEDNN_LINEAR is None or x.device.type != "cpu" or x.dtype != torch.float32
                or self.weight.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
                or x.numel() < MIN_ROWS * self.in_features):
            return F.linear(x, self.weight, self.bias)
        return _LinearFunction.apply(x, self.weight, self.bias)


def use_onednn_linear(module: nn.Module) -> None:
    """Convert every `torch.nn.Linear` inside a module to `OneDNNLinear`, with the same parameters and names."""
    for part in module.modules():
        if type(part) is nn.Linear:
            part.__class__ = OneDNNLinear
