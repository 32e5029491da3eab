"""Frame skipping: decode only the frames that requested times need, and those that they depend on.

The functions work on packets before decoding. They drop packets, or set the decoder's `skip_frame` option, with which
FFmpeg skips non-reference frames (frames that no other frame is predicted from).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, takewhile

from av.packet import Packet
from av.video.stream import VideoStream

from .nal_units import SLICE_TYPES, length_size, nal_units

LOOKAHEAD_PACKETS = 128   # Packets that are inspected before one is passed on; two seconds at 60 fps.
HISTORY_PACKETS = 40      # Packets that are remembered; a frame is shown at most 16 frames after it is decoded.
REFRESH_TYPES = dict(h264={5}, hevc={19, 20})   # NAL unit types of IDR frames, which reset the decoder.
PARAMETER_TYPES = dict(h264={7, 8, 13, 15}, hevc={32, 33, 34})   # Parameter sets, which later frames need too.
NO_OUTPUT_OF_PRIOR_PICS = 0x40   # Bit in the third byte of an HEVC slice: earlier frames not yet shown are discarded.


def skip_unneeded(packets: Iterable[Packet], stream: VideoStream, ticks: list[int]) -> Iterator[Packet]:
    """Yield the packets that requested frames need, and make the decoder skip unneeded frames among them.

    A non-reference frame is skipped if, according to the surrounding packets, no requested time falls into its display
    time. Packets are dropped if no requested time falls between them and the next IDR frame.

    Args:
        packets: packets of an H.264 or HEVC stream in which every packet is a frame or a field.
        stream: the stream that decodes them.
        ticks: requested time stamps in the stream's time base, ascending.
    """
    source, neighbors = iter(packets), _Neighbors()
    ahead: deque[_InspectedPacket] = deque()
    refreshes: deque[int] = deque()   # Time stamps of the IDR frames ahead.
    dropping = False
    context = stream.codec_context
    codec, extradata = context.codec.canonical_name, context.extradata or b""
    while True:
        for packet in islice(source, LOOKAHEAD_PACKETS + 1 - len(ahead)):
            ahead.append(_inspect(packet, codec, extradata))
            if ahead[-1].is_refresh:
                refreshes.append(packet.pts)
            neighbors.add(packet)
        if not ahead:
            return
        current = ahead.popleft()
        if current.is_refresh:
            refreshes.popleft()
        unneeded = bool(refreshes and not neighbors.unknown and _unneeded(current, ahead, refreshes[0], ticks))
        if not (unneeded and dropping):   # The first one may be the second field of a requested frame.
            context.skip_frame = neighbors.skip_frame(current.packet, ticks)
            yield current.packet
        dropping = unneeded
        neighbors.pass_by(current.packet)


def skip_nonref_before(packets: Iterable[Packet], stream: VideoStream, time_s: Fraction) -> Iterator[Packet]:
    """Yield all packets, and make the decoder skip non-reference frames before a time.

    Args:
        packets: packets of any stream; some decoders skip nothing.
        stream: the stream that decodes them.
        time_s: time stamp in seconds.
    """
    stream.codec_context.open(strict=False)   # The AV1 decoder ignores options that change after its first packet.
    try:
        for packet in packets:
            early = packet.pts is not None and packet.pts * stream.time_base < time_s
            stream.codec_context.skip_frame = "NONREF" if early else "DEFAULT"
            yield packet
    finally:
        stream.codec_context.skip_frame = "DEFAULT"


@dataclass(frozen=True)
class _InspectedPacket:
    """A packet and what its NAL units reveal.

    Attributes:
        packet: the packet.
        is_refresh: True if it is an IDR frame.
        droppable: True if it has a time stamp and contains nothing but its frame.
    """

    packet: Packet
    is_refresh: bool
    droppable: bool


def _inspect(packet: Packet, codec: str, extradata: bytes) -> _InspectedPacket:
    if not packet.size or packet.pts is None or packet.has_sidedata("new_extradata"):
        return _InspectedPacket(packet, False, False)
    data = bytes(packet)
    is_refresh = packet.is_keyframe and is_decoder_refresh(data, codec, extradata)
    return _InspectedPacket(packet, is_refresh, not has_parameter_sets(data, codec, extradata))


def _unneeded(current: _InspectedPacket, ahead: Iterable[_InspectedPacket], refresh: int, ticks: list[int]) -> bool:
    """Return True if no requested time falls on any frame from this one up to the next IDR frame.

    Args:
        current: the packet to decide on.
        ahead: the packets after it.
        refresh: time stamp of the next IDR frame.
        ticks: requested time stamps.
    """
    first_requested = bisect_left(ticks, refresh)

    def can_drop(one: _InspectedPacket) -> bool:
        return one.droppable and one.packet.pts < refresh and bisect_left(ticks, one.packet.pts) == first_requested

    return can_drop(current) and all(map(can_drop, takewhile(lambda one: not one.is_refresh, ahead)))


class _Neighbors:
    """The ascending time stamps of the packets around the current one, without frames that are never shown.

    Attributes:
        stamps: time stamps, ascending.
        unknown: number of packets without a time stamp.
        passed: time stamps of the packets before the current one, in decoding order.
    """

    def __init__(self) -> None:
        self.stamps: list[int] = []
        self.unknown = 0
        self.passed: deque[int | None] = deque()

    def add(self, packet: Packet) -> None:
        """Add an upcoming packet."""
        if packet.size and not packet.is_discard:
            if packet.pts is None:
                self.unknown += 1
            else:
                insort(self.stamps, packet.pts)

    def pass_by(self, packet: Packet) -> None:
        """Move a packet to the passed ones, and forget the oldest if there are too many."""
        if packet.size and not packet.is_discard:
            self.passed.append(packet.pts)
        if len(self.passed) > HISTORY_PACKETS:
            stamp = self.passed.popleft()
            if stamp is None:
                self.unknown -= 1
            else:
                del self.stamps[bisect_left(self.stamps, stamp)]

    def skip_frame(self, packet: Packet, ticks: list[int]) -> str:
        """Return FFmpeg's `skip_frame` value for a packet: NONREF if no requested time falls on its frame."""
        if not packet.size or packet.pts is None or self.unknown:
            return "DEFAULT"
        following = bisect_right(self.stamps, packet.pts)
        requested = bisect_left(ticks, packet.pts)
        needed = requested < len(ticks) and (following == len(self.stamps) or ticks[requested] < self.stamps[following])
        return "DEFAULT" if needed and not packet.is_discard else "NONREF"


def is_decoder_refresh(data: bytes, codec: str, extradata: bytes = b"") -> bool:
    """Return True if no frame from this one on, in decoding order, depends on an earlier frame.

    An HEVC frame that discards earlier frames before they are shown does not count.

    Args:
        data: contents of a packet.
        codec: `h264` or `hevc`.
        extradata: the stream's extradata, which defines how NAL units are separated.
    """
    for kind, begin in nal_units(data, codec, length_size(codec, extradata)):
        if kind in SLICE_TYPES[codec]:
            discards = codec == "hevc" and (begin + 2 >= len(data) or data[begin + 2] & NO_OUTPUT_OF_PRIOR_PICS)
            return kind in REFRESH_TYPES[codec] and not discards
    return False


def has_parameter_sets(data: bytes, codec: str, extradata: bytes = b"") -> bool:
    """Return True if a packet contains parameter sets in addition to its frame; arguments as `is_decoder_refresh`."""
    return any(kind in PARAMETER_TYPES[codec] for kind, _ in nal_units(data, codec, length_size(codec, extradata)))
