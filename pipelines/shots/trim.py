"""Pieces that begin and end with their shots, though clips of two seconds know no better."""

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

BEFORE = 4, Fraction(1, 2)    # pictures, and seconds: looked at before what may be a cut, to know what usually changes,
BEHIND = 2, Fraction(1, 4)    # and behind it, to see that it stands alone
MOST_S = Fraction(2)          # of another shot that are looked for
LATE_S = Fraction(1)          # packets come at most so much earlier than their pictures are shown
LIKE_A_KEY = 0.25             # of the size of a key frame has the first picture of a shot at least,
UNUSUAL = 3.0                 # or so many times that of nine in ten pictures around

Ends = tuple[Interval | None, Interval | None]   # of a piece: its first and last seconds; None where the video ends too


def trim_to_shots(info: VideoInfo, pieces_s: Sequence[Interval], reach_s: Fraction) -> list[Interval]:
    """Takes off what pieces show of the shots before and after them.

    Clips are judged by their middle, so up to a half of the first and the last one may belong to another
    shot. Where a hard cut lies so near inside of an end, the piece ends there, exact to the frame. Pieces
    only become shorter; where shots change softly, they stay as they are, and so they do in files without
    exact seeking. The first picture of a shot takes many bytes, so only what is around large packets is
    decoded; a cut to a picture that is plain and so takes few may stay unseen.

    Args:
        info: of the file.
        pieces_s: [start, end), ascending and apart.
        reach_s: how far inside of an end another shot may reach; two seconds at most are looked at. At least so
            much of a piece stays.

    Returns:
        As many pieces.
    """
    reach_s, ends, kept = min(reach_s, MOST_S), [], []
    for start_s, end_s in pieces_s:
        head, tail = (start_s, min(start_s + reach_s, end_s)), (max(end_s - reach_s, start_s), end_s)
        ends.append((head if start_s > 0 else None, tail if end_s < info.duration_s else None))
    for (start_s, end_s), (heads, tails) in zip(pieces_s, _cuts_in_all(info, ends), strict=True):
        first_s, last_s = max(heads, default=start_s), min(tails, default=end_s)
        choices = itertools.product((first_s, start_s), (last_s, end_s))   # both ends, one, the other, none
        kept.append(next((c for c in choices if c[1] - c[0] >= reach_s), (start_s, end_s)))
    return kept


def _where_to_look(container: InputContainer, stream: VideoStream, info: VideoInfo, span: Interval) -> Interval | None:
    """Around all packets inside (from, until) that are as large as a new shot's.

    All of it if it holds a key frame that is smaller, which tells nothing of what is before it, or in AV1, whose
    packets of pictures to come may have the bytes; None if no packet is large, or where seeking fails.
    """
    from_s, until_s = span
    if not seek(container, stream, info.start_s + from_s):
        return None
    before_s, behind_s = (max(least_s, n / frame_rate(stream)) for n, least_s in (BEFORE, BEHIND))
    key_size, inside, around, latest_s = 0, [], [], Fraction(0)
    for packet in read_packets(container, stream):
        if not packet.size or packet.pts is None:
            continue
        time_s = packet.pts * stream.time_base - info.start_s
        if time_s > until_s + LATE_S:
            break
        around.append(packet.size)
        if from_s < time_s < until_s:   # stored after pictures that are shown later, it may be the second of a shot
            inside.append((min(time_s, latest_s), time_s, packet.size, packet.is_keyframe))
        elif packet.is_keyframe and time_s <= from_s:
            key_size = packet.size
        latest_s = max(latest_s, time_s)
    large = min(LIKE_A_KEY * key_size, UNUSUAL * float(np.percentile(around or [0], 90)))
    found = [(since_s, time_s) for since_s, time_s, size, _ in inside if size >= large]
    if any(is_key and size < large for *_, size, is_key in inside) or (found and info.codec == "av1"):
        return from_s - before_s, until_s + behind_s
    return (min(found)[0] - before_s, max(time_s for _, time_s in found) + behind_s) if found else None


def _cuts_in_all(info: VideoInfo, ends: list[Ends]) -> list[list[list[Fraction]]]:
    """Hard cuts in each (from, until), none where there is no span; the pieces in turn are each worker's."""
    workers, found = os.cpu_count() or 1, [[]] * len(ends)
    with ThreadPoolExecutor(workers) as pool:   # most of a search is waiting for its first picture
        for i, part in enumerate(pool.map(lambda i: _cuts_in_some(info, ends[i::workers]), range(workers))):
            found[i::workers] = part
    return found


def _cuts_in_some(info: VideoInfo, ends: list[Ends]) -> list[list[list[Fraction]]]:
    def inside(span: Interval | None) -> list[Fraction]:
        looked = None if span is None else _where_to_look(*opened, info, span)
        cuts = [] if looked is None else hard_cuts(info, *looked, opened)
        return [time_s for time_s in cuts if span[0] < time_s < span[1]]

    with open_video(info.path) as opened:
        return [[inside(span) for span in of_piece] for of_piece in ends]
