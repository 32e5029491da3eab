"""The UMT decoder, in which the query of each clip attends to all fused clips."""

from __future__ import annotations

import copy

import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from common.build import build


@MODELS.register()
class QueryDecoder(nn.Module):
    """A stack of decoder layers (UMT, Liu et al., CVPR 2022).

    Args:
        dims: feature dimension of queries and clips.
        pos_cfg: config of the position embeddings, one for the queries and one for the clips; None for no embeddings.
        dec_cfg: config of a single layer, or a list with one config per layer.
    """

    def __init__(self, dims: int, pos_cfg: dict | None = None, dec_cfg: dict | list[dict] | None = None):
        super().__init__()
        layers = [dec_cfg] if isinstance(dec_cfg, dict) else list(dec_cfg or ())
        self.q_pos_enc = build(pos_cfg, MODELS, dims, location="pos_cfg")
        self.k_pos_enc = build(pos_cfg, MODELS, dims, location="pos_cfg")
        self.decoder = nn.ModuleList(build(copy.deepcopy(cfg), MODELS, dims, location="dec_cfg") for cfg in layers)
        self.norm = nn.LayerNorm(dims)

    def forward(self, x: Tensor, mem: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """Decode the queries.

        Args:
            x: (B, T, C) queries, one per clip.
            mem: (B, T, C) fused clips.
            mask: (B, T), nonzero at valid clips.

        Returns:
            A list with the normalized output (B, T, C) of each layer; without layers, a list of the normalized queries
            only.
        """
        q_pe = None if self.q_pos_enc is None else self.q_pos_enc(x)
        k_pe = None if self.k_pos_enc is None else self.k_pos_enc(x)
        outs = []
        for layer in self.decoder:
            x = layer(x, mem, q_pe=q_pe, k_pe=k_pe, mask=mask)
            outs.append(self.norm(x))
        return outs or [self.norm(x)]
