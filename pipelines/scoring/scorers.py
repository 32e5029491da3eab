"""The interface of scorers: objects that score the clips of a video and find its moments.

A summarizer holds one scorer. `ZeroShotScorer`, `SlidingWindowScorer` and `CLIPItScorer` score by queries;
`NoveltyScorer` and `ImportanceScorer` need no query; `BlendedScorer` combines one of each kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import InputError
from models.encoders import Encoders
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue

from .curves import SIGMA_CLIPS
from .evidence import Evidence
from .moments import MAX_IOU, MAX_MOMENTS, Moment, moments_in_curve, rank_moments, suppress_overlaps
from .queries import USER, Query
from .subtitle_evidence import SubtitleEvidence

ZERO_SHOT = "zero-shot similarity"       # Values of `Provenance.method` without a model of the user.
NOVELTY = "visual novelty"
IMPORTANCE = "CLIP-It trained on TVSum"


@dataclass(frozen=True)
class ScoringOptions:
    """Options of all scorers.

    Attributes:
        sigma_clips: standard deviation, in clips, of the smoothing of zero-shot scores and novelty.
        max_iou: of two moments with a higher overlap, only the better one is kept.
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
        method: the method or the type of the model.
        uses_audio: True if the audio features influenced the scores.
        blended_with: the query-independent method that contributed a part of the scores; None if none did.
    """

    method: str
    uses_audio: bool = False
    blended_with: str | None = None


@dataclass(frozen=True)
class Scores:
    """Scores and moments of a video of T clips.

    Attributes:
        clips: (T,) in [0, 1], the score of each clip.
        curves: (Q, T) in [0, 1], the scores for each of the user's queries; (0, T) without any.
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
    """Scores the clips of a video, by queries or without.

    Args:
        encoders: the encoders of the videos to score.
        evidence: sources of text that support queries; None for subtitles.
        options: smoothing, and limits on moments.

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

    def score(self, video: EncodedVideo, queries: Sequence[Query], cues: Sequence[Cue] = ()) -> Scores:
        """Score all clips and find the moments.

        Args:
            video: a video that `encoders` encoded.
            queries: the user's queries, or else sentences from the video itself; see `queries.video_queries`.
            cues: subtitles of the video.

        Raises:
            InputError: the user gave queries and this scorer accepts none, or gave none and it requires one.
        """
        texts = user_texts(queries)
        self.check_queries(texts)
        if texts:
            return self.score_by_text(video, texts, cues)
        return self.score_without_text(video, queries)

    def check_queries(self, texts: Sequence[str]) -> None:
        """Check that this scorer accepts the user's queries, or their absence; see `score`."""
        if texts and not self.accepts_text:
            raise InputError(None, "this model was trained without text and accepts no queries",
                             "leave the sentences out")
        if not texts and self.requires_text:
            raise InputError(None, "this model scores a video by a query, and none is given",
                             "give a sentence, or leave out config and checkpoint for a summary without a query")

    @abstractmethod
    def score_by_text(self, video: EncodedVideo, texts: Sequence[str], cues: Sequence[Cue]) -> Scores:
        """Score a video by the user's queries; called only if `accepts_text`."""

    @abstractmethod
    def score_without_text(self, video: EncodedVideo, queries: Sequence[Query]) -> Scores:
        """Score a video by itself; called only unless `requires_text`.

        Args:
            video: the encoded video.
            queries: sentences from the video itself; may be empty.
        """

    def moments_in(self, video: EncodedVideo, curve: np.ndarray, text: str = "") -> list[Moment]:
        """Return the moments of a curve (T,)."""
        return moments_in_curve(curve, video.float_edges_s, text, self.options.max_moments)

    def best_moments(self, moments: Sequence[Moment]) -> list[Moment]:
        """Return the moments of one query without overlaps, by descending score."""
        return suppress_overlaps(moments, self.options.max_iou, self.options.max_moments)

    def ranked_moments(self, by_query: Sequence[Sequence[Moment]]) -> list[Moment]:
        """Return the moments of all queries without overlaps, by descending score."""
        return rank_moments(by_query, self.options.max_iou, self.options.max_moments)


def user_texts(queries: Sequence[Query]) -> tuple[str, ...]:
    """Return the texts of the user's queries."""
    return tuple(query.text for query in queries if query.source == USER)


def main_features(video: EncodedVideo, encoders: Encoders) -> np.ndarray:
    """Return the first part (T, D) of the visual features, which describes the appearance of a clip."""
    return video.visual[next(iter(encoders.visual.parts))]


def no_curves(video: EncodedVideo) -> np.ndarray:
    """Return an array (0, T): the curves of a video that is scored without a query."""
    return np.empty((0, video.n_clips))
