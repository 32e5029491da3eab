"""Choose the packets of copied pieces so that pieces neither start nor end with frames of a neighboring shot."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction

from common.temporal import Interval
from pipelines.editing.stream_copy import PacketRange, kept_intervals, plan_copy, plan_short
from pipelines.media.probe import VideoInfo
from pipelines.shots.trim import PieceEnd, find_changes

MAX_LEAD_S = Fraction(10)   # Transitions are searched at most this long before a piece; longer leads are no flashes.

PlannedPiece = tuple[PacketRange, Interval, Interval, Interval]   # Packets, and the arguments of `plan_short`.


def plan_copied_pieces(info: VideoInfo, pieces_s: Sequence[Interval], min_length_s: Fraction,
                       may_change: Callable[[Fraction, Fraction], bool] | None = None) -> list[PacketRange]:
    """Return the packets to copy for the pieces of a summary; see `plan_copy` and `avoid_transitions`.

    Args:
        info: properties of the video.
        pieces_s: [start, end) in seconds from the first frame, ascending and disjoint.
        min_length_s: minimum length of a piece that is changed, and the part of it that may show another shot.
        may_change: see `pipelines.shots.trim.trim_to_shots`.
    """
    ranges, planned = plan_copy(info, pieces_s), []
    for packets, (kept_start_s, kept_end_s) in zip(ranges, kept_intervals(info, ranges), strict=True):
        inside = [piece for piece in pieces_s if piece[1] > kept_start_s and piece[0] < kept_end_s]
        piece_s = max(kept_start_s, inside[0][0]), min(kept_end_s, inside[-1][1])
        planned.append((packets, piece_s, (Fraction(0), 2 * info.duration_s), (min_length_s, 2 * info.duration_s)))
    return avoid_transitions(info, planned, min_length_s, may_change)


def avoid_transitions(info: VideoInfo, planned: Sequence[PlannedPiece], max_trim_s: Fraction,
                      may_change: Callable[[Fraction, Fraction], bool] | None = None) -> list[PacketRange]:
    """Replace packet ranges that contain the end of a neighboring shot or a transition, if a key frame permits it.

    A range that starts before or within a transition starts at a key frame after it instead, provided that at least
    half of the piece is kept. A range that ends after the start of a transition ends before it.

    Args:
        info: properties of the video.
        planned: for each piece, its packets; the piece; and the room and the lengths that limit other packets, see
            `plan_short`.
        max_trim_s: the part of a piece, from its ends on, that may show another shot.
        may_change: see `pipelines.shots.trim.trim_to_shots`.
    """
    ends = []
    kept_s = kept_intervals(info, [packets for packets, *_ in planned])
    for (_, (start_s, end_s), *_), (kept_start_s, kept_end_s) in zip(planned, kept_s, strict=True):
        head = max(kept_start_s, start_s - MAX_LEAD_S), min(start_s + max_trim_s, end_s)
        tail = max(end_s - max_trim_s, start_s), max(kept_end_s, end_s)
        ends.append((PieceEnd(head, True, kept_start_s <= 0, may_change is None or may_change(*head)),
                     PieceEnd(tail, False, kept_end_s >= info.duration_s, may_change is None or may_change(*tail))))
    return [_clean_range(info, piece, head_and_tail, (head_and_tail[0].trimmed(changes[0]),
                                                       head_and_tail[1].trimmed(changes[1])))
            for piece, head_and_tail, changes in zip(planned, ends, find_changes(info, ends), strict=True)]


def _clean_range(info: VideoInfo, piece: PlannedPiece, ends: tuple[PieceEnd, PieceEnd],
                 clean_s: Interval) -> PacketRange:
    """Return packets between the transitions at the ends of a piece, or as close to that as possible."""
    packets, (start_s, end_s), (room_start_s, room_end_s), lengths_s = piece
    starts, stops = [room_start_s], [room_end_s]
    if clean_s[0] > ends[0].inside_s[0]:
        starts.insert(0, max(room_start_s, clean_s[0]))
    if clean_s[1] < ends[1].inside_s[1]:
        stops.insert(0, min(room_end_s, clean_s[1]))
    # In order of preference: both ends without transitions, the start, the end.
    for first_s, last_s in [*itertools.product(starts, stops)][:-1]:
        piece_s = max(start_s, first_s), min(end_s, last_s)
        if piece_s[1] - piece_s[0] >= lengths_s[0]:
            found = plan_short(info, piece_s, (first_s, last_s), lengths_s)
            if found is not None:
                return found
    return packets

