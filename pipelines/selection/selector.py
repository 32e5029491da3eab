"""What a cut keeps of a scored video: shots under a budget, whole moments, or the best short pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from common.temporal import Interval
from models.encoders.base import normalize_rows
from pipelines.features.encode import EncodedVideo
from pipelines.media.subtitles import Cue
from pipelines.options import Shorts
from pipelines.scoring.moments import Moment
from pipelines.shots.segmentation import change_points, refine_shots, shots_from_change_points

from .knapsack import clip_weights, select_moments, select_shots
from .shorts import refine_shorts, select_pieces


@dataclass(frozen=True)
class Selection:
    """What was chosen.

    Attributes:
        shots: (S, 2) clips, first and last inclusive, without gaps.
        selected: ascending indices of the shots that the cut keeps, mostly.
        pieces_s: what it keeps exactly, ascending and apart; None for just the selected shots.
    """

    shots: np.ndarray
    selected: np.ndarray
    pieces_s: list[Interval] | None = None


class Selector:
    """A scored video, ready to be chosen from.

    Args:
        video: what was scored.
        rows: (T, C) features of its clips, by which it falls into shots.
        scores: (T,) in [0, 1].
        moments: by falling score.
        max_shot_s: the longest piece that the cut takes or leaves as one.
    """

    def __init__(self, video: EncodedVideo, rows: np.ndarray, scores: np.ndarray, moments: Sequence[Moment],
                 max_shot_s: float):
        frozen = video.in_holes()
        self.video, self.scores, self.max_shot_s = video, np.where(frozen, 0.0, scores), max_shot_s
        self.edges_s = video.edges_s
        best: dict[str, Moment] = {}
        for moment in moments:
            best.setdefault(moment.text, moment)   # they come by falling score
        self.good = [m for m in moments if m.score >= best[m.text].score / 2
                     and not (frozen.any() and self._all_in(frozen, m))]   # a moment that stands still is none
        self.favoured = [m is best[m.text] for m in self.good]
        self.shots = visual_shots(video, rows)

    def summary(self, share: Fraction) -> Selection:
        """Shots within a budget, which begin and end where the asked moments do, too, and are at most a third of it."""
        asked = [i for i, moment in enumerate(self.good) if moment.text]
        spans = [self._span(self.good[i]) for i in asked]
        longest_s = min(self.max_shot_s, share * self.edges_s[-1] / 3)
        shots = self._refined(spans, max(1, int(longest_s / self.video.clip_len_s)))
        weights = clip_weights(self.scores, shots, spans, [self.favoured[i] for i in asked])
        return Selection(shots, select_shots(shots, weights, self.edges_s, share))

    def moments(self, share: Fraction) -> Selection:
        """Whole moments within a budget, the best first; shots where there is none."""
        spans = select_moments([self._span(m) for m in self.good], self.scores, self.edges_s, share)
        if not spans:
            return self.summary(share)
        shots = self._refined(spans, len(self.scores))
        inside = [any(first <= a and b <= last for first, last in spans) for a, b in shots]
        return Selection(shots, np.flatnonzero(inside))

    def shorts(self, wish: Shorts, cues: Sequence[Cue]) -> Selection:
        """The best pieces of a length, from the picture at which a shot begins, and off the words that are spoken."""
        spans = [self._span(m) for m in self.good]
        weights = clip_weights(self.scores, self.shots, spans, self.favoured)
        pieces = select_pieces(self.shots, weights, self.edges_s, wish)
        best_first = sorted(pieces, key=lambda piece: -self.scores[piece[0]:piece[1] + 1].mean())
        pieces_s = [(self.edges_s[a], self.edges_s[b + 1]) for a, b in best_first]
        if wish.settled:
            pieces_s = refine_shorts(self.video.info, pieces_s, wish, cues, self.video.clip_len_s)
        shots = self._refined(pieces, len(self.scores))
        inside = [any(first <= a and b <= last for first, last in pieces) for a, b in shots]
        return Selection(shots, np.flatnonzero(inside), sorted(pieces_s))

    def _span(self, moment: Moment) -> tuple[int, int]:
        """The first and last clip that a moment touches."""
        edges_s = self.video.float_edges_s
        return (int(np.searchsorted(edges_s, moment.start_s, side="right")) - 1,
                int(np.searchsorted(edges_s, moment.end_s, side="left")) - 1)

    def _all_in(self, clips: np.ndarray, moment: Moment) -> bool:
        first, last = self._span(moment)
        return bool(clips[first:last + 1].all())

    def _refined(self, spans: Sequence[tuple[int, int]], max_len: int) -> np.ndarray:
        return refine_shots(self.shots, [border for first, last in spans for border in (first, last + 1)], max_len)


def visual_shots(video: EncodedVideo, rows: np.ndarray) -> np.ndarray:
    """Shots (S, 2) of clips, first and last inclusive, by the features (T, C) of the clips alone, whatever is asked."""
    return shots_from_change_points(_points(video, rows), len(rows))


def _points(video: EncodedVideo, rows: np.ndarray) -> np.ndarray:
    """Where new shots start; worked out once for all questions about the same features."""
    kept_rows, points = video.memo.get("points", (None, None))
    if kept_rows is not rows:
        limit = min(300, max(120, len(rows) // 15))
        points = change_points(normalize_rows(rows), max_change_points=limit)
        video.memo["points"] = (rows, points)
    return points
