"""Joining of copied pieces: a decoder must not continue from one piece to the next."""

from __future__ import annotations

from av.packet import Packet
from av.video.stream import VideoStream

from pipelines.media.frame_skipping import NO_OUTPUT_OF_PRIOR_PICS
from pipelines.media.nal_units import PARAMETER_SET_TYPES, length_size, nal_unit_end, nal_units
from pipelines.media.probe import VideoInfo

from .h264_joins import H264Joiner

CRA, BLA_N_LP = 21, 18                # NAL unit types of ITU-T H.265, 7.4.2.2.
RANDOM_ACCESS_TYPES = range(16, 24)   # NAL unit types of the slices at which decoding can start.


class Joiner:
    """Adapts the packets of pieces to the cut that they become part of.

    Args:
        info: properties of the video, for messages.
        stream: the stream whose packets are copied.
        n_pieces: number of pieces of the cut.
    """

    def __init__(self, info: VideoInfo, stream: VideoStream, n_pieces: int):
        self.codec = stream.codec_context.codec.canonical_name
        self.prefix_size = 0
        if self.codec == "hevc":
            self.prefix_size = length_size(self.codec, stream.codec_context.extradata or b"")
        self.h264 = H264Joiner(info, stream) if self.codec == "h264" and n_pieces > 1 else None

    def adapt(self, packet: Packet, pts: int, starts_piece: bool) -> Packet:
        """Return a packet for the cut.

        Args:
            packet: packet of the source, in stored order.
            pts: its presentation time in the result.
            starts_piece: True for the first packet of a piece other than the first.

        Raises:
            NotCopyableError: the pieces cannot be joined.
        """
        data = b""
        if self.h264 is not None:
            data = self.h264.join(bytes(packet), pts, starts_piece)
        elif self.codec == "hevc" and packet.is_keyframe:
            data = bytes(packet)
            data = self._without_parameter_sets(data) if self.prefix_size else data
            data = start_anew(data, self.prefix_size) if starts_piece else data
        if not data or data == bytes(packet):
            return packet
        adapted = Packet(data)
        adapted.is_keyframe, adapted.time_base = packet.is_keyframe, packet.time_base
        return adapted

    def _without_parameter_sets(self, data: bytes) -> bytes:
        """Return an HEVC packet without parameter sets, which an mp4 of the type hvc1 stores elsewhere.

        If start codes separate the NAL units, the muxer removes them.
        """
        units = [(kind, begin - self.prefix_size, nal_unit_end(data, begin, self.prefix_size))
                 for kind, begin in nal_units(data, self.codec, self.prefix_size)]
        return b"".join(data[begin:end] for kind, begin, end in units if kind not in PARAMETER_SET_TYPES[self.codec])


def start_anew(data: bytes, prefix_size: int) -> bytes:
    """Return a packet at which an HEVC decoder does not continue from earlier frames.

    A stream with open GOPs has key frames of the type CRA, at which a decoder that has decoded earlier frames keeps
    counting. In a cut, it would count from the previous piece, and show frames in the wrong order. Key frames of the
    type BLA, "broken link access", are meant for joins: the decoder shows all earlier frames and starts anew. The types
    differ in the NAL unit header only.

    Args:
        data: contents of a packet with a key frame whose leading frames are not copied.
        prefix_size: see `nal_units`.
    """
    changed = bytearray(data)
    for kind, begin in nal_units(data, "hevc", prefix_size):
        if kind == CRA:
            changed[begin] = BLA_N_LP << 1 | data[begin] & 1
        if kind in RANDOM_ACCESS_TYPES and begin + 2 < len(data):
            # A zero byte might need an emulation prevention byte; the flag of the first slice never leaves one.
            changed[begin + 2] = data[begin + 2] & ~NO_OUTPUT_OF_PRIOR_PICS or data[begin + 2]
    return bytes(changed)
