"""Select what a cut keeps of a scored video: shots within a budget, complete moments, or the best short pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from common.temporal import Interval
from models.encoders.base import normalize_rows
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue
from pipelines.options import ShortsOptions
from pipelines.scoring.moments import Moment
from pipelines.shots.segmentation import change_points, refine_shots, shots_from_change_points

from .knapsack import clip_weights, select_moments, select_shots
from .shorts import refine_shorts, select_pieces

MIN_RELATIVE_SCORE = 0.5           # Moments with less than this share of the score of their query's best are ignored.
MIN_SHOTS_IN_BUDGET = 3            # A shot takes at most one third of the budget, so that a summary has several shots.
CHANGE_POINT_LIMITS = (120, 300)   # Bounds of the number of change points; between them it is one per 15 clips.
CLIPS_PER_CHANGE_POINT = 15


@dataclass(frozen=True)
class Selection:
    """The parts of a video that a cut keeps.

    Attributes:
        shots: (S, 2) clips, first and last inclusive, without gaps.
        selected: ascending indices of the selected shots.
        pieces_s: the exact intervals to keep if they differ from the selected shots, ascending and disjoint; else None.
    """

    shots: np.ndarray
    selected: np.ndarray
    pieces_s: list[Interval] | None = None


class Selector:
    """A selector of the parts of a scored video.

    Moments that a gap in the video's time stamps covers completely show a frozen frame and are never selected.

    Args:
        video: the scored video.
        rows: (T, C) visual features of its clips, which determine the shots.
        scores: (T,) in [0, 1].
        moments: moments in descending order of score.
        max_shot_s: the maximum duration of a shot, which is selected as a unit.
    """

    def __init__(self, video: EncodedVideo, rows: np.ndarray, scores: np.ndarray, moments: Sequence[Moment],
                 max_shot_s: float):
        frozen = video.gap_clips
        self.video, self.scores, self.max_shot_s = video, np.where(frozen, 0.0, scores), max_shot_s
        self.edges_s = video.edges_s
        best: dict[str, Moment] = {}
        for moment in moments:
            best.setdefault(moment.text, moment)   # The first moment of a query has the highest score.
        self.candidates = [m for m in moments if m.score >= MIN_RELATIVE_SCORE * best[m.text].score
                           and not (frozen.any() and self._is_inside(frozen, m))]
        self.is_best = [m is best[m.text] for m in self.candidates]
        self.shots = visual_shots(video, rows)

    def summary(self, share: Fraction) -> Selection:
        """Select shots within a budget.

        Shots are split where the moments of the queries start and end, and so that none exceeds a third of the budget.
        """
        queried = [i for i, moment in enumerate(self.candidates) if moment.text]
        spans = [self._span(self.candidates[i]) for i in queried]
        limits_s: list[float | Fraction] = [self.max_shot_s, share * self.edges_s[-1] / MIN_SHOTS_IN_BUDGET]
        shots = self._split_shots(spans, max(1, int(min(limits_s) / self.video.clip_len_s)))
        weights = clip_weights(self.scores, shots, spans, [self.is_best[i] for i in queried])
        return Selection(shots, select_shots(shots, weights, self.edges_s, share))

    def moments(self, share: Fraction) -> Selection:
        """Select complete moments within a budget, the best first; select shots if there are no moments."""
        spans = select_moments([self._span(m) for m in self.candidates], self.scores, self.edges_s, share)
        if not spans:
            return self.summary(share)
        shots = self._split_shots(spans, len(self.scores))
        inside = [any(first <= a and b <= last for first, last in spans) for a, b in shots]
        return Selection(shots, np.flatnonzero(inside))

    def shorts(self, options: ShortsOptions, cues: Sequence[Cue]) -> Selection:
        """Select the best pieces of a given length, which start at shot boundaries and do not cut off words.

        Args:
            options: number and length of the pieces.
            cues: the video's subtitles, if any.
        """
        spans = [self._span(m) for m in self.candidates]
        weights = clip_weights(self.scores, self.shots, spans, self.is_best)
        pieces = select_pieces(self.shots, weights, self.edges_s, options)
        best_first = sorted(pieces, key=lambda piece: -self.scores[piece[0]:piece[1] + 1].mean())
        pieces_s = [(self.edges_s[a], self.edges_s[b + 1]) for a, b in best_first]
        if options.refine:
            pieces_s = refine_shorts(self.video.info, pieces_s, options, cues, self.video.clip_len_s)
        shots = self._split_shots(pieces, len(self.scores))
        inside = [any(first <= a and b <= last for first, last in pieces) for a, b in shots]
        return Selection(shots, np.flatnonzero(inside), sorted(pieces_s))

    def _span(self, moment: Moment) -> tuple[int, int]:
        """Return the first and last clip that a moment touches."""
        edges_s = self.video.float_edges_s
        return (int(np.searchsorted(edges_s, moment.start_s, side="right")) - 1,
                int(np.searchsorted(edges_s, moment.end_s, side="left")) - 1)

    def _is_inside(self, mask: np.ndarray, moment: Moment) -> bool:
        """Return True if the mask (T,) is True for all clips of a moment."""
        first, last = self._span(moment)
        return bool(mask[first:last + 1].all())

    def _split_shots(self, spans: Sequence[tuple[int, int]], max_len: int) -> np.ndarray:
        """Return the shots, split where a span starts or ends, and into at most `max_len` clips."""
        return refine_shots(self.shots, [edge for first, last in spans for edge in (first, last + 1)], max_len)


def visual_shots(video: EncodedVideo, rows: np.ndarray) -> np.ndarray:
    """Return the shots (S, 2) of clips, first and last inclusive, by visual features (T, C), independent of queries."""
    return shots_from_change_points(video.cached(_find_change_points, rows), len(rows))   # All queries share them.


def _find_change_points(rows: np.ndarray) -> np.ndarray:
    """Return the change points of visual features (T, C)."""
    fewest, most = CHANGE_POINT_LIMITS
    limit = min(most, max(fewest, len(rows) // CLIPS_PER_CHANGE_POINT))
    return change_points(normalize_rows(rows), max_change_points=limit)
