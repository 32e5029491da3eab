"""Combine a scorer that requires a query with one that needs none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from common.progress import ReportProgress
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue

from .queries import Query
from .scorers import Scorer, Scores

RELEVANCE_WEIGHT = 0.8   # Share of query relevance in the score of a clip; the rest is importance.


class BlendedScorer(Scorer):
    """A scorer that blends query relevance with a query-independent prior; without a query, it uses only the prior.

    Args:
        relevance: scores by queries.
        prior: scores without a query.
        relevance_weight: share of `relevance` in the score of a clip, in (0, 1]. Curves and moments of the queries
            are those of `relevance`.
    """

    def __init__(self, relevance: Scorer, prior: Scorer, relevance_weight: float = RELEVANCE_WEIGHT):
        super().__init__(relevance.encoders, relevance.evidence, relevance.options)
        self.relevance, self.prior, self.relevance_weight = relevance, prior, relevance_weight

    def score_by_text(self, video: EncodedVideo, texts: Sequence[str], cues: Sequence[Cue],
                      report_progress: ReportProgress = None) -> Scores:
        """See `Scorer.score_by_text`."""
        scores = self.relevance.score_by_text(video, texts, cues, report_progress)
        if self.relevance_weight == 1:
            return scores
        prior = self.prior.score_without_text(video, ())
        clips = self.relevance_weight * scores.clips + (1 - self.relevance_weight) * prior.clips
        provenance = replace(scores.provenance, blended_with=prior.provenance.method,
                             uses_audio=scores.provenance.uses_audio or prior.provenance.uses_audio)
        return replace(scores, clips=clips, provenance=provenance)

    def score_without_text(self, video: EncodedVideo, queries: Sequence[Query],
                           report_progress: ReportProgress = None) -> Scores:
        """See `Scorer.score_without_text`."""
        return self.prior.score_without_text(video, queries, report_progress)
