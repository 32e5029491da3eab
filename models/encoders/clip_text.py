"""The text encoder of OpenAI's CLIP."""

from __future__ import annotations

import os
from collections.abc import Iterator

import torch
from nncore.nn import MODELS

from common.errors import InputError

from .base import TextFeature
from .chunked_text import ChunkedTextEncoder
from .clip_network import load_clip, short_name
from .import_without_init import import_without_init

BATCH_CHUNKS = 32


@MODELS.register()
class CLIPText(ChunkedTextEncoder):
    """CLIP's text encoder (Radford et al., ICML 2021), in float32.

    The tokens are the output after the last layer norm, up to and including the end token. The embedding is the
    projected end token, as `encode_text` returns it. A text of more than 75 tokens is encoded in chunks, each with a
    start token and an end token.

    Args:
        arch: one of OpenAI's architecture names; determines the name of the encoder, e.g. `clip_text_b32`.
        weights: a weight file to use instead of OpenAI's; see `load_clip`.
    """

    def __init__(self, arch: str = "ViT-B/32", weights: str | os.PathLike | None = None):
        super().__init__()
        self.network = load_clip(arch, weights)
        self.tokenizer = import_without_init("clip", "simple_tokenizer", "openai-clip").SimpleTokenizer()
        self.name = f"clip_text_{short_name(arch)}"
        self.dims = self.network.token_embedding.embedding_dim
        if self.network.vocab_size != len(self.tokenizer.encoder):
            raise InputError(weights, f"its vocabulary has {self.network.vocab_size} tokens, but that of CLIP's "
                             f"tokenizer has {len(self.tokenizer.encoder)}",
                             "give the weights of a network with this tokenizer")

    def _tokenize(self, text: str) -> list[list[int]]:
        ids = self.tokenizer.encode(text)
        start, end = self.tokenizer.encoder["<|startoftext|>"], self.tokenizer.encoder["<|endoftext|>"]
        step = self.network.context_length - 2
        return [[start, *ids[i:i + step], end] for i in range(0, max(len(ids), 1), step)]

    def _batches(self, lengths: list[int]) -> Iterator[list[int]]:
        for begin in range(0, len(lengths), BATCH_CHUNKS):
            yield list(range(begin, min(begin + BATCH_CHUNKS, len(lengths))))

    @torch.inference_mode()
    def _encode_chunks(self, chunks: list[list[int]]) -> list[TextFeature]:
        network = self.network
        device = network.positional_embedding.device
        padded = torch.tensor([ids + [0] * (network.context_length - len(ids)) for ids in chunks], device=device)
        x = network.token_embedding(padded) + network.positional_embedding   # (N, L, D)
        x = network.transformer(x.permute(1, 0, 2)).permute(1, 0, 2)         # The transformer works on (L, N, D).
        tokens = network.ln_final(x)
        ends = torch.stack([t[len(ids) - 1] for t, ids in zip(tokens, chunks, strict=True)])
        embeddings = ends @ network.text_projection                          # (N, D) @ (D, P) -> (N, P)
        return [TextFeature(t[:len(ids)].cpu().numpy(), e.cpu().numpy())
                for t, e, ids in zip(tokens, embeddings, chunks, strict=True)]
