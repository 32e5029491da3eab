"""Queries for scoring a video: those of the user, or if there are none, sentences from its subtitles or captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.progress import ReportProgress
from models.encoders import Encoders
from pipelines.media.cues import Cue, has_visible_text

from .captions import BLANK, UNNAMED, Caption

USER, SUBTITLES, CAPTIONS = "asked", "subtitles", "captions"   # Values of `source` in summary.json.
MAX_VIDEO_QUERIES = 48   # More subtitles are joined, and more captions are subsampled.


@dataclass(frozen=True)
class Query:
    """A sentence by which a video is scored.

    Attributes:
        text: the sentence.
        source: `USER`, `SUBTITLES` or `CAPTIONS`.
        start_s: start of the subtitle or of the captioned shot, in seconds; None for a query of the user.
        end_s: end of the subtitle or of the captioned shot, in seconds, exclusive; None for a query of the user.
    """

    text: str
    source: str
    start_s: float | None = None
    end_s: float | None = None

    def to_json(self) -> dict[str, str | float | None]:
        """Return the entry of this query in `sentences` of summary.json, with times in seconds."""
        start, end = (None if t is None else round(t, 3) for t in (self.start_s, self.end_s))
        return dict(text=self.text, source=self.source, start=start, end=end)


def user_queries(texts: str | Sequence[str]) -> tuple[Query, ...]:
    """Return the sentences of a user, or a single one, as queries."""
    return tuple(Query(text, USER) for text in ([texts] if isinstance(texts, str) else texts))


def video_queries(cues: Sequence[Cue], captions: Sequence[Caption]) -> tuple[Query, ...]:
    """Return at most 48 queries that describe a video: its subtitles, or its captions if it has no subtitles.

    Additional subtitles are joined with their neighbors, so that no text is lost. Additional captions are dropped at
    even spacing, because captions often repeat each other. Captions that describe nothing are skipped.
    """
    cues = [cue for cue in cues if has_visible_text(cue.text)]
    if cues:
        per_passage = -(-len(cues) // MAX_VIDEO_QUERIES)
        return tuple(_join_cues(cues[i:i + per_passage]) for i in range(0, len(cues), per_passage))
    captions = [caption for caption in captions if caption.text not in (UNNAMED, BLANK)]
    if not captions:
        return ()
    indices = np.unique(np.linspace(0, len(captions) - 1, min(len(captions), MAX_VIDEO_QUERIES)).round().astype(int))
    selected = [captions[i] for i in indices]
    return tuple(Query(caption.text, CAPTIONS, float(caption.start_s), float(caption.end_s)) for caption in selected)


def embed_texts(encoders: Encoders, texts: str | Sequence[str],
                report_progress: ReportProgress = None) -> np.ndarray:
    """Sort texts, and return their sentence embeddings (N, D); a single string counts as one text.

    Models sum over the queries, and the rounding of a floating-point sum depends on the order of its terms. Sorting
    makes the scores independent of the order in which the texts are given.
    """
    return encoders.text.embed([texts] if isinstance(texts, str) else sorted(texts), report_progress)


@dataclass(frozen=True)
class EmbeddedQueries:
    """Queries with their sentence embeddings.

    Attributes:
        queries: the N queries.
        distinct_rows: (M, D) embeddings of the distinct texts in sorted order; (0, 0) without queries.
        rows: (N, D) embeddings, one row per query; (0, 0) without queries.
    """

    queries: tuple[Query, ...]
    distinct_rows: np.ndarray
    rows: np.ndarray


def embed_queries(encoders: Encoders, queries: Sequence[Query],
                  report_progress: ReportProgress = None) -> EmbeddedQueries:
    """Embed queries, encoding each distinct text only once."""
    if not queries:
        return EmbeddedQueries((), np.empty((0, 0)), np.empty((0, 0)))
    texts = sorted({query.text for query in queries})
    rows = embed_texts(encoders, texts, report_progress)
    return EmbeddedQueries(tuple(queries), rows, rows[[texts.index(query.text) for query in queries]])


def _join_cues(cues: Sequence[Cue]) -> Query:
    """Join subtitles into one query, which lasts from the first start to the last end."""
    return Query(" ".join(cue.text.strip() for cue in cues), SUBTITLES, min(cue.start_s for cue in cues),
                 max(cue.end_s for cue in cues))
