"""Score clips without a query: by novelty, or by their importance to people."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch.nn as nn

from common.progress import ReportProgress
from models.encoders import Encoders
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue

from .clip_it import run_clip_it
from .evidence import Evidence
from .importance import domain_familiarity
from .novelty import novelty
from .queries import CAPTIONS, EmbeddedQueries, Query, embed_queries
from .scorers import (
    DEFAULT_OPTIONS,
    IMPORTANCE,
    NOVELTY,
    Provenance,
    Scorer,
    Scores,
    ScoringOptions,
    main_features,
    no_curves,
)

CENTRALITY_WEIGHT = 0.1   # Share of the centrality of the subtitles in the score of a clip.


class QueryFreeScorer(Scorer):
    """The base of scorers that accept no query.

    The score is 90 % a query-independent curve and 10 % the centrality of the text in the video, if there is any.
    """

    accepts_text = False

    def score_by_text(self, video: EncodedVideo, texts: Sequence[str], cues: Sequence[Cue],
                      report_progress: ReportProgress = None) -> Scores:
        """Raise an error, because this scorer accepts no query."""
        raise NotImplementedError("this scorer accepts no query; combine it with another one by BlendedScorer")

    def score_without_text(self, video: EncodedVideo, queries: Sequence[Query],
                           report_progress: ReportProgress = None) -> Scores:
        """See `Scorer.score_without_text`."""
        used = embed_queries(self.encoders, self.used_queries(video, queries), report_progress)
        curve, provenance = self.base_curve(video, used)
        for source in self.evidence:
            centrality = source.centrality(video, used)
            if centrality is not None:
                curve = (1 - CENTRALITY_WEIGHT) * curve + CENTRALITY_WEIGHT * centrality
        moments = self.best_moments(self.moments_in(video, curve))
        return Scores(curve, no_curves(video), moments, used.queries, provenance)

    @abstractmethod
    def base_curve(self, video: EncodedVideo, queries: EmbeddedQueries) -> tuple[np.ndarray, Provenance]:
        """Return the query-independent score (T,) in [0, 1] of each clip, and its origin."""

    def used_queries(self, video: EncodedVideo, queries: Sequence[Query]) -> Sequence[Query]:
        """Return those sentences from the video that influence the scores."""
        return queries


class NoveltyScorer(QueryFreeScorer):
    """A scorer by the distance of the visual and audio features of a clip from the rest of the video."""

    def base_curve(self, video: EncodedVideo, queries: EmbeddedQueries) -> tuple[np.ndarray, Provenance]:
        """See `QueryFreeScorer.base_curve`."""
        curve = novelty(main_features(video, self.encoders), video.audio, video.blank_clips, self.options.sigma_clips)
        return curve, Provenance(NOVELTY, uses_audio=video.audio is not None)

    def used_queries(self, video: EncodedVideo, queries: Sequence[Query]) -> Sequence[Query]:
        """Skip captions, because they describe the visual features, which novelty uses directly."""
        return [query for query in queries if query.source != CAPTIONS]


class ImportanceScorer(QueryFreeScorer):
    """A scorer by predicted importance, and by novelty the more a video differs from the training set.

    Args:
        model: an importance model, see `importance.load_importance_model`.
        encoders: the encoders that the model was trained with.
        evidence: additional evidence for the queries; None for the subtitles.
        options: options of smoothing and of moment selection.
    """

    def __init__(self, model: nn.Module, encoders: Encoders, evidence: Sequence[Evidence] | None = None,
                 options: ScoringOptions = DEFAULT_OPTIONS):
        super().__init__(encoders, evidence, options)
        self.model = model
        self.novelty = NoveltyScorer(encoders, evidence, options)

    def base_curve(self, video: EncodedVideo, queries: EmbeddedQueries) -> tuple[np.ndarray, Provenance]:
        """See `QueryFreeScorer.base_curve`; blank clips have no importance."""
        weight = self._model_weight(video)
        if weight == 0:
            return self.novelty.base_curve(video, queries)
        curve, provenance = np.zeros(video.n_clips), Provenance(IMPORTANCE)
        if weight < 1:
            other, origin = self.novelty.base_curve(video, queries)
            curve += (1 - weight) * other
            provenance = Provenance(f"{IMPORTANCE} + {origin.method}", origin.uses_audio)
        scores = run_clip_it(self.model, video, self.encoders, queries.distinct_rows)
        curve += weight * np.where(video.blank_clips, 0, scores)
        return curve, provenance

    def used_queries(self, video: EncodedVideo, queries: Sequence[Query]) -> Sequence[Query]:
        """Use the queries that novelty uses if importance has no weight."""
        return queries if self._model_weight(video) > 0 else self.novelty.used_queries(video, queries)

    def _model_weight(self, video: EncodedVideo) -> float:
        return domain_familiarity(main_features(video, self.encoders))
