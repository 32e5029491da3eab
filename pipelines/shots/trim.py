"""Trim pieces to their shots, exact to the frame, where clips of two seconds are too coarse."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from common.temporal import Interval
from pipelines.media.container import frame_rate, open_video, read_packets, seek
from pipelines.media.probe import VideoInfo

from .boundaries import hard_cuts

MIN_CONTEXT_BEFORE = 4, Fraction(1, 2)  # Frames and seconds decoded before a possible cut, to measure usual changes.
MIN_CONTEXT_AFTER = 2, Fraction(1, 4)   # Frames and seconds decoded after it, to check that the cut is isolated.
MAX_TRIM_S = Fraction(2)               # Another shot is searched for at most this far inside a piece.
MAX_DECODE_LEAD_S = Fraction(1)         # A packet is stored at most this long before its presentation time.
MIN_KEY_FRAME_RATIO = 0.25              # A packet of at least this share of the preceding key frame's size is large.
MIN_PERCENTILE_RATIO = 3.0              # So is a packet of this multiple of the 90th percentile of the sizes nearby.

PieceEnds = tuple[Interval | None, Interval | None]   # Search ranges of one piece; None at the ends of the video.


def trim_to_shots(info: VideoInfo, pieces_s: Sequence[Interval], max_trim_s: Fraction) -> list[Interval]:
    """Remove the frames of neighboring shots from the ends of pieces.

    A clip's score describes the middle of the clip, so up to half of the first and last clip of a piece may belong to
    another shot. If there is a hard cut within `max_trim_s` of an end, the piece is trimmed to it, exact to the frame.
    Pieces are never extended. They stay unchanged at gradual transitions, and in files without exact seeking.

    The first frame of a shot is usually stored in a large packet, so only the frames around large packets are
    decoded. A cut to a uniform frame, whose packet is small, may be missed.

    Args:
        info: properties of the video.
        pieces_s: [start, end) in seconds from the first frame, ascending and disjoint.
        max_trim_s: the maximum length that is trimmed from an end, capped at 2 s; it is also the minimum length of a
            trimmed piece.

    Returns:
        As many pieces as `pieces_s`.
    """
    max_trim_s, ends, trimmed = min(max_trim_s, MAX_TRIM_S), [], []
    for start_s, end_s in pieces_s:
        head, tail = (start_s, min(start_s + max_trim_s, end_s)), (max(end_s - max_trim_s, start_s), end_s)
        ends.append((head if start_s > 0 else None, tail if end_s < info.duration_s else None))
    for (start_s, end_s), (head_cuts, tail_cuts) in zip(pieces_s, _find_cuts_in_parallel(info, ends), strict=True):
        first_s, last_s = max(head_cuts, default=start_s), min(tail_cuts, default=end_s)
        # In order of preference: both ends trimmed, the start, the end, neither.
        candidates = itertools.product((first_s, start_s), (last_s, end_s))
        trimmed.append(next((c for c in candidates if c[1] - c[0] >= max_trim_s), (start_s, end_s)))
    return trimmed


def _find_cuts_in_parallel(info: VideoInfo, ends: list[PieceEnds]) -> list[list[list[Fraction]]]:
    """Return the hard cuts inside each range of each piece; a range of None has none."""
    n_threads = os.cpu_count() or 1
    cuts: list[list[list[Fraction]]] = [[]] * len(ends)
    with ThreadPoolExecutor(n_threads) as pool:   # Most of the time is spent waiting for the first frame after a seek.
        for i, part in enumerate(pool.map(lambda i: _find_cuts(info, ends[i::n_threads]), range(n_threads))):
            cuts[i::n_threads] = part
    return cuts


def _find_cuts(info: VideoInfo, ends: list[PieceEnds]) -> list[list[list[Fraction]]]:
    def cuts_inside(interval: Interval | None) -> list[Fraction]:
        if interval is None:
            return []
        decoded = _range_to_decode(container, stream, info, interval)
        cuts = [] if decoded is None else hard_cuts(info, *decoded, (container, stream))
        return [time_s for time_s in cuts if interval[0] < time_s < interval[1]]

    with open_video(info.path) as (container, stream):
        return [[cuts_inside(interval) for interval in piece_ends] for piece_ends in ends]


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
