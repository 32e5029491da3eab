"""The interface of scorers, which score the clips of a video and find its moments.

A summarizer holds one scorer. `ZeroShotScorer`, `SlidingWindowScorer` and `CLIPItScorer` score by queries;
`NoveltyScorer` and `ImportanceScorer` need no query; `BlendedScorer` combines one of each kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import InputError
from common.progress import ReportProgress
from models.encoders import Encoders
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue

from .curves import SIGMA_CLIPS
from .evidence import Evidence
from .moments import MAX_IOU, MAX_MOMENTS, Moment, moments_in_curve, rank_moments, suppress_overlaps
from .queries import USER, Query
from .subtitle_evidence import SubtitleEvidence

# Values of `Provenance.method` if no trained model is given.
ZERO_SHOT = "zero-shot similarity"
NOVELTY = "visual novelty"
IMPORTANCE = "CLIP-It trained on TVSum"


@dataclass(frozen=True)
class ScoringOptions:
    """Options of all scorers.

    Attributes:
        sigma_clips: standard deviation, in clips, of the smoothing of zero-shot scores and novelty.
        max_iou: maximum overlap of two moments; if two moments overlap more, only the better one is kept.
        max_moments: maximum number of moments per query.
    """

    sigma_clips: float = SIGMA_CLIPS
    max_iou: float = MAX_IOU
    max_moments: int = MAX_MOMENTS


DEFAULT_OPTIONS = ScoringOptions()


@dataclass(frozen=True)
class Provenance:
    """The origin of scores, for reports.

    Attributes:
        method: name of the scoring method, or type of the trained model.
        uses_audio: True if audio features influenced the scores.
        blended_with: query-independent method that contributed to the scores; None if there is none.
    """

    method: str
    uses_audio: bool = False
    blended_with: str | None = None


@dataclass(frozen=True)
class Scores:
    """Scores and moments of a video of T clips.

    Attributes:
        clips: (T,) scores of the clips in [0, 1].
        curves: (Q, T) scores of the clips in [0, 1] for each query of the user; (0, T) if there is none.
        moments: moments by descending score.
        queries: the queries that influenced the scores.
        provenance: the origin of the scores.
    """

    clips: np.ndarray
    curves: np.ndarray
    moments: list[Moment]
    queries: tuple[Query, ...]
    provenance: Provenance


class Scorer(ABC):
    """A scorer of the clips and moments of a video, with or without queries.

    Args:
        encoders: the encoders of the videos to score.
        evidence: additional evidence for the queries; None for the subtitles.
        options: options of smoothing and of moment selection.

    Attributes:
        accepts_text: True if the user may give queries.
        requires_text: True if the user must give a query.
    """

    accepts_text = True
    requires_text = False

    def __init__(self, encoders: Encoders, evidence: Sequence[Evidence] | None = None,
                 options: ScoringOptions = DEFAULT_OPTIONS):
        self.encoders, self.options = encoders, options
        self.evidence = (SubtitleEvidence(encoders.text),) if evidence is None else tuple(evidence)

    def score(self, video: EncodedVideo, queries: Sequence[Query], cues: Sequence[Cue] = (),
              report_progress: ReportProgress = None) -> Scores:
        """Score all clips and find the moments.

        Args:
            video: a video encoded with `encoders`.
            queries: the user's queries, or if there are none, the result of `queries.video_queries`.
            cues: subtitles of the video.
            report_progress: called with the finished share, from 0 to 1, while the text of the video is embedded.

        Raises:
            InputError: the user gave queries, but this scorer accepts none; or gave none, but it requires one.
        """
        texts = user_texts(queries)
        self.check_queries(texts)
        if texts:
            return self.score_by_text(video, texts, cues, report_progress)
        return self.score_without_text(video, queries, report_progress)

    def check_queries(self, texts: Sequence[str]) -> None:
        """Check that this scorer accepts queries if the user gave any, and requires none otherwise; see `score`."""
        if texts and not self.accepts_text:
            raise InputError(None, "this model was trained without text and accepts no queries",
                             "leave the queries out")
        if not texts and self.requires_text:
            raise InputError(None, "this model requires a query, but none is given",
                             "give a query, or leave out config and checkpoint to summarize without a query")

    @abstractmethod
    def score_by_text(self, video: EncodedVideo, texts: Sequence[str], cues: Sequence[Cue],
                      report_progress: ReportProgress = None) -> Scores:
        """Score a video by the user's queries; called only if `accepts_text`."""

    @abstractmethod
    def score_without_text(self, video: EncodedVideo, queries: Sequence[Query],
                           report_progress: ReportProgress = None) -> Scores:
        """Score a video without queries of the user; not called if `requires_text`.

        Args:
            video: the encoded video.
            queries: the result of `queries.video_queries`; may be empty.
            report_progress: see `score`.
        """

    def moments_in(self, video: EncodedVideo, curve: np.ndarray, text: str = "") -> list[Moment]:
        """Return the moments of a score curve (T,)."""
        return moments_in_curve(curve, video.float_edges_s, text, self.options.max_moments)

    def best_moments(self, moments: Sequence[Moment]) -> list[Moment]:
        """Return the best moments of one query, without overlapping ones, by descending score."""
        return suppress_overlaps(moments, self.options.max_iou, self.options.max_moments)

    def ranked_moments(self, by_query: Sequence[Sequence[Moment]]) -> list[Moment]:
        """Return the best moments of all queries, without overlapping ones, by descending score."""
        return rank_moments(by_query, self.options.max_iou, self.options.max_moments)


def user_texts(queries: Sequence[Query]) -> tuple[str, ...]:
    """Return the texts of the user's queries."""
    return tuple(query.text for query in queries if query.source == USER)


def main_features(video: EncodedVideo, encoders: Encoders) -> np.ndarray:
    """Return the first part (T, D) of the visual features, which describes the appearance of a clip."""
    return video.visual[next(iter(encoders.visual.parts))]


def no_curves(video: EncodedVideo) -> np.ndarray:
    """Return the empty array of curves (0, T) of a video that is scored without a query."""
    return np.empty((0, video.n_clips))
