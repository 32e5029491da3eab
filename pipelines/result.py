"""The result of asking: scores, moments, and what the cut keeps."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from common.files import atomic_path, write_json
from common.memory import mmap_large_blocks, trim_heap
from pipelines.editing.reencode import cut
from pipelines.editing.stream_copy import PacketRange, copy_cut
from pipelines.export.edit_lists import Piece
from pipelines.export.writer import JOINED, short_name
from pipelines.features.encode import EncodedVideo
from pipelines.media.subtitles import Cue
from pipelines.scoring.captions import Caption
from pipelines.scoring.moments import Moment
from pipelines.scoring.queries import Query

from .options import Shorts
from .timecode import format_clock, format_timestamp

TITLE_CHARACTERS = 80
ZERO_SHOT = "zero-shot, no training"   # what scored, where no model did


@dataclass
class Result:
    """What was found in a video.

    Attributes:
        video: what was asked.
        texts: the sentences; empty when nothing was asked.
        budget: share of the video that the cut may take; not kept to in mode `shorts`.
        scores: (T,) in [0, 1], of every clip.
        scores_by_text: (Q, T) in [0, 1], of every clip for each sentence.
        moments: `(start_s, end_s, score, text)`, by falling score.
        shots: all the shots, `(start_s, end_s)`, without gaps.
        selected: indices of the shots that the cut keeps, ascending.
        provenance: `kind` ("zero-shot, no training" or the model's type) and the names of `config`,
            `checkpoint`, `visual`, `text`, `audio`, None for what had no part in the scores; `beside` is what
            had a fifth of the say beside the words.
        cues: the subtitles that were read along.
        timings_s: seconds that each step took.
        video_file: where `save_video` wrote, if it did.
        mode: `summary`, `moments` or `shorts`.
        pieces_s: what the cut keeps exactly, [start, end), ascending and apart; None for the selected shots.
        copied: whether pictures were copied, so that pieces begin at key frames.
        files: names of all that was written for it.
        aspect: of the cut's pictures, width to height, if they were cropped to it.
        runs: what of the file is copied for each piece, where pictures are copied.
        wish: how many shorts, and how long, were asked for, if any.
        captions: sentences made from the video itself, shot by shot, when nothing was asked.
        sentences: those that the scores were made with: what was asked, or else the video's own, what is said or
            seen in it, with their times.
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
    video_file: Path | None = None
    mode: str = "summary"
    pieces_s: list[tuple[Fraction, Fraction]] | None = None
    copied: bool = False
    files: list[str] = field(default_factory=list)
    aspect: Fraction | None = None
    runs: dict[tuple[Fraction, Fraction], PacketRange] = field(default_factory=dict)
    wish: Shorts | None = None
    captions: tuple[Caption, ...] = ()
    sentences: tuple[Query, ...] = ()

    @property
    def intervals_s(self) -> list[tuple[Fraction, Fraction]]:
        """What the cut keeps: [start, end) in seconds, ascending; neighbouring shots are one."""
        if self.pieces_s is not None:
            return list(self.pieces_s)
        edges_s = {float(e): e for e in self.video.edges_s}
        merged: list[tuple[Fraction, Fraction]] = []
        for index in self.selected:
            start, end = (edges_s[t] for t in self.shots[index])
            if merged and merged[-1][1] == start:
                start = merged.pop()[0]
            merged.append((start, end))
        return merged

    @property
    def frames(self) -> list[list[int]]:
        """The cut as frames of the video, [first, last] inclusive, at its average rate."""
        return [frame_range(start, end, self.video.info.fps, self.video.info.n_frames)
                for start, end in self.intervals_s]

    @property
    def duration_s(self) -> float:
        """Seconds in the cut."""
        return float(sum(end - start for start, end in self.intervals_s))

    @property
    def intervals_by_file(self) -> list[tuple[str, list[tuple[Fraction, Fraction]]]]:
        """What goes into which file: one for all pieces; in mode `shorts` one for each, the best is `short-1.mp4`."""
        intervals = self.intervals_s
        if self.mode != "shorts":
            return [(JOINED, intervals)]
        best_first = sorted(range(len(intervals)), key=lambda i: -self.score_of(*intervals[i]))
        return [(short_name(rank), [intervals[i]]) for rank, i in enumerate(best_first, 1)]

    @property
    def pieces(self) -> list[Piece]:
        """What the cut keeps and in which file, in the order of the files."""
        pieces = []
        for name, intervals in self.intervals_by_file:
            before_s = Fraction(0)
            for start, end in intervals:
                frames = frame_range(start, end, self.video.info.fps, self.video.info.n_frames)
                pieces.append(Piece(start, end, tuple(frames), before_s, name, self.score_of(start, end),
                                    self.text_of(start, end)))
                before_s += end - start
        return pieces

    @property
    def lacking(self) -> str:
        """Says that fewer shorts were found than asked for; "" where all were, or none were asked for."""
        found = len(self.intervals_s)
        if self.wish is None or found >= self.wish.count:
            return ""
        return (f"found {found} of {self.wish.count} shorts: no more of {self.wish.lengths} fit beside each other; "
                "shorter ones may")

    def score_of(self, start_s: Fraction, end_s: Fraction) -> float:
        """Mean score of [start_s, end_s)."""
        edges_s = self.video.float_edges_s
        inside = np.minimum(edges_s[1:], float(end_s)) - np.maximum(edges_s[:-1], float(start_s))
        return float(np.average(self.scores, weights=inside.clip(1e-9)))

    def text_of(self, start_s: Fraction, end_s: Fraction) -> str:
        """The sentence whose moments fill [start_s, end_s) best, by score times seconds; "" for none."""
        shares: dict[str, float] = {}
        for moment in self.moments:
            shared_s = min(moment.end_s, float(end_s)) - max(moment.start_s, float(start_s))
            if shared_s > 0:
                shares[moment.text] = shares.get(moment.text, 0.0) + shared_s * moment.score
        return max(shares, key=shares.__getitem__, default="")

    def titles_of(self, intervals_s: Sequence[tuple[Fraction, Fraction]]) -> list[str]:
        """Names of pieces, for chapters: what is shown and since when in the video."""
        texts = (" ".join(self.text_of(start, end).split())[:TITLE_CHARACTERS] for start, end in intervals_s)
        return [f"{text} ({format_clock(start)})" if text else format_clock(start)
                for text, (start, _) in zip(texts, intervals_s, strict=True)]

    def keep_whole_shots(self) -> None:
        """Takes off what the chosen shots show of their neighbours, once and before they are cut; see `borders`."""
        if self.pieces_s is None:
            from pipelines.shots.trim import trim_to_shots
            started_s = time.perf_counter()
            reach_s = Fraction(self.video.clip_len_s) / 2 + Fraction(self.video.farthest_s)
            self.pieces_s = trim_to_shots(self.video.info, self.intervals_s, reach_s)
            self.timings_s["borders"] = time.perf_counter() - started_s

    def settle_shorts(self, wish: Shorts) -> None:
        """Moves the ends of shorts that were asked for without that to where shots begin and nobody speaks."""
        from pipelines.selection.shorts import refine_shorts
        best_first = sorted(self.intervals_s, key=lambda piece: -self.score_of(*piece))
        self.pieces_s = refine_shorts(self.video.info, best_first, wish, self.cues, self.video.clip_len_s)

    def save_video(self, path: str | os.PathLike, progress: bool = False) -> None:
        """Writes all the pieces as one mp4, whole or not at all; with chapters and the subtitles of the pieces."""
        if not self.copied:
            self.keep_whole_shots()
        started_s = time.perf_counter()
        self.save_pieces(path, self.intervals_s, progress)
        self.timings_s["cut"] = time.perf_counter() - started_s
        self.video_file = Path(path)

    def save_pieces(self, path: str | os.PathLike, intervals_s: Sequence[tuple[Fraction, Fraction]],
                    progress: bool | Callable[[float], None] = False) -> None:
        """Writes some of the pieces as one mp4, in the form that `copied` and `aspect` tell."""
        trim_heap()   # that scoring has freed: the encoder of pictures needs its own
        info, extras = self.video.info, dict(titles=self.titles_of(intervals_s), cues=self.cues, progress=progress)
        with mmap_large_blocks():
            if self.copied:
                copy_cut(info, [self.runs[piece] for piece in intervals_s], path, **extras)
            else:
                cut(info, intervals_s, path, aspect=self.aspect, **extras)

    def save_report(self, path: str | os.PathLike) -> None:
        """Writes the page; it plays the cut when `save_video` has written it, by a relative address."""
        from pipelines.export.report import report_html
        source = None if self.video_file is None else os.path.relpath(self.video_file, Path(path).parent)
        page = report_html(self, [] if source is None else [source])
        with atomic_path(path) as temporary:
            temporary.write_text(page, encoding="utf-8")

    def save_json(self, path: str | os.PathLike) -> None:
        """Writes everything as JSON, whole or not at all; times in seconds."""
        write_json(path, self.to_json())

    def to_json(self) -> dict:
        """`summary` is in ModelScope's output format; the rest is [start, end) in seconds."""
        info = self.video.info
        edges_s = [round(float(e), 3) for e in self.video.edges_s]
        selected = set(self.selected)
        return dict(
            video=readable(info.path), duration=round(float(info.duration_s), 3),
            stated=None if info.stated_s is None else round(float(info.stated_s), 3),
            fps=round(float(info.fps), 3), text=list(self.texts), budget=self.budget,
            clips=[dict(start=start, end=end, score=round(float(score), 4))
                   for (start, end), score in zip(itertools.pairwise(edges_s), self.scores, strict=True)],
            moments=[dict(start=round(start, 3), end=round(end, 3), score=round(score, 4), text=text)
                     for start, end, score, text in self.moments],
            summary=[dict(frame=frame, timestamps=[format_timestamp(start), format_timestamp(end)])
                     for frame, (start, end) in zip(self.frames, self.intervals_s, strict=True)],
            shots=[dict(start=round(start, 3), end=round(end, 3), selected=i in selected)
                   for i, (start, end) in enumerate(self.shots)],
            clips_by_text=[dict(text=text, scores=[round(float(s), 4) for s in row])
                           for text, row in zip(self.texts, self.scores_by_text, strict=True)],
            mode=self.mode, files=self.files, kept=round(self.duration_s, 3), copied=self.copied,
            aspect=None if self.aspect is None else f"{self.aspect.numerator}:{self.aspect.denominator}",
            pieces=[dict(file=piece.file, start=round(float(piece.start_s), 3), end=round(float(piece.end_s), 3),
                         cut_start=round(float(piece.cut_start_s), 3), score=round(piece.score, 4), text=piece.text)
                    for piece in self.pieces],
            shorts=None if self.wish is None else dict(asked=self.wish.count, found=len(self.intervals_s)),
            captions=[dict(start=round(float(c.start_s), 3), end=round(float(c.end_s), 3), text=c.text)
                      for c in self.captions],
            sentences=[sentence.to_json() for sentence in self.sentences],
            sampling=self.video.sampling, decoder=self.video.decoder, scored_by=self.provenance,
            subtitles=len(self.cues),
            timings_s={step: round(seconds, 3) for step, seconds in self.timings_s.items()})


def frame_range(start_s: Fraction, end_s: Fraction, fps: Fraction, n_frames: int) -> list[int]:
    """The frames shown from [start_s, end_s): first and last, inclusive, at least one, within the video."""
    first = min(math.ceil(start_s * fps), n_frames - 1)
    last = min(math.ceil(end_s * fps), n_frames) - 1
    return [first, max(first, last)]


def readable(path: Path) -> str:
    """A path as text that every file can hold; bytes that are no UTF-8 show as question marks."""
    return str(path).encode("utf-8", "replace").decode("utf-8")
