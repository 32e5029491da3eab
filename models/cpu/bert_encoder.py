"""The encoder of BERT (Devlin et al., NAACL 2019), built from `torch.nn` layers.

The stock implementation is `transformers.BertModel`. Importing it takes several seconds, which is longer than encoding
the queries of a short video, and loads far more than this network needs.

Measured gain: loading MiniLM and encoding one query in a new process takes 5.4 s instead of 10.7 s (two cores of an AMD
EPYC, Zen 3; `tools/benchmark.py optimizations`).
"""

from __future__ import annotations

import re
from functools import partial

import torch
from torch import nn

# Published parameter names and the names in `BertEncoder`, which joins query, key and value in one matrix.
RENAMED_PARAMETERS = [
    (r"embeddings\.word_embeddings", "token_embedding"),
    (r"embeddings\.position_embeddings", "position_embedding"),
    (r"embeddings\.token_type_embeddings", "type_embedding"),
    (r"embeddings\.LayerNorm", "norm"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.in_proj\.", r"layers.\1.self_attn.in_proj_"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense", r"layers.\1.self_attn.out_proj"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm", r"layers.\1.norm1"),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense", r"layers.\1.linear1"),
    (r"encoder\.layer\.(\d+)\.output\.dense", r"layers.\1.linear2"),
    (r"encoder\.layer\.(\d+)\.output\.LayerNorm", r"layers.\1.norm2"),
]


class BertEncoder(nn.Module):
    """A BERT encoder for inference, without dropout and without the pooler.

    Args:
        config: the contents of a published config.json.
    """

    def __init__(self, config: dict):
        super().__init__()
        dims, eps = config["hidden_size"], config["layer_norm_eps"]
        # torch recognizes `gelu` by identity and then runs a fused layer, whose GELU is an approximation; a partial
        # keeps the exact one.
        activation = partial(getattr(nn.functional, config["hidden_act"]))
        self.token_embedding = nn.Embedding(config["vocab_size"], dims)
        self.position_embedding = nn.Embedding(config["max_position_embeddings"], dims)
        self.type_embedding = nn.Embedding(config["type_vocab_size"], dims)
        self.norm = nn.LayerNorm(dims, eps=eps)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(dims, config["num_attention_heads"], config["intermediate_size"], dropout=0,
                                       activation=activation, layer_norm_eps=eps, batch_first=True)
            for _ in range(config["num_hidden_layers"]))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Encode token ids.

        Args:
            ids: (N, L) integers, L at most the config's `max_position_embeddings`.
            mask: (N, L) bool, True at tokens and False at padding.

        Returns:
            (N, L, D); the vectors at padding are undefined.
        """
        positions = self.position_embedding.weight[:ids.shape[1]]
        x = self.norm(self.token_embedding(ids) + self.type_embedding.weight[0] + positions)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=~mask)   # (N, L, D) -> (N, L, D)
        return x


def convert_published_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return published weights under the parameter names of `BertEncoder`; unknown names stay unchanged."""
    joined = {}
    for key, value in state.items():
        if "attention.self.query" in key:
            parts = [state[key.replace("query", name)] for name in ("query", "key", "value")]   # (D, D) each.
            joined[key.replace("query", "in_proj")] = torch.cat(parts)
        elif not re.search(r"attention\.self\.(key|value)\.", key):
            joined[key] = value
    renamed = {}
    for key, value in joined.items():
        for published, ours in RENAMED_PARAMETERS:
            key = re.sub("^" + published, ours, key)
        renamed[key] = value
    return renamed
