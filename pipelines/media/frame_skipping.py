"""Decoding no more of a stream than the pictures asked for need."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, takewhile

from av.packet import Packet
from av.video.stream import VideoStream

AHEAD = 128   # packets seen before one is given; two seconds at 60 a second
BEHIND = 40   # packets remembered; pictures are shown at most 16 later than they are decoded
FRESH_STARTS = dict(h264={5}, hevc={19, 20})   # kinds of pictures before which all may be forgotten
SLICES = dict(h264=range(1, 6), hevc=range(32))
SETTINGS = dict(h264={7, 8, 13, 15}, hevc={32, 33, 34})   # of later pictures too
HIDES_EARLIER = 0x40   # in an HEVC slice's third byte: pictures that were not shown yet never are


def spared(packets: Iterable[Packet], stream: VideoStream, ticks: list[int]) -> Iterator[Packet]:
    """Gives the packets that pictures asked for need, and lets the decoder leave out pictures in them.

    Left out is a picture that no other is made from and that no time falls to, as far as the packets
    around it tell. Not given at all are packets after which no time falls before the next fresh start.

    Args:
        packets: of an H.264 or HEVC stream, whose every packet is a picture.
        ticks: the times asked for, ascending, own time stamps in the stream's time base.
    """
    source, ahead, around = iter(packets), deque(), _Around()
    starts, dropping = deque(), False   # time stamps of the fresh starts ahead
    context = stream.codec_context
    units = dict(codec=context.codec.canonical_name, extradata=context.extradata or b"")
    while True:
        for packet in islice(source, AHEAD + 1 - len(ahead)):
            ahead.append(_look_at(packet, **units))
            if ahead[-1].fresh:
                starts.append(packet.pts)
            around.enter(packet)
        if not ahead:
            return
        seen = ahead.popleft()
        if seen.fresh:
            starts.popleft()
        needless = bool(starts and not around.unknown and _needless(seen, ahead, starts[0], ticks))
        if not (needless and dropping):   # the first one may be the second half of a picture that is wanted
            context.skip_frame = around.skip_frame(seen.packet, ticks)
            yield seen.packet
        dropping = needless
        around.leave(seen.packet)


def spared_before(packets: Iterable[Packet], stream: VideoStream, time_s: Fraction) -> Iterator[Packet]:
    """Gives all packets, and lets the decoder leave out pictures before a time that no other is made from.

    Args:
        packets: of any stream that is read from here on; some decoders leave out nothing.
        time_s: own time stamp in seconds.
    """
    stream.codec_context.open(strict=False)   # AV1's decoder would keep to what it is opened with
    try:
        for packet in packets:
            early = packet.pts is not None and packet.pts * stream.time_base < time_s
            stream.codec_context.skip_frame = "NONREF" if early else "DEFAULT"
            yield packet
    finally:
        stream.codec_context.skip_frame = "DEFAULT"


@dataclass(frozen=True)
class _Seen:
    """A packet; whether it is a fresh start, and whether it is a picture with a time stamp and no more."""

    packet: Packet
    fresh: bool
    plain: bool


def _look_at(packet: Packet, codec: str, extradata: bytes) -> _Seen:
    if not packet.size or packet.pts is None or packet.has_sidedata("new_extradata"):
        return _Seen(packet, False, False)
    data = bytes(packet)
    fresh = packet.is_keyframe and starts_afresh(data, codec, extradata)
    return _Seen(packet, fresh, not has_settings(data, codec, extradata))


def _needless(seen: _Seen, ahead: Iterable[_Seen], start: int, ticks: list[int]) -> bool:
    """Whether no time falls to any picture before the next fresh start, between the first shown of them and it."""
    asked = bisect_left(ticks, start)

    def spare(one: _Seen) -> bool:
        return one.plain and one.packet.pts < start and bisect_left(ticks, one.packet.pts) == asked

    return spare(seen) and all(map(spare, takewhile(lambda one: not one.fresh, ahead)))


class _Around:
    """The time stamps of the packets around one, ascending; hidden pictures do not count."""

    def __init__(self):
        self.stamps: list[int] = []
        self.unknown = 0
        self.behind: deque[int | None] = deque()

    def enter(self, packet: Packet) -> None:
        if packet.size and not packet.is_discard:
            if packet.pts is None:
                self.unknown += 1
            else:
                insort(self.stamps, packet.pts)

    def leave(self, packet: Packet) -> None:
        """The packet is behind now; one that is too far behind is forgotten."""
        if packet.size and not packet.is_discard:
            self.behind.append(packet.pts)
        if len(self.behind) > BEHIND:
            stamp = self.behind.popleft()
            if stamp is None:
                self.unknown -= 1
            else:
                del self.stamps[bisect_left(self.stamps, stamp)]

    def skip_frame(self, packet: Packet, ticks: list[int]) -> str:
        """FFmpeg's name for what the decoder may leave out of the packet."""
        if not packet.size or packet.pts is None or self.unknown:
            return "DEFAULT"
        following = bisect_right(self.stamps, packet.pts)
        asked = bisect_left(ticks, packet.pts)
        wanted = asked < len(ticks) and (following == len(self.stamps) or ticks[asked] < self.stamps[following])
        return "DEFAULT" if wanted and not packet.is_discard else "NONREF"


def starts_afresh(data: bytes, codec: str, extradata: bytes = b"") -> bool:
    """Whether no picture from this one on, in the order of decoding, is made from one before it.

    Args:
        data: of a packet.
        codec: `h264` or `hevc`.
        extradata: the stream's, which tells how units are parted.
    """
    for kind, begin in _units(data, codec, extradata):
        if kind in SLICES[codec]:
            hides = codec == "hevc" and (begin + 2 >= len(data) or data[begin + 2] & HIDES_EARLIER)
            return kind in FRESH_STARTS[codec] and not hides
    return False


def has_settings(data: bytes, codec: str, extradata: bytes = b"") -> bool:
    """Whether a packet holds more than its picture; arguments as `starts_afresh`."""
    return any(kind in SETTINGS[codec] for kind, _ in _units(data, codec, extradata))


def _units(data: bytes, codec: str, extradata: bytes) -> Iterator[tuple[int, int]]:
    """Kind and begin of a packet's units, parted by lengths before them, as in mp4, or by start codes."""
    sizes_at = dict(h264=4, hevc=21)[codec]
    by_length = len(extradata) > sizes_at and extradata[0] == 1
    width = (extradata[sizes_at] & 3) + 1 if by_length else 3
    begin = 0 if by_length else data.find(b"\0\0\1")
    while 0 <= begin and begin + width < len(data):
        head = data[begin + width]
        yield head & 31 if codec == "h264" else head >> 1 & 63, begin + width
        if by_length:
            begin += width + int.from_bytes(data[begin:begin + width], "big")
        else:
            begin = data.find(b"\0\0\1", begin + width)
