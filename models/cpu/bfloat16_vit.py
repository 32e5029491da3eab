"""CLIP's picture tower for CPUs that compute in bfloat16."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

SWISH = 1.702   # of CLIP's activation, x * sigmoid(1.702 x)


class BFloat16ViT(nn.Module):
    """What OpenAI's `VisionTransformer` computes, its weights rounded to bfloat16 once and not at every call.

    Sums and norms are made in float32 inside their operations. The activation's factor is multiplied into
    the weights around it, and of the last layer only the token that is read is computed. With so few
    tokens, plain products are quicker than torch's fused attention.

    Args:
        vit: the `visual` of a CLIP network, in float32; it is left as it is.
        dtype: of the weights; with float32 nothing is rounded, and nothing gained.
    """

    def __init__(self, vit: nn.Module, dtype: torch.dtype = torch.bfloat16):
        super().__init__()
        width, _, self.patch_px, _ = vit.conv1.weight.shape
        self.patches = _fixed(vit.conv1.weight.reshape(width, -1), dtype)   # (width, 3, p, p) -> (width, 3 * p * p)
        self.class_token = _fixed(vit.class_embedding, dtype)
        self.positions = _fixed(vit.positional_embedding, dtype)
        self.projection = _fixed(vit.proj, dtype)
        self.before, self.after = vit.ln_pre, vit.ln_post
        self.layers = nn.ModuleList(_Layer(block, dtype) for block in vit.transformer.resblocks)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, D), of the weights' dtype."""
        N, C, S, _ = images.shape
        side, p = S // self.patch_px, self.patch_px
        # (N, C, S, S) -> (N, C, side, p, side, p) -> (N, side * side, C * p * p)
        patches = images.to(self.patches.dtype).reshape(N, C, side, p, side, p).permute(0, 2, 4, 1, 3, 5)
        tokens = F.linear(patches.reshape(N, side * side, C * p * p), self.patches)
        x = torch.cat([self.class_token.expand(N, 1, -1), tokens], dim=1) + self.positions
        x = _norm(self.before, x)
        for layer in self.layers[:-1]:
            x = layer(x, x.shape[1])
        return _norm(self.after, self.layers[-1](x, 1)[:, 0]) @ self.projection


class _Layer(nn.Module):

    def __init__(self, block: nn.Module, dtype: torch.dtype):
        super().__init__()
        attention, mlp = block.attn, block.mlp
        self.heads, self.scale = attention.num_heads, attention.head_dim ** -0.5
        self.norm1, self.norm2 = block.ln_1, block.ln_2
        self.inward = _linear(attention.in_proj_weight, attention.in_proj_bias, dtype)
        self.outward = _linear(attention.out_proj.weight, attention.out_proj.bias, dtype)
        self.widen = _linear(mlp.c_fc.weight * SWISH, mlp.c_fc.bias * SWISH, dtype)
        self.narrow = _linear(mlp.c_proj.weight / SWISH, mlp.c_proj.bias, dtype)

    def forward(self, x: Tensor, n_wanted: int) -> Tensor:
        """(N, L, C) -> (N, n_wanted, C), of the first tokens."""
        N, L, C = x.shape
        q, k, v = self.inward(_norm(self.norm1, x)).view(N, L, 3, self.heads, C // self.heads).unbind(dim=2)
        # (N, n_wanted, heads, C / heads) x (N, L, heads, C / heads) -> (N, heads, n_wanted, L)
        weights = (q[:, :n_wanted].transpose(1, 2) @ k.permute(0, 2, 3, 1) * self.scale).softmax(dim=-1)
        heard = (weights @ v.transpose(1, 2)).transpose(1, 2).reshape(N, n_wanted, C)
        x = x[:, :n_wanted] + self.outward(heard)
        return x + self.narrow(F.silu(self.widen(_norm(self.norm2, x)), inplace=True))


def _fixed(weight: Tensor, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(weight.detach().to(dtype), requires_grad=False)


def _linear(weight: Tensor, bias: Tensor, dtype: torch.dtype) -> nn.Linear:
    linear = nn.Linear(1, 1)
    linear.weight, linear.bias = _fixed(weight, dtype), _fixed(bias, dtype)
    return linear


def _norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
