"""Trim pieces to their shots, exact to the frame, where clips of two seconds are too coarse."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from common.temporal import Interval
from pipelines.media.container import frame_rate, open_video, read_packets, seek, supports_exact_seek
from pipelines.media.probe import VideoInfo

from .boundaries import cut_indices, read_thumbnails
from .transitions import UNIFORM_CONTRAST, contrast, gradual_transitions

MIN_CONTEXT_BEFORE = 4, Fraction(1, 2)  # Frames and seconds decoded before a possible cut, to measure usual changes.
MIN_CONTEXT_AFTER = 2, Fraction(1, 4)   # Frames and seconds decoded after it, to check that the cut is isolated.
MAX_TRIM_S = Fraction(2)               # Another shot is searched for at most this far inside a piece.
MAX_DECODE_LEAD_S = Fraction(1)         # A packet is stored at most this long before its presentation time.
NEAR_S = Fraction(1, 2)                 # A hard cut this far outside of a searched range excludes transitions in it.
MIN_KEY_FRAME_RATIO = 0.25              # A packet of at least this share of the preceding key frame's size is large.
MIN_PERCENTILE_RATIO = 3.0              # So is a packet of this multiple of the 90th percentile of the sizes nearby.


@dataclass(frozen=True)
class PieceEnd:
    """The start or the end of a piece, at which other shots are searched.

    Attributes:
        inside_s: the part of the piece, from the end on, that may show another shot.
        is_start: True for the start of a piece.
        at_video_end: True if it is the start or the end of the video, where there is no cut.
        may_change: False if the frames around it are known to be of the same shot.
    """

    inside_s: Interval
    is_start: bool
    at_video_end: bool
    may_change: bool

    def trimmed(self, changes: Sequence[Interval]) -> Fraction:
        """Return the time of the end after trimming.

        Args:
            changes: times at which one shot is replaced by another one: the times of the first frame of the change and
                of the first frame after it, which are equal for a hard cut.
        """
        from_s, until_s = self.inside_s
        inside = [(start_s, end_s) for start_s, end_s in changes if start_s < until_s and end_s > from_s]
        if self.is_start:
            return max((end_s for _, end_s in inside), default=from_s)
        return min((start_s for start_s, _ in inside), default=until_s)


def trim_to_shots(info: VideoInfo, pieces_s: Sequence[Interval], max_trim_s: Fraction,
                  may_change: Callable[[Fraction, Fraction], bool] | None = None) -> list[Interval]:
    """Remove the frames of neighboring shots, and of the transitions to them, from the ends of pieces.

    A clip's score describes the middle of the clip, so up to half of the first and last clip of a piece may belong to
    another shot. If there is a hard cut within `max_trim_s` of an end, the piece is trimmed to it, exact to the frame.
    If a dissolve, fade, or wipe is at the end or begins within `max_trim_s` of it, the piece is trimmed to the frames
    of one shot only. None is searched where a hard cut within half a second explains the change of the shot. Pieces are
    never extended. They stay unchanged in files without exact seeking.

    The first frame of a shot is usually stored in a large packet, so only the frames around large packets are
    decoded to find cuts. A cut to a uniform frame, whose packet is small, may be missed.

    Args:
        info: properties of the video.
        pieces_s: [start, end) in seconds from the first frame, ascending and disjoint.
        max_trim_s: the maximum length of another shot that is trimmed from an end, capped at 2 s; it is also the
            minimum length of a trimmed piece.
        may_change: returns False for [start, end] of a range that is known to show a single shot, where no gradual
            transition is searched; None searches at all ends.

    Returns:
        As many pieces as `pieces_s`.
    """
    max_trim_s, ends, trimmed = min(max_trim_s, MAX_TRIM_S), [], []
    for start_s, end_s in pieces_s:
        head, tail = (start_s, min(start_s + max_trim_s, end_s)), (max(end_s - max_trim_s, start_s), end_s)
        ends.append((PieceEnd(head, True, start_s <= 0, may_change is None or may_change(*head)),
                     PieceEnd(tail, False, end_s >= info.duration_s, may_change is None or may_change(*tail))))
    for (start_s, end_s), piece_ends, changes in zip(pieces_s, ends, find_changes(info, ends), strict=True):
        first_s, last_s = (end.trimmed(found) for end, found in zip(piece_ends, changes, strict=True))
        # In order of preference: both ends trimmed, the start, the end, neither.
        candidates = itertools.product((first_s, start_s), (last_s, end_s))
        trimmed.append(next((c for c in candidates if c[1] - c[0] >= max_trim_s), (start_s, end_s)))
    return trimmed


def find_changes(info: VideoInfo, ends: Sequence[tuple[PieceEnd, PieceEnd]]) -> list[list[list[Interval]]]:
    """Return the changes of the shot at both ends of each piece; see `PieceEnd.trimmed`."""
    n_threads = os.cpu_count() or 1
    changes: list[list[list[Interval]]] = [[]] * len(ends)
    with ThreadPoolExecutor(n_threads) as pool:   # Most of the time is spent waiting for the first frame after a seek.
        for i, part in enumerate(pool.map(lambda i: _find_changes(info, ends[i::n_threads]), range(n_threads))):
            changes[i::n_threads] = part
    return changes


def _find_changes(info: VideoInfo, ends: Sequence[tuple[PieceEnd, PieceEnd]]) -> list[list[list[Interval]]]:
    def changes_at(end: PieceEnd) -> list[Interval]:
        cuts_s, complete = ([], False) if end.at_video_end else _find_cuts(container, stream, info, end.inside_s)
        if complete or not end.may_change or not supports_exact_seek(container):
            return cuts_s
        return cuts_s + gradual_transitions(info, *end.inside_s, (container, stream))

    with open_video(info.path) as (container, stream):
        return [[changes_at(end) for end in piece_ends] for piece_ends in ends]


def _find_cuts(container: InputContainer, stream: VideoStream, info: VideoInfo,
               interval: Interval) -> tuple[list[Interval], bool]:
    """Return the hard cuts inside an interval, and True if they explain the change of the shot.

    They do if they join textured frames, which excludes fades beside them. Cuts up to `NEAR_S` outside of the interval
    count, too, because a clip may end shortly before or after the cut between two shots.
    """
    near = max(interval[0] - NEAR_S, Fraction(0)), interval[1] + NEAR_S
    decoded = _range_to_decode(container, stream, info, near)
    if decoded is None:
        return [], False
    times_s, thumbnails = read_thumbnails(info, *decoded, (container, stream))
    cuts = [i for i in cut_indices(thumbnails) if near[0] < times_s[i] < near[1]]
    textured = all(contrast(thumbnails[j]) > UNIFORM_CONTRAST for i in cuts for j in (i - 1, i))
    inside_s = [times_s[i] for i in cuts if interval[0] < times_s[i] < interval[1]]
    return [(cut_s, cut_s) for cut_s in inside_s], bool(cuts) and textured


def _range_to_decode(container: InputContainer, stream: VideoStream, info: VideoInfo,
                     interval: Interval) -> Interval | None:
    """Return the range around all packets inside the interval that are large enough for the first frame of a shot.

    It is the complete interval with its context if a key frame in it is small, because the size of a key frame does
    not depend on the frame before it; likewise in AV1, whose packets may contain the data of later frames. It is None
    if no packet is large or the file cannot be sought.
    """
    from_s, until_s = interval
    if not seek(container, stream, info.start_s + from_s):
        return None
    before_s, after_s = (max(min_s, n / frame_rate(stream)) for n, min_s in (MIN_CONTEXT_BEFORE, MIN_CONTEXT_AFTER))
    key_size, inside, sizes, latest_s = 0, [], [], Fraction(0)
    for packet in read_packets(container, stream):
        if not packet.size or packet.pts is None:
            continue
        time_s = packet.pts * stream.time_base - info.start_s
        if time_s > until_s + MAX_DECODE_LEAD_S:
            break
        sizes.append(packet.size)
        if from_s < time_s < until_s:
            # A packet stored after later frames (a B-frame) may follow the cut, so the cut may be as early as it.
            inside.append((min(time_s, latest_s), time_s, packet.size, packet.is_keyframe))
        elif packet.is_keyframe and time_s <= from_s:
            key_size = packet.size
        latest_s = max(latest_s, time_s)
    min_size = min(MIN_KEY_FRAME_RATIO * key_size, MIN_PERCENTILE_RATIO * float(np.percentile(sizes or [0], 90)))
    large = [(earliest_s, time_s) for earliest_s, time_s, size, _ in inside if size >= min_size]
    if any(is_key and size < min_size for *_, size, is_key in inside) or (large and info.codec == "av1"):
        return from_s - before_s, until_s + after_s
    return (min(large)[0] - before_s, max(time_s for _, time_s in large) + after_s) if large else None
