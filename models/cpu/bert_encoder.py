"""BERT's encoder (Devlin et al., NAACL 2019) from torch's own layers.

The library that publishes such models takes five seconds to load, which is more than a short video takes.
"""

from __future__ import annotations

import re
from functools import partial

import torch
from torch import nn

NAMES = [   # published, ours; query, key and value are one matrix here
    (r"embeddings\.word_embeddings", "words"),
    (r"embeddings\.position_embeddings", "positions"),
    (r"embeddings\.token_type_embeddings", "types"),
    (r"embeddings\.LayerNorm", "norm"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.in_proj\.", r"layers.\1.self_attn.in_proj_"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense", r"layers.\1.self_attn.out_proj"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm", r"layers.\1.norm1"),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense", r"layers.\1.linear1"),
    (r"encoder\.layer\.(\d+)\.output\.dense", r"layers.\1.linear2"),
    (r"encoder\.layer\.(\d+)\.output\.LayerNorm", r"layers.\1.norm2"),
]


class Bert(nn.Module):
    """Token ids to their vectors, without dropout and without the pooler.

    Args:
        config: as in a published config.json.
    """

    def __init__(self, config: dict):
        super().__init__()
        dims, eps = config["hidden_size"], config["layer_norm_eps"]
        activation = partial(getattr(nn.functional, config["hidden_act"]))   # torch may take one near it for its name
        self.words = nn.Embedding(config["vocab_size"], dims)
        self.positions = nn.Embedding(config["max_position_embeddings"], dims)
        self.types = nn.Embedding(config["type_vocab_size"], dims)
        self.norm = nn.LayerNorm(dims, eps=eps)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(dims, config["num_attention_heads"], config["intermediate_size"], dropout=0,
                                       activation=activation, layer_norm_eps=eps, batch_first=True)
            for _ in range(config["num_hidden_layers"]))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """
        Args:
            ids: (N, L) integers, L at most the config's `max_position_embeddings`.
            mask: (N, L), True at the tokens, False at padding.

        Returns:
            (N, L, D); what stands at padding means nothing.
        """
        found = self.norm(self.words(ids) + self.types.weight[0] + self.positions.weight[:ids.shape[1]])
        for layer in self.layers:   # (N, L, D) -> (N, L, D)
            found = layer(found, src_key_padding_mask=~mask)
        return found


def rename_published(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Published weights under the names of `Bert`; what has no place in it keeps its name."""
    joined = {}
    for key, value in state.items():
        if "attention.self.query" in key:
            parts = [state[key.replace("query", name)] for name in ("query", "key", "value")]   # (D, D) each
            joined[key.replace("query", "in_proj")] = torch.cat(parts)
        elif not re.search(r"attention\.self\.(key|value)\.", key):
            joined[key] = value
    renamed = {}
    for key, value in joined.items():
        for published, ours in NAMES:
            key = re.sub("^" + published, ours, key)
        renamed[key] = value
    return renamed
