"""Multi-head attention with the parameter names of the published checkpoints."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from nncore.nn import MODELS
from torch import Tensor

from models.cpu.fast_dropout import FastDropout, fast_dropout


@MODELS.register()
class Attention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al., NeurIPS 2017), computed by torch's fused kernel.

    Args:
        dims: width of queries, keys, values and output.
        heads: number of heads; divides `dims`.
        p: dropout rate of the attention map and of the output.
    """

    def __init__(self, dims: int, heads: int = 8, p: float = 0.1):
        super().__init__()
        if dims % heads:
            raise ValueError(f"Attention: {heads} heads do not divide {dims} dims")
        self.heads = heads
        self.p = p
        self.q = nn.Linear(dims, dims)
        self.k = nn.Linear(dims, dims)
        self.v = nn.Linear(dims, dims)
        self.m = nn.Linear(dims, dims)
        self.dropout = FastDropout(p)

    def forward(self, q: Tensor, k: Tensor | None = None, v: Tensor | None = None,
                mask: Tensor | None = None) -> Tensor:
        """Attend from every query to the keys that the mask allows.

        Args:
            q: (B, Q, C) queries.
            k: (B, K, C) keys; the queries if None.
            v: (B, K, C) values; the keys if None.
            mask: (B, K), nonzero where a key may be attended to. A row without any such key attends uniformly to all
                keys, because a softmax over nothing would give NaN.

        Returns:
            (B, Q, C).
        """
        k = q if k is None else k
        v = k if v is None else v
        if mask is not None:
            allowed = mask > 0
            allowed = allowed | ~allowed.any(dim=-1, keepdim=True)
            mask = allowed[:, None, None, :]   # (B, K) -> (B, 1, 1, K), for all heads and queries.
        attend = self._attend_with_dropout if self.training and self.p else F.scaled_dot_product_attention
        out = attend(self._split_heads(self.q(q)), self._split_heads(self.k(k)), self._split_heads(self.v(v)),
                     attn_mask=mask)
        out = out.transpose(1, 2).flatten(2)   # (B, H, Q, C / H) -> (B, Q, C)
        return self.dropout(self.m(out))

    def _attend_with_dropout(self, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None) -> Tensor:
        """Return the attended values (B, H, Q, C / H); torch has no fused kernel with dropout on CPUs."""
        if q.device.type != "cpu":
            return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, dropout_p=self.p)
        weights = q @ k.transpose(-1, -2) * q.size(-1)**-0.5   # (B, H, Q, K)
        if attn_mask is not None:
            weights = weights.masked_fill(~attn_mask, -torch.inf)
        return fast_dropout(weights.softmax(dim=-1).to(v.dtype), self.p) @ v

    def _split_heads(self, x: Tensor) -> Tensor:
        B, L, C = x.shape
        return x.view(B, L, self.heads, C // self.heads).transpose(1, 2)   # (B, L, C) -> (B, H, L, C / H)
