"""Multi-head attention with the parameter names of the published checkpoints."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from nncore.nn import MODELS
from torch import Tensor

from models.cpu.fast_dropout import Dropout, drop


@MODELS.register()
class Attention(nn.Module):
    """Scaled dot-product attention over several heads (Vaswani et al., 2017), by torch's fused kernel.

    Args:
        dims: width of queries, keys, values and output.
        heads: number of heads; divides `dims`.
        p: dropout on the attention map and on the output.
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
        self.dropout = Dropout(p)

    def forward(self, q: Tensor, k: Tensor | None = None, v: Tensor | None = None,
                mask: Tensor | None = None) -> Tensor:
        """Attends from every query to the keys that the mask allows.

        Args:
            q: (B, Q, C).
            k: (B, K, C); the queries when left out.
            v: (B, K, C); the keys when left out.
            mask: (B, K), nonzero where a key may be attended to. A row that allows none attends to
                all keys alike, instead of giving NaN.

        Returns:
            (B, Q, C).
        """
        k = q if k is None else k
        v = k if v is None else v
        if mask is not None:
            allowed = mask > 0
            allowed = allowed | ~allowed.any(dim=-1, keepdim=True)
            mask = allowed[:, None, None, :]   # (B, K) -> (B, 1, 1, K), for all heads and queries
        attend = self._attend_dropping if self.training and self.p else F.scaled_dot_product_attention
        out = attend(self._split(self.q(q)), self._split(self.k(k)), self._split(self.v(v)), attn_mask=mask)
        out = out.transpose(1, 2).flatten(2)   # (B, H, Q, C / H) -> (B, Q, C)
        return self.dropout(self.m(out))

    def _attend_dropping(self, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None) -> Tensor:
        """Attention (B, H, Q, C / H) with dropout, for which a CPU has no fused kernel."""
        if q.device.type != "cpu":
            return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, dropout_p=self.p)
        weights = q @ k.transpose(-1, -2) * q.size(-1)**-0.5   # (B, H, Q, K)
        if attn_mask is not None:
            weights = weights.masked_fill(~attn_mask, -torch.inf)
        return drop(weights.softmax(dim=-1).to(v.dtype), self.p) @ v

    def _split(self, x: Tensor) -> Tensor:
        B, L, C = x.shape
        return x.view(B, L, self.heads, C // self.heads).transpose(1, 2)   # (B, L, C) -> (B, H, L, C / H)
