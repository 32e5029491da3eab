"""The base of text encoders that split a long text into chunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from common.progress import ReportProgress
from common.queries import check_texts

from .base import TextEncoder, TextFeature, join_chunks, join_embeddings


class ChunkedTextEncoder(TextEncoder):
    """A text encoder whose network reads a limited number of tokens, so that a long text is encoded in chunks."""

    def encode(self, texts: list[str]) -> list[TextFeature]:
        """See `TextEncoder.encode`.

        Raises:
            InputError: a text is empty or has no visible character.
        """
        checked = check_texts(texts)
        chunks = [(i, chunk) for i, text in enumerate(checked) for chunk in self._tokenize(text)]
        encoded: dict[int, TextFeature] = {}
        for batch in self._batches([len(ids) for _, ids in chunks]):
            encoded.update(zip(batch, self._encode_chunks([chunks[j][1] for j in batch]), strict=True))
        features: list[list[TextFeature]] = [[] for _ in checked]
        for j, (i, _) in enumerate(chunks):
            features[i].append(encoded[j])
        return [join_chunks(of_text) for of_text in features]

    def embed(self, texts: Sequence[str], report_progress: ReportProgress = None) -> np.ndarray:
        """See `TextEncoder.embed`; equal texts are encoded once."""
        checked = check_texts(texts)
        indices = {text: i for i, text in enumerate(dict.fromkeys(checked))}
        chunks = [(i, chunk) for text, i in indices.items() for chunk in self._tokenize(text)]
        lengths = [len(ids) for _, ids in chunks]
        encoded: dict[int, np.ndarray] = {}
        n_done, n_tokens = 0, sum(lengths)
        for batch in self._batches(lengths):
            features = self._encode_chunks([chunks[j][1] for j in batch])
            encoded.update((j, feature.pooler_output) for j, feature in zip(batch, features, strict=True))
            n_done += sum(lengths[j] for j in batch)
            if report_progress is not None:
                report_progress(n_done / n_tokens)
        of_text: list[list[int]] = [[] for _ in indices]
        for j, (i, _) in enumerate(chunks):
            of_text[i].append(j)
        rows = [join_embeddings([encoded[j] for j in js], [lengths[j] for j in js]) for js in of_text]
        return np.stack([rows[indices[text]] for text in checked])

    def _tokenize(self, text: str) -> list[list[int]]:
        """Return the token ids of the chunks of a text, at least one."""
        raise NotImplementedError

    def _batches(self, lengths: list[int]) -> Iterable[list[int]]:
        """Return the indices of chunks in batches that are encoded together; `lengths` are in tokens."""
        raise NotImplementedError

    def _encode_chunks(self, chunks: list[list[int]]) -> list[TextFeature]:
        """Encode chunks of token ids together."""
        raise NotImplementedError
