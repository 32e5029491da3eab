"""Reading of packets from key frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from pipelines.media.container import read_packets, seek
from pipelines.media.frames import SEEK_EARLIER_S
from pipelines.media.probe import VideoInfo

from .copyability import not_copyable

MAX_DECODE_LEAD_S = 2         # A packet is stored at most this long before its presentation time, ...
MAX_REORDERED_PACKETS = 32    # ... or this many packets before, if frames are rarer: 16 frames of two fields.


def packets_from_key(container: InputContainer, stream: VideoStream, info: VideoInfo,
                     time_s: Fraction) -> Iterator[Packet]:
    """Yield packets in stored order from the last key frame at or before a time, else from the first key frame.

    Seeking may end at a packet after the time, so earlier seek positions are tried, finally the start of the file.

    Args:
        container: an open file.
        stream: video stream of the file.
        info: properties of the video.
        time_s: a presentation time of the stream, in seconds.

    Raises:
        NotCopyableError: there is no key frame.
    """
    time = time_s // stream.time_base
    for earlier_s in (*SEEK_EARLIER_S, None):
        if earlier_s is None or time_s - info.start_s <= earlier_s:
            from_start, seek_s = True, info.start_s - 1
        else:
            from_start, seek_s = False, time_s - earlier_s
        if not seek(container, stream, seek_s) and not from_start:
            continue
        key = _last_key(container, stream, time, info.start_s // stream.time_base, from_start)
        if key is not None:
            break
    else:
        raise not_copyable(info, "has no key frame to start at")
    seek(container, stream, seek_s)
    started = False
    for packet in read_packets(container, stream):
        if packet.size and packet.pts is not None:
            started = started or (packet.is_keyframe and packet.pts == key)
            if started:
                yield packet


def packets_until(packets: Iterator[Packet], stream: VideoStream, end_s: Fraction) -> Iterator[Packet]:
    return itertools.takewhile(lambda packet: packet.pts * stream.time_base < end_s + MAX_DECODE_LEAD_S, packets)


def without_discarded(packets: Iterator[Packet], stream: VideoStream, info: VideoInfo) -> Iterator[Packet]:
    """Yield packets up to the first one that an edit list hides; hidden packets before the first frame are included.

    Raises:
        NotCopyableError: the edit list hides packets in the middle.
    """
    first, hidden = info.start_s // stream.time_base, None
    for packet in packets:
        if packet.is_discard and packet.pts >= first:
            hidden = packet.pts if hidden is None else max(packet.pts, hidden)
        elif hidden is None:
            yield packet
        elif packet.pts > hidden:
            at_s = float(hidden * stream.time_base - info.start_s)
            raise not_copyable(info, f"its edit list hides frames at {at_s:.1f} s, which copying would show")


def _last_key(container: InputContainer, stream: VideoStream, time: int, first: int, from_start: bool) -> int | None:
    """Return the time stamp of the last key frame at or before `time`, reading from the current position.

    Args:
        container: an open file, positioned by a seek.
        stream: video stream of the file.
        time: a presentation time in ticks.
        first: time stamp of the video's first frame; from it on, frames hidden by an edit list are ignored.
        from_start: True if the position is the start of the file; the first key frame is then accepted even if it is
            later than `time`.
    """
    found = None
    for packet in read_packets(container, stream):
        if not packet.size or packet.pts is None or (packet.is_discard and packet.pts >= first):
            continue
        if packet.is_keyframe and (packet.pts <= time or (from_start and found is None)):
            found = packet.pts
        if (packet.pts - time) * stream.time_base > MAX_DECODE_LEAD_S:
            break
    return found
