"""A transformer encoder layer."""

from __future__ import annotations

import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from .attention import Attention
from .feed_forward import FeedForward


@MODELS.register()
class EncoderLayer(nn.Module):
    """A pre-norm transformer layer of self-attention and feed-forward (Vaswani et al., NeurIPS 2017).

    Args:
        dims: width of the sequence.
        heads: number of attention heads.
        ratio: hidden width of the feed-forward network as a multiple of `dims`.
        p: dropout rate.
    """

    def __init__(self, dims: int, heads: int = 8, ratio: float = 4, p: float = 0.1):
        super().__init__()
        self.att = Attention(dims, heads=heads, p=p)
        self.ffn = FeedForward(dims, ratio=ratio, p=p)
        self.norm1 = nn.LayerNorm(dims)
        self.norm2 = nn.LayerNorm(dims)

    def forward(self, x: Tensor, pe: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Encode a sequence.

        Args:
            x: (B, T, C).
            pe: (1, T, C) position embeddings, added to queries and keys only.
            mask: (B, T), nonzero at valid items.

        Returns:
            (B, T, C).
        """
        v = self.norm1(x)
        q = v if pe is None else v + pe
        x = x + self.att(q, q, v, mask=mask)
        return x + self.ffn(self.norm2(x))
