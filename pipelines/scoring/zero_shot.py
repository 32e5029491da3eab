"""Score clips by the similarity of their visual features to queries, without training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.progress import ReportProgress
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue

from .evidence import combined_match
from .novelty import has_variation
from .queries import Query, user_queries
from .relevance import map_rows, query_scores
from .scorers import ZERO_SHOT, Provenance, Scorer, Scores


class ZeroShotScorer(Scorer):
    """A scorer by cosine similarity in the shared space of the visual and the text encoder, plus evidence."""

    requires_text = True

    def score_by_text(self, video: EncodedVideo, texts: Sequence[str], cues: Sequence[Cue],
                      report_progress: ReportProgress = None) -> Scores:
        """See `Scorer.score_by_text`."""
        evidence = combined_match(self.evidence, video, texts, cues, report_progress)
        rows = self.encoders.text.embed(texts)
        curves = query_scores(self.similarity(video, rows), evidence, self.options.sigma_clips)
        moments = [self.moments_in(video, curve, text) for curve, text in zip(curves, texts, strict=True)]
        return Scores(curves.max(axis=0), curves, self.ranked_moments(moments), user_queries(texts),
                      Provenance(ZERO_SHOT))

    def score_without_text(self, video: EncodedVideo, queries: Sequence[Query],
                           report_progress: ReportProgress = None) -> Scores:
        """Raise an error, because there is nothing to compare the clips with."""
        raise NotImplementedError("a zero-shot scorer requires a query; combine it with another one by BlendedScorer")

    def similarity(self, video: EncodedVideo, queries: np.ndarray) -> np.ndarray:
        """Return the similarity (T, Q) of all clips to query embeddings (Q, D).

        All zero for a constant video, whose differences are noise.
        """
        shared = video.visual[self.encoders.visual.shared_part]
        if not has_variation(shared):
            return np.zeros((len(shared), len(queries)))
        return map_rows(lambda query: self.encoders.visual.similarity(shared, query).T, queries).T
