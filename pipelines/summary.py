"""The scores, moments and selected pieces of one video."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from common.temporal import Interval
from common.timecode import format_clock
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue
from pipelines.scoring.captions import Caption
from pipelines.scoring.moments import Moment
from pipelines.scoring.queries import Query

from .file_names import SUMMARY_VIDEO, short_name

MAX_TITLE_CHARACTERS = 80


@dataclass(frozen=True)
class Piece:
    """A part of the video that is kept in the summary.

    Attributes:
        start_s: start in the video; the piece is [start_s, end_s).
        end_s: end in the video.
        frames: first and last frame of the video, inclusive.
        cut_start_s: start in the file that contains the piece.
        file: name of the file that contains the piece.
        score: mean score of the clips of the piece, in [0, 1].
        text: the query that matches the piece best, "" if there is none.
    """

    start_s: Fraction
    end_s: Fraction
    frames: tuple[int, int]
    cut_start_s: Fraction
    file: str
    score: float
    text: str


@dataclass(frozen=True, eq=False)
class Summary:
    """The scores, moments and selected pieces of one video.

    Attributes:
        video: the encoded video.
        texts: the requested queries; empty for a summary without a query.
        budget: maximum share of the video to keep; not used in mode `shorts`.
        scores: (T,) score of every clip, in [0, 1].
        scores_by_text: (Q, T) score of every clip for each of `texts`, in [0, 1].
        moments: `(start_s, end_s, score, text)`, by descending score.
        shots: `(start_s, end_s)` of all shots, contiguous.
        selected: ascending indices of the selected shots.
        provenance: what the scores depend on: `kind` (a method of `pipelines.scoring.scorers` or the type of the
            model), and the names of `config`, `checkpoint`, `visual`, `text` and `audio` encoder, None for those
            without influence;
            `beside` is the scorer that contributes the remaining share of the score beside the queries.
        cues: the subtitles that were searched.
        timings_s: seconds that each step took.
        mode: `summary`, `moments` or `shorts`.
        pieces_s: [start, end) of the selected pieces, ascending and disjoint; None selects the shots `selected`.
        captions: captions that were generated from the video, shot by shot; empty if there are queries.
        queries: the sentences that the clips were scored with: the requested queries, or else the subtitles or
            captions of the video, with their times.
    """

    video: EncodedVideo
    texts: tuple[str, ...]
    budget: float
    scores: np.ndarray
    scores_by_text: np.ndarray
    moments: list[Moment]
    shots: list[tuple[float, float]]
    selected: list[int]
    provenance: dict[str, str | None]
    cues: tuple[Cue, ...] = ()
    timings_s: dict[str, float] = field(default_factory=dict)
    mode: str = "summary"
    pieces_s: Sequence[Interval] | None = None
    captions: tuple[Caption, ...] = ()
    queries: tuple[Query, ...] = ()

    @property
    def intervals_s(self) -> list[Interval]:
        """The selected parts of the video, [start, end) in seconds, ascending; adjacent shots are merged."""
        if self.pieces_s is not None:
            return list(self.pieces_s)
        edges_s = {float(edge_s): edge_s for edge_s in self.video.edges_s}
        merged: list[Interval] = []
        for index in self.selected:
            start_s, end_s = (edges_s[time_s] for time_s in self.shots[index])
            if merged and merged[-1][1] == start_s:
                start_s = merged.pop()[0]
            merged.append((start_s, end_s))
        return merged

    @property
    def frames(self) -> list[list[int]]:
        """The selected parts as frames of the video, [first, last] inclusive, at its average frame rate."""
        return [list(self._frames(*interval_s)) for interval_s in self.intervals_s]

    @property
    def duration_s(self) -> float:
        """Total duration of the selected parts."""
        return float(sum(end_s - start_s for start_s, end_s in self.intervals_s))

    @property
    def budget_note(self) -> str:
        """A message if the budget is shorter than one clip, and one clip is kept nevertheless; else ""."""
        duration_s = float(self.video.info.duration_s)
        budget_s, shortest_s = self.budget * duration_s, min(float(self.video.clip_len_s), duration_s)
        if self.mode == "shorts" or budget_s > shortest_s - 1e-3:
            return ""
        return (f"The budget, {100 * self.budget:.3g} % of {duration_s:.1f} s, is {budget_s:.2g} s. This is shorter "
                f"than one clip ({shortest_s:.3g} s), so one clip is kept.")

    @property
    def intervals_by_file(self) -> list[tuple[str, list[Interval]]]:
        """Names of the video files with their intervals: one file, or in mode `shorts` one per piece, best first."""
        intervals_s = self.intervals_s
        if self.mode != "shorts":
            return [(SUMMARY_VIDEO, intervals_s)]
        best_first = sorted(intervals_s, key=lambda interval_s: -self.mean_score(*interval_s))
        return [(short_name(rank), [interval_s]) for rank, interval_s in enumerate(best_first, 1)]

    @property
    def pieces(self) -> list[Piece]:
        """The selected pieces, in the order of the files."""
        pieces = []
        for name, intervals_s in self.intervals_by_file:
            cut_start_s = Fraction(0)
            for start_s, end_s in intervals_s:
                pieces.append(Piece(start_s, end_s, self._frames(start_s, end_s), cut_start_s, name,
                                    self.mean_score(start_s, end_s), self.best_text(start_s, end_s)))
                cut_start_s += end_s - start_s
        return pieces

    def mean_score(self, start_s: Fraction, end_s: Fraction) -> float:
        """Return the mean score over [start_s, end_s)."""
        edges_s = self.video.float_edges_s
        overlaps_s = np.minimum(edges_s[1:], float(end_s)) - np.maximum(edges_s[:-1], float(start_s))
        return float(np.average(self.scores, weights=overlaps_s.clip(1e-9)))

    def best_text(self, start_s: Fraction, end_s: Fraction) -> str:
        """Return the query whose moments cover [start_s, end_s) best, by score times seconds; "" for none."""
        weights: dict[str, float] = {}
        for moment in self.moments:
            overlap_s = min(moment.end_s, float(end_s)) - max(moment.start_s, float(start_s))
            if overlap_s > 0:
                weights[moment.text] = weights.get(moment.text, 0.0) + overlap_s * moment.score
        return max(weights, key=weights.__getitem__, default="")

    def chapter_titles(self, intervals_s: Sequence[Interval]) -> list[str]:
        """Return a chapter title for each interval: its best query and its start in the video."""
        texts = (" ".join(self.best_text(*interval_s).split())[:MAX_TITLE_CHARACTERS] for interval_s in intervals_s)
        return [f"{text} ({format_clock(start_s)})" if text else format_clock(start_s)
                for text, (start_s, _) in zip(texts, intervals_s, strict=True)]

    def without_features(self):
        """Return a copy that can be shown and exported, but not scored again; features take 50 MB per hour."""
        return replace(self, video=self.video.without_features())

    def _frames(self, start_s: Fraction, end_s: Fraction) -> tuple[int, int]:
        return frame_range(start_s, end_s, self.video.info.fps, self.video.info.n_frames)


def frame_range(start_s: Fraction, end_s: Fraction, fps: Fraction, n_frames: int) -> tuple[int, int]:
    """Return the first and last frame shown in [start_s, end_s), inclusive: at least one, within the video."""
    first = min(math.ceil(start_s * fps), n_frames - 1)
    last = min(math.ceil(end_s * fps), n_frames) - 1
    return first, max(first, last)


def printable_path(path: Path) -> str:
    """Return a path as text that every file can contain; bytes that are not UTF-8 become question marks."""
    return str(path).encode("utf-8", "replace").decode("utf-8")
