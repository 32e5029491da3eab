"""Plan an export: determine the exact pieces, and choose to re-encode or to copy them."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from common.temporal import Interval
from pipelines.editing.copyability import NotCopyableError, check_copy
from pipelines.editing.stream_copy import PacketRange, kept_intervals, plan_short
from pipelines.features.encoded_video import EncodedVideo
from pipelines.options import ShortsOptions
from pipelines.selection.shorts import refine_shorts
from pipelines.shots.boundaries import THUMBNAIL_PX
from pipelines.shots.motion import block_differences, smoothed
from pipelines.shots.trim import trim_to_shots
from pipelines.summary import Summary

from .copied_pieces import avoid_transitions, plan_copied_pieces
from .options import DEFAULT_OPTIONS, ExportOptions

AnySummary = TypeVar("AnySummary", bound=Summary)


@dataclass(frozen=True)
class ExportPlan:
    """The decisions made before an export. The default plan re-encodes the selected pieces without changing them.

    Attributes:
        pieces_s: [start, end) of the exact pieces, ascending and disjoint; None for the pieces of the summary.
        packet_ranges: packets to copy for each piece; None if the video is re-encoded.
        aspect: aspect ratio (width / height) to crop to; None for complete frames.
        edit_lists: formats of the edit lists to write.
        display_name: name of the video in the written files; None for its path.
        shorts: number and lengths of the requested shorts, if known.
        timings_s: duration of each planning step in seconds.
        copy_obstacle: the reason why the video is re-encoded although a copy was requested; else "".
        copy_required: True if copying must not be replaced by re-encoding.
    """

    pieces_s: tuple[Interval, ...] | None = None
    packet_ranges: tuple[PacketRange, ...] | None = None
    aspect: Fraction | None = None
    edit_lists: tuple[str, ...] = ()
    display_name: str | None = None
    shorts: ShortsOptions | None = None
    timings_s: Mapping[str, float] = field(default_factory=dict)
    copy_obstacle: str = ""
    copy_required: bool = False

    @property
    def copied(self) -> bool:
        """True if the video stream is copied, in which case pieces start at key frames."""
        return self.packet_ranges is not None

    @property
    def copy_note(self) -> str:
        """A sentence that the video is re-encoded although a copy was requested, and why; "" if that is not so."""
        return f"{self.copy_obstacle}; it is re-encoded instead" if self.copy_obstacle else ""

    def apply(self, summary: AnySummary) -> AnySummary:
        """Return a copy of the summary with the exact pieces, the display name and the timings of this plan."""
        video = summary.video
        if self.display_name is not None:
            video = replace(video, info=replace(video.info, path=Path(self.display_name)))
        pieces_s = summary.pieces_s if self.pieces_s is None else self.pieces_s
        return replace(summary, video=video, pieces_s=pieces_s, timings_s={**summary.timings_s, **self.timings_s})

    def shortage(self, summary: Summary) -> str:
        """Return a message if there are fewer shorts than requested, otherwise ""."""
        found = len(summary.intervals_s if self.pieces_s is None else self.pieces_s)
        if self.shorts is None or found >= self.shorts.count:
            return ""
        return (f"found {found} of {self.shorts.count} shorts; there is no room for another piece of "
                f"{self.shorts.lengths}, but there may be for a shorter one")


AS_SELECTED = ExportPlan()
MIN_CLIP_DIFFERENCE = 5.0   # Clips whose frames differ less (in levels of 255) belong to the same shot.


def plan_export(summary: Summary, options: ExportOptions = DEFAULT_OPTIONS, *, display_name: str | None = None,
                shorts: ShortsOptions | None = None) -> ExportPlan:
    """Plan the export of a summary.

    Selected shots are trimmed to hard cuts and gradual transitions. If the video is copied, pieces start at key frames,
    after a transition if a key frame permits it. A video that cannot be copied is re-encoded, unless the options
    require a copy.

    Args:
        summary: the summary to export.
        options: options of the export.
        display_name: name of the video in the written files; None for its path.
        shorts: number and lengths of the requested shorts, which limit the lengths of copied shorts; None if unknown.

    Raises:
        NotCopyableError: the options require a copy, but the video cannot be copied.
        InputError: the video cannot be read.
    """
    started_s = time.perf_counter()
    shorts = shorts if summary.mode == "shorts" else None
    packet_ranges, obstacle = choose_cut_method(summary, options, shorts)
    pieces_s, timings_s = summary.intervals_s, {}
    if packet_ranges is not None:
        pieces_s = kept_intervals(summary.video.info, packet_ranges)
        timings_s["cut"] = time.perf_counter() - started_s   # Planning is part of copying.
    elif summary.pieces_s is None:
        pieces_s = trim_to_shots(summary.video.info, pieces_s, max_trim_s(summary.video),
                                 partial(shots_may_change, summary.video))
        timings_s["borders"] = time.perf_counter() - started_s
    return ExportPlan(tuple(pieces_s), packet_ranges, options.aspect, options.edit_lists, display_name, shorts,
                      timings_s, obstacle, options.copy_required)


def choose_cut_method(summary: Summary, options: ExportOptions,
                      shorts: ShortsOptions | None) -> tuple[tuple[PacketRange, ...] | None, str]:
    """Decide whether a video is copied or re-encoded; nothing else decides this.

    Args:
        summary: the summary to export.
        options: options of the export.
        shorts: number and lengths of the requested shorts, if known.

    Returns:
        The packets to copy for each piece, or None to re-encode; and the reason why a requested copy is impossible,
        or "".

    Raises:
        NotCopyableError: the options require a copy, but it is impossible.
        InputError: the video cannot be read.
    """
    if not options.copy:
        return None, ""
    try:
        if summary.mode == "shorts":
            return tuple(_copied_shorts(summary, shorts)), ""
        return tuple(plan_copied_pieces(summary.video.info, summary.intervals_s, max_trim_s(summary.video),
                                        partial(shots_may_change, summary.video))), ""
    except NotCopyableError as err:
        if options.copy_required:
            raise
        return None, err.problem


def plan_without_copy(summary: Summary, plan: ExportPlan, obstacle: str) -> ExportPlan:
    """Return a plan that re-encodes what `plan` would copy.

    Args:
        summary: the summary to export.
        plan: a plan of it that copies.
        obstacle: the reason why copying is impossible.

    Raises:
        InputError: the video cannot be read.
    """
    options = ExportOptions(edit_lists=plan.edit_lists)
    reencoding = plan_export(summary, options, display_name=plan.display_name, shorts=plan.shorts)
    return replace(reencoding, copy_obstacle=obstacle)


def with_refined_shorts(summary: AnySummary, shorts: ShortsOptions) -> AnySummary:
    """Return a copy of a summary with the ends of its shorts moved to shot boundaries or speech pauses.

    Args:
        summary: a summary in mode `shorts` whose pieces end at clip boundaries, see `ShortsOptions.refine`.
        shorts: minimum and maximum length of the refined pieces.
    """
    pieces_s = refine_shorts(summary.video.info, _best_first(summary), shorts, summary.cues,
                             summary.video.clip_len_s)
    return replace(summary, pieces_s=pieces_s)


def max_trim_s(video: EncodedVideo) -> Fraction:
    """Return the maximum length of another shot at an end of a piece: up to the frame that a clip's score describes."""
    return Fraction(video.clip_len_s) / 2 + Fraction(video.max_frame_offset_s)


def shots_may_change(video: EncodedVideo, from_s: Fraction, until_s: Fraction) -> bool:
    """Return False if the thumbnails of the clips in and beside a range show the same content, apart from motion.

    The result is True at the ends of the video, where fades are common, and if thumbnails are farther than a clip from
    the times that they stand for.
    """
    if video.max_frame_offset_s > video.clip_len_s or from_s <= 0 or until_s >= video.info.duration_s:
        return True
    first, last = np.searchsorted(video.float_edges_s, (float(from_s), float(until_s)), side="right") - 1
    thumbnails = (Image.open(io.BytesIO(jpeg)) for jpeg in video.thumbnails[max(0, first - 1):last + 2])
    images = [image.convert("RGB").resize(THUMBNAIL_PX, Image.Resampling.BOX) for image in thumbnails]
    if len(images) < 2:
        return True
    frames = smoothed(np.stack([np.asarray(image) for image in images]))
    return bool(np.nanmean(block_differences(frames[:-1], frames[1:]), axis=(1, 2)).max() >= MIN_CLIP_DIFFERENCE)


def _copied_shorts(summary: Summary, shorts: ShortsOptions | None) -> list[PacketRange]:
    """Return the packets of disjoint shorts in ascending order; shorts with higher scores are placed first."""
    info = summary.video.info
    check_copy(info)
    lengths_s = (Fraction(0), 2 * info.duration_s)
    if shorts is not None:
        lengths_s = (min(shorts.min_length_s, info.duration_s), shorts.max_length_s)
    placed: list[tuple[Interval, PacketRange]] = []
    for start_s, end_s in _best_first(summary):
        # The room is the gap between the nearest shorts that are already placed.
        room_s = (max((kept[1] for kept, _ in placed if kept[0] < start_s), default=Fraction(0)),
                  min((kept[0] for kept, _ in placed if kept[0] >= start_s), default=2 * info.duration_s))
        packets = plan_short(info, (start_s, end_s), room_s, lengths_s)
        if packets is not None:
            piece = packets, (start_s, end_s), room_s, lengths_s
            packets, = avoid_transitions(info, [piece], max_trim_s(summary.video),
                                         partial(shots_may_change, summary.video))
            placed += zip(kept_intervals(info, [packets]), [packets], strict=True)
    if not placed:
        raise NotCopyableError(info.path, "its key frames are too far apart to copy shorts"
                               f"{'' if shorts is None else f' of {shorts.lengths}'}",
                               "leave out --copy, or request longer shorts with --length")
    return [packets for _, packets in sorted(placed, key=lambda pair: pair[0])]


def _best_first(summary: Summary) -> Sequence[Interval]:
    """Return the pieces of a summary by descending mean score."""
    return sorted(summary.intervals_s, key=lambda interval_s: -summary.mean_score(*interval_s))
