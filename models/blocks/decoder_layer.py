"""A transformer decoder layer."""

from __future__ import annotations

import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from .attention import Attention
from .feed_forward import FeedForward


@MODELS.register()
class DecoderLayer(nn.Module):
    """A pre-norm transformer layer of self-attention, cross-attention and feed-forward (Vaswani et al., NeurIPS 2017).

    Args:
        dims: width of queries and memory.
        heads: number of attention heads.
        ratio: hidden width of the feed-forward network as a multiple of `dims`.
        p: dropout rate.
    """

    def __init__(self, dims: int, heads: int = 8, ratio: float = 4, p: float = 0.1):
        super().__init__()
        self.att1 = Attention(dims, heads=heads, p=p)
        self.att2 = Attention(dims, heads=heads, p=p)
        self.ffn = FeedForward(dims, ratio=ratio, p=p)
        self.norm1 = nn.LayerNorm(dims)
        self.norm2 = nn.LayerNorm(dims)
        self.norm3 = nn.LayerNorm(dims)

    def forward(self, x: Tensor, mem: Tensor, q_pe: Tensor | None = None, k_pe: Tensor | None = None,
                mask: Tensor | None = None) -> Tensor:
        """Decode queries against a memory of the same length.

        Args:
            x: (B, T, C) queries.
            mem: (B, T, C) memory.
            q_pe: (1, T, C) position embeddings of the queries.
            k_pe: (1, T, C) position embeddings of the memory.
            mask: (B, T), nonzero at valid clips, for both queries and memory.

        Returns:
            (B, T, C).
        """
        v = self.norm1(x)
        q = v if q_pe is None else v + q_pe
        x = x + self.att1(q, q, v, mask=mask)
        q = self.norm2(x)
        q = q if q_pe is None else q + q_pe
        k = mem if k_pe is None else mem + k_pe
        x = x + self.att2(q, k, mem, mask=mask)
        return x + self.ffn(self.norm3(x))
