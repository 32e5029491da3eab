"""Presentation times of frames whose container stores none, or not all: AVI, elementary streams, program streams.

Such a stream has one frame per frame duration, stored in decoding order. With B-frames that is not the order in which
they are shown. Nevertheless the decoding times, shifted by a constant, are the set of all presentation times. A decoder
returns the frames in the order in which they are shown, so the first frame is shown at the earliest of these times, the
second one at the next, and so on.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction

from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

MAX_SKIP_S = 10           # If decoding times skip more, another recording begins.
MAX_DECODER_DELAY = 64    # Packets that a decoder may have received but not returned when it returns a frame.
AVI, ELEMENTARY_FORMATS = "avi", ("h264", "hevc")   # FFmpeg's names of formats without presentation times.
REORDERED_CODECS = {"h264", "hevc"}   # Codecs whose presentation times FFmpeg does not derive from the frames' types.
PACKED_B_FRAMES = re.compile(rb"DivX\d+(?:b|Build)\d+p")   # User data: a packet may contain a P-frame and a B-frame.
VOP_START = b"\0\0\1\xb6"   # Start code of an MPEG-4 frame (ISO/IEC 14496-2) ...
B_VOP = 2                   # ... and the coding type of B-frames.


class PresentationClock:
    """A source of presentation times for packets in decoding order.

    Attributes:
        delay: presentation minus decoding time of the first packet, in ticks.
        restarted: True if the decoding time of the last packet did not continue that of the previous one.
    """

    def __init__(self, tick_s: Fraction, rate: Fraction):
        """Start a clock for a stream with time stamps in units of `tick_s` seconds and `rate` frames per second."""
        self.default_duration, self.max_step = max(1, round(1 / rate / tick_s)), int(MAX_SKIP_S / tick_s)
        self.delay, self.restarted = 0, False
        self._last: int | None = None
        self._next = 0

    def decoding_time(self, packet: Packet) -> int:
        """Return the decoding time of the next packet, in ticks; it continues that of the previous one if missing."""
        stamp = packet.pts if packet.dts is None else packet.dts
        time = self._next if stamp is None else stamp
        self.restarted = self._last is None or not 0 <= time - self._last <= self.max_step
        if self.restarted:
            self.delay = 0 if packet.pts is None else packet.pts - time
        self._last, self._next = time, time + (packet.duration or self.default_duration)
        return time

    def presentation_time(self, packet: Packet) -> int:
        """Return the presentation time of the frame that is the next one shown, not of the frame in the packet."""
        return self.decoding_time(packet) + self.delay


class FrameStamper:
    """Sets the presentation times of decoded frames that have none.

    Args:
        clock: a clock for the stream.
    """

    def __init__(self, clock: PresentationClock):
        self.clock, self.times, self.last = clock, deque[int](maxlen=MAX_DECODER_DELAY), None

    def send(self, packet: Packet) -> None:
        """Prepare a packet for the decoder."""
        time = self.clock.presentation_time(packet)
        self.times.append(time)
        if packet.pts is None:
            packet.dts = None   # FFmpeg would derive wrong presentation times from it.
            packet.opaque = time

    def stamp(self, frame: VideoFrame) -> VideoFrame:
        """Return the next frame from the decoder with a presentation time."""
        if frame.pts is None:
            earliest = self.times[0] if self.last is None else self.last + 1
            if frame.key_frame and frame.opaque is not None:
                earliest = max(earliest, frame.opaque)   # Frames before it may be damaged.
            frame.pts = next((time for time in self.times if time >= earliest), None)
        self.last = frame.pts
        return frame


def with_presentation_times(packets: Iterable[Packet], stream: VideoStream, clock: PresentationClock,
                            container_name: str) -> Iterator[Packet]:
    """Yield packets with their presentation times if these can be derived from packets, else with none, not wrong ones.

    Args:
        packets: packets of a video stream, from its start or from a key frame on.
        stream: the stream.
        clock: a clock for the stream.
        container_name: FFmpeg's name of the container's format.
    """
    if container_name == AVI and _is_packed(stream):
        return _reordered(_unpacked(packets, stream))
    if container_name in ELEMENTARY_FORMATS or lacks_presentation_times(stream, container_name):
        return _without_presentation_times(packets, clock)
    return iter(packets)


def lacks_presentation_times(stream: VideoStream, container_name: str) -> bool:
    """Return True for an AVI file whose presentation times are known only if it is read from its start."""
    context = stream.codec_context
    return container_name == AVI and context is not None and (
        (context.name in REORDERED_CODECS and context.has_b_frames) or _is_packed(stream))


def _is_packed(stream: VideoStream) -> bool:
    context = stream.codec_context
    return context is not None and context.name == "mpeg4" and bool(PACKED_B_FRAMES.search(context.extradata or b""))


def _without_presentation_times(packets: Iterable[Packet], clock: PresentationClock) -> Iterator[Packet]:
    """Remove the presentation times, which FFmpeg estimates, and leave the times of the set as decoding times.

    A frame is decoded one frame duration before the next one. Some AVI files begin with a frame, an empty chunk, and
    the other frames; the first frame then begins with the empty chunk.
    """
    held = None
    for packet in packets:
        packet.pts = None
        if packet.size:
            packet.dts = clock.decoding_time(packet)
        if held is not None:
            if packet.dts is not None:
                held.dts = packet.dts - (held.duration or clock.default_duration)
            yield held
        held = packet
    if held is not None:
        yield held


def _unpacked(packets: Iterable[Packet], stream: VideoStream) -> Iterator[Packet]:
    """Yield one frame per packet; the second frame of a packet takes the place of the empty packet that follows."""
    unpack = BitStreamFilterContext("mpeg4_unpack_bframes", stream)
    for packet in packets:
        is_end = not packet.size
        for unpacked in unpack.filter(None if is_end else packet):
            unpacked.stream, unpacked.time_base = stream, stream.time_base
            yield unpacked
        if is_end:
            yield packet


def _reordered(packets: Iterable[Packet]) -> Iterator[Packet]:
    """Set the presentation times of MPEG-4 packets, of which only B-frames are stored after the frame shown next."""
    group: list[Packet] = []   # A reference frame and the B-frames that are shown before it.
    for packet in packets:
        if group and _is_b_vop(packet):
            packet.pts = packet.dts - packet.duration
            group.append(packet)
            continue
        if group:
            group[0].pts = packet.dts - group[0].duration if packet.size else group[-1].dts
            yield from group
        group = [packet]
    yield from group


def _is_b_vop(packet: Packet) -> bool:
    data = bytes(packet)
    begin = data.find(VOP_START) + len(VOP_START)
    return len(VOP_START) <= begin < len(data) and data[begin] >> 6 == B_VOP
