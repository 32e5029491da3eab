"""Queries that a video is scored by: the user's, or else sentences from its subtitles or captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.encoders import Encoders
from pipelines.media.subtitles import Cue

from .captions import BLANK, UNNAMED, Caption

USER, SUBTITLES, CAPTIONS = "asked", "subtitles", "captions"   # Values of `source` in summary.json.
MAX_VIDEO_QUERIES = 48   # Subtitles are joined into at most this many passages; captions are subsampled.


@dataclass(frozen=True)
class Query:
    """A sentence that a video is scored by.

    Attributes:
        text: the sentence.
        source: `USER`, `SUBTITLES` or `CAPTIONS`.
        start_s: start in seconds of the subtitle or captioned shot; None for a user's query, which has no time.
        end_s: its end in seconds, exclusive, or None.
    """

    text: str
    source: str
    start_s: float | None = None
    end_s: float | None = None

    def to_json(self) -> dict[str, str | float | None]:
        """Return the entry of `sentences` in summary.json; times are in seconds."""
        start, end = (None if t is None else round(t, 3) for t in (self.start_s, self.end_s))
        return dict(text=self.text, source=self.source, start=start, end=end)


def user_queries(texts: Sequence[str]) -> tuple[Query, ...]:
    """Return queries from a user's sentences."""
    return tuple(Query(text, USER) for text in texts)


def video_queries(cues: Sequence[Cue], captions: Sequence[Caption]) -> tuple[Query, ...]:
    """Return queries that describe a video by itself: its subtitles, or without any its captions; at most 48.

    Consecutive subtitles are joined into passages if there are more, so that no text is lost. Captions repeat
    themselves, so they are subsampled evenly. Captions that name nothing are skipped.
    """
    lines = [cue for cue in cues if cue.text.strip()]
    if lines:
        per_passage = -(-len(lines) // MAX_VIDEO_QUERIES)
        return tuple(_passage(lines[i:i + per_passage]) for i in range(0, len(lines), per_passage))
    named = [caption for caption in captions if caption.text not in (UNNAMED, BLANK)]
    if not named:
        return ()
    indices = np.unique(np.linspace(0, len(named) - 1, min(len(named), MAX_VIDEO_QUERIES)).round().astype(int))
    return tuple(Query(named[i].text, CAPTIONS, float(named[i].start_s), float(named[i].end_s)) for i in indices)


def embed_texts(encoders: Encoders, texts: Sequence[str]) -> np.ndarray:
    """Return the sentence embeddings (N, D) of texts in sorted order.

    A model sums over its queries, and sums round differently in another order. Sorting makes the result
    independent of the order of the texts.
    """
    return np.stack([feature.pooler_output for feature in encoders.text.encode(sorted(texts))])


@dataclass(frozen=True)
class EmbeddedQueries:
    """Queries with their sentence embeddings.

    Attributes:
        queries: N queries.
        distinct_rows: (M, D) embeddings of the distinct texts in sorted order; (0, 0) without queries.
        rows: (N, D) embeddings, one row per query; (0, 0) without queries.
    """

    queries: tuple[Query, ...]
    distinct_rows: np.ndarray
    rows: np.ndarray


def embed_queries(encoders: Encoders, queries: Sequence[Query]) -> EmbeddedQueries:
    """Embed queries; each distinct text is encoded once."""
    if not queries:
        return EmbeddedQueries((), np.empty((0, 0)), np.empty((0, 0)))
    texts = sorted({query.text for query in queries})
    rows = embed_texts(encoders, texts)
    return EmbeddedQueries(tuple(queries), rows, rows[[texts.index(query.text) for query in queries]])


def _passage(lines: Sequence[Cue]) -> Query:
    """Join subtitles into one query, from the first start to the last end."""
    return Query(" ".join(line.text.strip() for line in lines), SUBTITLES, min(line.start_s for line in lines),
                 max(line.end_s for line in lines))
