"""Run CLIP's image encoder in bfloat16, on CPUs that multiply bfloat16 in hardware.

The stock implementation is OpenAI's `VisionTransformer` under `torch.autocast`, which converts every weight at every
call and computes all tokens of the last layer.

Not measured on a CPU with bfloat16 yet; `tools/benchmark.py optimizations` measures it there.
"""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

QUICK_GELU_FACTOR = 1.702   # CLIP's activation is x * sigmoid(1.702 x).


class BFloat16ViT(nn.Module):
    """OpenAI's `VisionTransformer` with weights that are rounded to bfloat16 once.

    Products and layer norms accumulate in float32 inside their kernels. The factor of the activation is multiplied into
    the weights around it, so that SiLU replaces it, and the last layer computes the class token only. For the few
    tokens of an image, plain matrix products are faster than torch's fused attention.

    Args:
        vit: the `visual` network of CLIP in float32, which stays unchanged.
        dtype: dtype of the weights; float32 neither rounds nor saves time.
    """

    def __init__(self, vit: nn.Module, dtype: torch.dtype = torch.bfloat16):
        super().__init__()
        width, _, self.patch_px, _ = vit.conv1.weight.shape
        self.patch_embedding = _frozen(vit.conv1.weight.reshape(width, -1), dtype)   # (width, 3, p, p) -> (width, 3pp)
        self.class_token = _frozen(vit.class_embedding, dtype)
        self.position_embedding = _frozen(vit.positional_embedding, dtype)
        self.projection = _frozen(vit.proj, dtype)
        self.norm_before, self.norm_after = vit.ln_pre, vit.ln_post
        self.layers = nn.ModuleList(_Layer(block, dtype) for block in vit.transformer.resblocks)

    def forward(self, images: Tensor) -> Tensor:
        """Encode preprocessed images: (N, 3, S, S) -> (N, D), in the dtype of the weights."""
        N, C, S, _ = images.shape
        side, p = S // self.patch_px, self.patch_px
        # (N, C, S, S) -> (N, C, side, p, side, p) -> (N, side, side, C, p, p)
        patches = images.to(self.patch_embedding.dtype).reshape(N, C, side, p, side, p).permute(0, 2, 4, 1, 3, 5)
        tokens = F.linear(patches.reshape(N, side * side, C * p * p), self.patch_embedding)
        x = torch.cat([self.class_token.expand(N, 1, -1), tokens], dim=1) + self.position_embedding
        x = _layer_norm(self.norm_before, x)
        for layer in self.layers[:-1]:
            x = layer(x, x.shape[1])
        return _layer_norm(self.norm_after, self.layers[-1](x, 1)[:, 0]) @ self.projection


class _Layer(nn.Module):
    """One residual attention block of CLIP.

    Args:
        block: OpenAI's `ResidualAttentionBlock`.
        dtype: dtype of the weights.
    """

    def __init__(self, block: nn.Module, dtype: torch.dtype):
        super().__init__()
        attention, mlp = block.attn, block.mlp
        self.heads, self.scale = attention.num_heads, attention.head_dim ** -0.5
        self.norm1, self.norm2 = block.ln_1, block.ln_2
        self.in_proj = _frozen_linear(attention.in_proj_weight, attention.in_proj_bias, dtype)
        self.out_proj = _frozen_linear(attention.out_proj.weight, attention.out_proj.bias, dtype)
        # silu(1.702 x) / 1.702 = x * sigmoid(1.702 x)
        self.linear1 = _frozen_linear(mlp.c_fc.weight * QUICK_GELU_FACTOR, mlp.c_fc.bias * QUICK_GELU_FACTOR, dtype)
        self.linear2 = _frozen_linear(mlp.c_proj.weight / QUICK_GELU_FACTOR, mlp.c_proj.bias, dtype)

    def forward(self, x: Tensor, num_outputs: int) -> Tensor:
        """Compute the first `num_outputs` tokens: (N, L, C) -> (N, num_outputs, C)."""
        N, L, C = x.shape
        q, k, v = self.in_proj(_layer_norm(self.norm1, x)).view(N, L, 3, self.heads, C // self.heads).unbind(dim=2)
        # (N, heads, num_outputs, C / heads) @ (N, heads, C / heads, L) -> (N, heads, num_outputs, L)
        weights = (q[:, :num_outputs].transpose(1, 2) @ k.permute(0, 2, 3, 1) * self.scale).softmax(dim=-1)
        attended = (weights @ v.transpose(1, 2)).transpose(1, 2).reshape(N, num_outputs, C)
        x = x[:, :num_outputs] + self.out_proj(attended)
        return x + self.linear2(F.silu(self.linear1(_layer_norm(self.norm2, x)), inplace=True))


def _frozen(weight: Tensor, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(weight.detach().to(dtype), requires_grad=False)


def _frozen_linear(weight: Tensor, bias: Tensor, dtype: torch.dtype) -> nn.Linear:
    linear = nn.Linear(1, 1)
    linear.weight, linear.bias = _frozen(weight, dtype), _frozen(bias, dtype)
    return linear


def _layer_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """Apply the weights of a layer norm; OpenAI's `LayerNorm.forward` would convert to float32 and back."""
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
