"""Decisions of an export: which pieces are kept exactly, and how they are written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from common.errors import InputError
from common.temporal import Interval
from pipelines.editing.stream_copy import PacketRange, kept_intervals, plan_copy, plan_short
from pipelines.options import ShortsOptions
from pipelines.selection.shorts import refine_shorts
from pipelines.shots.trim import trim_to_shots
from pipelines.summary import Summary

from .options import DEFAULT_OPTIONS, ExportOptions

AnySummary = TypeVar("AnySummary", bound=Summary)


@dataclass(frozen=True)
class ExportPlan:
    """The decisions that an export follows. The default keeps the selected pieces and re-encodes them.

    Attributes:
        pieces_s: [start, end) of the exact pieces, ascending and disjoint; None keeps those of the summary.
        runs: the packets to copy for each piece; None if the video is re-encoded.
        aspect: width to height to which the video is cropped; None keeps the complete frame.
        edit_lists: formats of edit lists to write.
        display_name: name of the video in the written files; None for its path.
        shorts: number and lengths of the requested shorts, if known.
        timings_s: seconds that planning took, by step.
    """

    pieces_s: tuple[Interval, ...] | None = None
    runs: tuple[PacketRange, ...] | None = None
    aspect: Fraction | None = None
    edit_lists: tuple[str, ...] = ()
    display_name: str | None = None
    shorts: ShortsOptions | None = None
    timings_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def copied(self) -> bool:
        """True if the video stream is copied, so that pieces start at key frames."""
        return self.runs is not None

    def apply(self, summary: AnySummary) -> AnySummary:
        """Return the summary as the written files describe it: with the exact pieces, the name and the timings."""
        video = summary.video
        if self.display_name is not None:
            video = replace(video, info=replace(video.info, path=Path(self.display_name)))
        pieces_s = summary.pieces_s if self.pieces_s is None else self.pieces_s
        return replace(summary, video=video, pieces_s=pieces_s, timings_s={**summary.timings_s, **self.timings_s})

    def shortage(self, summary: Summary) -> str:
        """Return a message if there are fewer shorts than requested, else ""."""
        found = len(summary.intervals_s if self.pieces_s is None else self.pieces_s)
        if self.shorts is None or found >= self.shorts.count:
            return ""
        return (f"found {found} of {self.shorts.count} shorts; no further piece of {self.shorts.lengths} fits beside "
                "them, but a shorter one may")


AS_SELECTED = ExportPlan()


def plan_export(summary: Summary, options: ExportOptions = DEFAULT_OPTIONS, *, display_name: str | None = None,
                shorts: ShortsOptions | None = None) -> ExportPlan:
    """Decide how a summary is exported.

    Selected shots are trimmed to hard cuts if the video is re-encoded; copied pieces are moved to key frames.

    Args:
        summary: the scored video.
        options: options of the export.
        display_name: name of the video in the written files; None for its path.
        shorts: number and lengths of the requested shorts, which copied shorts keep to; None if unknown.

    Raises:
        InputError: the video cannot be read or copied, or no short can start at a key frame.
    """
    started_s = time.perf_counter()
    shorts = shorts if summary.mode == "shorts" else None
    runs, pieces_s, timings_s = None, summary.intervals_s, {}
    if options.copy:
        runs = tuple(_copied_shorts(summary, shorts) if summary.mode == "shorts" else
                     plan_copy(summary.video.info, pieces_s))
        pieces_s = kept_intervals(summary.video.info, runs)
        timings_s["cut"] = time.perf_counter() - started_s   # Part of the time that copying takes.
    elif summary.pieces_s is None:
        reach_s = Fraction(summary.video.clip_len_s) / 2 + Fraction(summary.video.max_frame_offset_s)
        pieces_s = trim_to_shots(summary.video.info, pieces_s, reach_s)
        timings_s["borders"] = time.perf_counter() - started_s
    return ExportPlan(tuple(pieces_s), runs, options.aspect, options.edit_lists, display_name, shorts, timings_s)


def with_refined_shorts(summary: AnySummary, shorts: ShortsOptions) -> AnySummary:
    """Return a summary whose shorts start and end at shot boundaries or speech pauses.

    Args:
        summary: a summary in mode `shorts` whose pieces are exact to a clip, see `ShortsOptions`.
        shorts: the lengths that the pieces keep to.
    """
    pieces_s = refine_shorts(summary.video.info, _best_first(summary), shorts, summary.cues,
                             summary.video.clip_len_s)
    return replace(summary, pieces_s=pieces_s)


def _copied_shorts(summary: Summary, shorts: ShortsOptions | None) -> list[PacketRange]:
    """Return the packets of disjoint shorts, ascending. Better shorts are placed first, others give way."""
    info = summary.video.info
    lengths_s = (Fraction(0), 2 * info.duration_s)
    if shorts is not None:
        lengths_s = (min(shorts.min_length_s, info.duration_s), shorts.max_length_s)
    placed: list[tuple[Interval, PacketRange]] = []
    for start_s, end_s in _best_first(summary):
        room_s = (max((kept[1] for kept, _ in placed if kept[0] < start_s), default=Fraction(0)),
                  min((kept[0] for kept, _ in placed if kept[0] >= start_s), default=2 * info.duration_s))
        run = plan_short(info, (start_s, end_s), room_s, lengths_s)
        if run is not None:
            placed += zip(kept_intervals(info, [run]), [run], strict=True)
    if not placed:
        raise InputError(info.path, "its key frames are too far apart to copy shorts"
                         f"{'' if shorts is None else f' of {shorts.lengths}'}",
                         "leave out --copy, or request longer shorts with --length")
    return [run for _, run in sorted(placed, key=lambda pair: pair[0])]


def _best_first(summary: Summary) -> Sequence[Interval]:
    return sorted(summary.intervals_s, key=lambda interval_s: -summary.mean_score(*interval_s))
