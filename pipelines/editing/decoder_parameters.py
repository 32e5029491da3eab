"""Detection of frames that need other decoder parameters than the rest, such as another resolution.

An mp4 has one sample description, which holds the parameters of all frames. Frames with other parameters can therefore
not be copied into it.
"""

from __future__ import annotations

import re

from av.packet import Packet
from av.video.stream import VideoStream

from pipelines.media.bits import BitReader
from pipelines.media.nal_units import length_size, parameter_sets, stored_parameter_sets

MPEG4_LAYER = re.compile(rb"\x00\x00\x01[\x20-\x2f].*?(?=\x00\x00\x01|$)", re.DOTALL)   # ISO/IEC 14496-2, 6.2.3.
AV1_SEQUENCE_HEADER, AV1_FRAMES = 1, (3, 6)   # OBU types (AV1 specification, 6.2.2).
VP9_HEADER_BYTES = 32     # The part of a frame that may contain its size.
VP9_SYNC_CODE = 0x498342


class DecoderParameters:
    """The decoder parameters of the frames that are copied into one mp4.

    Args:
        stream: the video stream that is copied.
    """

    def __init__(self, stream: VideoStream):
        context = stream.codec_context
        self.codec, self.extradata = context.codec.canonical_name, context.extradata or b""
        self.prefix_size, self.known = 0, set[bytes]()
        if self.codec in ("h264", "hevc"):
            self.prefix_size = length_size(self.codec, self.extradata)
            self.known = stored_parameter_sets(self.codec, self.extradata)
        elif self.codec == "vp9":
            self.known = {_size(context.width, context.height)}
        elif self.codec == "mpeg4":
            self.known = set(MPEG4_LAYER.findall(self.extradata))
        # The stored sequence header of AV1 does not count, because encoders write other ones into the stream.

    def fit(self, packet: Packet) -> bool:
        """Return False if a packet contains parameters other than those of the stream or of earlier packets."""
        if packet.has_sidedata("new_extradata"):
            return bytes(packet.get_sidedata("new_extradata")) == self.extradata
        found = self._parameters(packet)
        self.known = self.known or found
        return found <= self.known

    def _parameters(self, packet: Packet) -> set[bytes]:
        if self.codec == "vp9":
            return _vp9_sizes(bytes(memoryview(packet)[:VP9_HEADER_BYTES]))
        if not packet.is_keyframe:
            return set()
        if self.codec in ("h264", "hevc"):
            return parameter_sets(bytes(packet), self.codec, self.prefix_size)
        if self.codec == "av1":
            return _av1_sequence_headers(bytes(packet))
        return set(MPEG4_LAYER.findall(bytes(packet))) if self.codec == "mpeg4" else set()


def _size(width: int, height: int) -> bytes:
    return f"{width}x{height}".encode()


def _av1_sequence_headers(data: bytes) -> set[bytes]:
    """Return the sequence headers before the first frame (AV1 specification, 5.3)."""
    found, at = set(), 0
    while at < len(data):
        kind, has_extension, has_size = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + has_extension
        size = len(data) - at
        if has_size:
            size, shift = 0, 0
            while at < len(data):   # A variable-length number with seven bits per byte.
                byte, at = data[at], at + 1
                size, shift = size | (byte & 127) << shift, shift + 7
                if byte < 128:
                    break
        if kind in AV1_FRAMES:
            break
        if kind == AV1_SEQUENCE_HEADER:
            found.add(data[at:at + size])
        at += size
    return found


def _vp9_sizes(data: bytes) -> set[bytes]:
    """Return the size that a frame states; none if it has the size of a reference frame (VP9 specification, 6.2)."""
    bits = BitReader(data)
    if bits.read(2) != 2:   # The frame marker.
        return set()
    profile = bits.read(1) | bits.read(1) << 1
    if profile == 3:
        bits.read(1)
    if bits.read(1):   # An earlier frame is shown again.
        return set()
    is_inter, shown, error_resilient = bits.read(1), bits.read(1), bits.read(1)
    intra_only = bits.read(1) if is_inter and not shown else 0
    if is_inter and not error_resilient:
        bits.read(2)
    if not is_inter or intra_only:
        if bits.read(24) != VP9_SYNC_CODE:
            return set()
        if not is_inter or profile > 0:
            _skip_vp9_colors(bits, profile)
        if intra_only:
            bits.read(8)
    else:
        bits.read(8 + 3 * 4)   # The frames to refresh, and three reference frames.
        if any(bits.read(1) for _ in range(3)):
            return set()
    width, height = bits.read(16) + 1, bits.read(16) + 1
    return {_size(width, height)}


def _skip_vp9_colors(bits: BitReader, profile: int) -> None:
    if profile >= 2:
        bits.read(1)   # 10 or 12 bits.
    if bits.read(3) != 7:   # Not RGB.
        bits.read(1)
        if profile in (1, 3):
            bits.read(3)
    elif profile in (1, 3):
        bits.read(1)
