"""Fusion of two streams through a few bottleneck tokens."""

from __future__ import annotations

import torch
import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from .attention import Attention
from .feed_forward import FeedForward


class BottleneckLayer(nn.Module):
    """One layer in which bottleneck tokens attend to both streams, and then both streams attend to the tokens.

    Args:
        dims: width of the streams and the tokens.
        heads: number of attention heads.
        ratio: hidden width of the feed-forward networks as a multiple of `dims`.
        p: dropout rate.
    """

    def __init__(self, dims: int, heads: int, ratio: float, p: float):
        super().__init__()
        self.att1, self.att2, self.att3, self.att4 = (Attention(dims, heads=heads, p=p) for _ in range(4))
        self.ffn1, self.ffn2 = (FeedForward(dims, ratio=ratio, p=p) for _ in range(2))
        self.norm1, self.norm2, self.norm3, self.norm4, self.norm5, self.norm6 = (
            nn.LayerNorm(dims) for _ in range(6))

    def forward(self, a: Tensor, b: Tensor, t: Tensor, pe: Tensor | None,
                mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return both streams (B, T, C) and the tokens (B, N, C) after this layer; see `BottleneckTransformer`."""
        da, db, dt = self.norm1(a), self.norm2(b), self.norm3(t)
        qa = da if pe is None else da + pe
        qb = db if pe is None else db + pe
        t = t + self.att1(dt, qa, da, mask=mask) + self.att2(dt, qb, db, mask=mask)
        dt = self.norm4(t)
        a = a + self.att3(qa, dt)
        b = b + self.att4(qb, dt)
        a = a + self.ffn1(self.norm5(a))
        b = b + self.ffn2(self.norm6(b))
        return a, b, t


@MODELS.register()
class BottleneckTransformer(nn.Module):
    """The cross-modal transformer of UMT (Liu et al., CVPR 2022), whose cost is linear in the sequence length.

    Args:
        dims: width of both streams.
        num_tokens: number of bottleneck tokens.
        num_layers: number of layers.
        heads: number of attention heads.
        ratio: hidden width of the feed-forward networks as a multiple of `dims`.
        p: dropout rate.
    """

    def __init__(self, dims: int, num_tokens: int = 4, num_layers: int = 1, heads: int = 8, ratio: float = 4,
                 p: float = 0.1):
        super().__init__()
        self.token = nn.Parameter(torch.randn(num_tokens, dims) / dims**0.5)
        self.encoder = nn.ModuleList(BottleneckLayer(dims, heads, ratio, p) for _ in range(num_layers))

    def forward(self, a: Tensor, b: Tensor, pe: Tensor | None = None,
                mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Fuse two aligned streams.

        Args:
            a: (B, T, C), the first stream.
            b: (B, T, C), the second stream.
            pe: (B, T, C) position embeddings, added where the streams are queries or keys.
            mask: (B, T), nonzero at valid clips.

        Returns:
            Both streams, (B, T, C) each.
        """
        t = self.token.expand(a.size(0), -1, -1)
        for layer in self.encoder:
            a, b, t = layer(a, b, t, pe, mask)
        return a, b
