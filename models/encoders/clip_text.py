"""OpenAI CLIP's text encoder."""

from __future__ import annotations

import os

import torch
from nncore.nn import MODELS

from common.errors import InputError
from common.queries import check_queries

from .base import TextEncoder, TextFeature, join_pieces
from .clip_network import load_clip, short_name
from .import_without_init import import_without_init

BATCH = 32


@MODELS.register()
class CLIPText(TextEncoder):
    """CLIP's text tower (Radford et al., 2021), in float32.

    Tokens are the tower's output after its last layer norm, up to and with the end token; the sentence
    is the projected end token, as `encode_text` gives it. A text over 75 tokens is encoded in pieces, each
    with a start and an end token.

    Args:
        arch: one of OpenAI's names; it names the encoder, e.g. `clip_text_b32`.
        weights: a file to read instead of OpenAI's; see `load_clip`.
    """

    def __init__(self, arch: str = "ViT-B/32", weights: str | os.PathLike | None = None):
        super().__init__()
        self.network = load_clip(arch, weights)
        self.tokenizer = import_without_init("clip", "simple_tokenizer", "openai-clip").SimpleTokenizer()
        self.name = f"clip_text_{short_name(arch)}"
        self.dims = self.network.token_embedding.embedding_dim
        if self.network.vocab_size != len(self.tokenizer.encoder):
            raise InputError(f"{weights}: knows {self.network.vocab_size} tokens, CLIP's tokenizer "
                             f"{len(self.tokenizer.encoder)}; give a network's weights that use it")

    def encode(self, texts: list[str]) -> list[TextFeature]:
        """See `TextEncoder.encode`."""
        texts = check_queries(texts)
        pieces = [(i, piece) for i, text in enumerate(texts) for piece in self._pieces(text)]
        features: list[list[TextFeature]] = [[] for _ in texts]
        for begin in range(0, len(pieces), BATCH):
            batch = pieces[begin:begin + BATCH]
            for (i, _), feature in zip(batch, self._encode_pieces([p for _, p in batch]), strict=True):
                features[i].append(feature)
        return [join_pieces(of_text) for of_text in features]

    def _pieces(self, text: str) -> list[list[int]]:
        ids = self.tokenizer.encode(text)
        start, end = self.tokenizer.encoder["<|startoftext|>"], self.tokenizer.encoder["<|endoftext|>"]
        step = self.network.context_length - 2
        return [[start, *ids[i:i + step], end] for i in range(0, max(len(ids), 1), step)]

    @torch.inference_mode()
    def _encode_pieces(self, pieces: list[list[int]]) -> list[TextFeature]:
        network = self.network
        device = network.positional_embedding.device
        padded = torch.tensor([p + [0] * (network.context_length - len(p)) for p in pieces], device=device)
        x = network.token_embedding(padded) + network.positional_embedding   # (N, L, D)
        x = network.transformer(x.permute(1, 0, 2)).permute(1, 0, 2)         # it takes and gives (L, N, D)
        tokens = network.ln_final(x)
        ends = torch.stack([t[len(p) - 1] for t, p in zip(tokens, pieces, strict=True)])
        sentences = ends @ network.text_projection                           # (N, D) @ (D, P) -> (N, P)
        return [TextFeature(t[:len(p)].cpu().numpy(), s.cpu().numpy())
                for t, s, p in zip(tokens, sentences, pieces, strict=True)]
