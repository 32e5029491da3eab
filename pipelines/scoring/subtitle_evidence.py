"""Evidence from subtitles: lines that are similar to a query, and lines that represent the complete text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.progress import ReportProgress
from models.encoders.base import TextEncoder, normalize_rows
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.cues import Cue, has_visible_text

from .evidence import Evidence
from .queries import SUBTITLES, EmbeddedQueries, Query
from .relevance import map_rows

MIN_RANGE = 1e-6              # Smaller differences in centrality are rounding errors.
MAX_BASELINE = 0.9            # This keeps a scale for queries that almost equal an unrelated sentence.
CACHED_VIDEOS = 2             # Videos whose embedded subtitles are kept for further queries; 31 MB each, at most.
UNRELATED_SENTENCES = (       # Everyday sentences whose similarity to a query is its zero point.
    "Good morning, how are you?", "It will cost about twenty dollars.", "Yes, of course.",
    "I think we should wait until Tuesday.", "She wrote a long letter to the bank.",
    "The train leaves from platform nine.", "Nobody told me about the new rules.",
    "Let us talk about something else.",
)


class SubtitleEvidence(Evidence):
    """Evidence from subtitles, compared with queries by sentence embeddings.

    The embeddings of the subtitles of the latest videos are kept, so that only the first query waits for them.

    Args:
        text_encoder: encodes queries and subtitles.
    """

    def __init__(self, text_encoder: TextEncoder):
        self.text_encoder = text_encoder
        self._embedded: dict[tuple[str, ...], np.ndarray] = {}   # The texts of a video's subtitles -> (C, D).

    def match(self, video: EncodedVideo, texts: Sequence[str], cues: Sequence[Cue],
              report_progress: ReportProgress = None) -> np.ndarray | None:
        """See `Evidence.match`; None without cues, zeros if all cues are empty."""
        if not cues:
            return None
        cues = [cue for cue in cues if has_visible_text(cue.text)]
        if not cues:
            return np.zeros((len(texts), video.n_clips))
        queries, unrelated = np.split(self.text_encoder.embed([*texts, *UNRELATED_SENTENCES]), [len(texts)])
        lines = self._embed_lines(tuple(cue.text for cue in cues), report_progress)
        return max_over_cues(cue_similarity(queries, lines, unrelated), cues, video.float_edges_s)

    def _embed_lines(self, lines: tuple[str, ...], report_progress: ReportProgress) -> np.ndarray:
        rows = self._embedded.get(lines)
        if rows is None:
            rows = self.text_encoder.embed(lines, report_progress)
            # A new dictionary, because another thread may be reading the old one.
            self._embedded = dict([*self._embedded.items(), (lines, rows)][-CACHED_VIDEOS:])
        return rows

    def centrality(self, video: EncodedVideo, queries: EmbeddedQueries) -> np.ndarray | None:
        """See `Evidence.centrality`; None unless the queries are subtitles."""
        if not queries.queries or queries.queries[0].source != SUBTITLES:
            return None
        return centrality(queries.rows, queries.queries, video.float_edges_s)


def cue_similarity(queries: np.ndarray, lines: np.ndarray, unrelated: np.ndarray) -> np.ndarray:
    """Return the calibrated similarity of subtitles to queries.

    The cosine similarity of unrelated texts differs between text encoders. The scale therefore starts, for each
    query, at its highest cosine similarity to a set of unrelated sentences.

    Args:
        queries: (Q, D) embeddings, none of zero norm.
        lines: (C, D), likewise.
        unrelated: (U, D), likewise.

    Returns:
        (Q, C) in [0, 1]: 0 if a line is no more similar than an unrelated sentence, 1 if it is the same.
    """
    queries, lines, unrelated = normalize_rows(queries), normalize_rows(lines), normalize_rows(unrelated)
    baseline = map_rows(lambda row: row @ unrelated.T, queries).max(axis=1, keepdims=True).clip(0, MAX_BASELINE)
    return ((map_rows(lambda row: row @ lines.T, queries) - baseline) / (1 - baseline)).clip(0, 1)


def max_over_cues(similarity: np.ndarray, cues: Sequence[Cue], edges_s: np.ndarray) -> np.ndarray:
    """Assign to each clip the maximum over the subtitles that overlap it.

    Args:
        similarity: (Q, C), one column per cue.
        cues: C subtitles.
        edges_s: (T + 1,) clip boundaries; clip i is [edges_s[i], edges_s[i + 1]).

    Returns:
        (Q, T); 0 where no subtitle overlaps the clip.
    """
    by_clip = np.zeros((len(similarity), len(edges_s) - 1))
    for column, cue in enumerate(cues):
        inside = (edges_s[:-1] < cue.end_s) & (edges_s[1:] > cue.start_s)
        by_clip[:, inside] = np.maximum(by_clip[:, inside], similarity[:, column:column + 1])
    return by_clip


def centrality(rows: np.ndarray, queries: Sequence[Query], edges_s: np.ndarray) -> np.ndarray:
    """Return the centroid-based centrality of the sentences spoken in each clip (Radev et al., 2004).

    Args:
        rows: (N, D) sentence embeddings.
        queries: N sentences with times.
        edges_s: (T + 1,) clip boundaries; clip i is [edges_s[i], edges_s[i + 1]).

    Returns:
        (T,) in [0, 1]: the cosine similarity between a sentence and the mean sentence, scaled so that the closest
        sentence has 1; 0 where no sentence is spoken, and everywhere if all sentences are equal.
    """
    unit = normalize_rows(np.asarray(rows, dtype=np.float64))
    similarity = unit @ unit.mean(axis=0)
    low, high = similarity.min(), similarity.max()
    if high - low < MIN_RANGE:
        return np.zeros(len(edges_s) - 1)
    cues = []
    for query in queries:
        assert query.start_s is not None and query.end_s is not None   # Only users' queries have no time.
        cues.append(Cue(query.start_s, query.end_s, query.text))
    return max_over_cues((similarity - low)[None] / (high - low), cues, edges_s)[0]
