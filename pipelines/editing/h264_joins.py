"""Joining of H.264 pieces that start inside an open GOP.

H.264 counts frames in two ways: `frame_num` in decoding order, and the picture order count (POC) in presentation
order; only an IDR frame restarts the count. Where a piece starts at another key frame, a decoder would take the jump
of the counts for lost frames, and show frames in the wrong order or not at all. The slice headers of such a piece are
therefore renumbered so that the counts continue. Both numbers have a fixed length, so nothing else changes.

Sections refer to ITU-T H.264.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from av.video.stream import VideoStream

from pipelines.media.bits import BitReader
from pipelines.media.nal_units import length_size, nal_unit_end, nal_units, stored_parameter_sets
from pipelines.media.probe import VideoInfo

from .copyability import not_copyable

SLICE, PARTITION_A, IDR_SLICE, SEQUENCE_PARAMETERS = 1, 2, 5, 7   # NAL unit types (7.4.1).
SLICES = (SLICE, PARTITION_A, IDR_SLICE)                          # Those that begin with a slice header.
HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)   # They state a chroma format.
HEADER_BYTES = 40   # The part of a slice that is certain to contain the counts.
POC_STEP = 2        # Distance of the counts of successive frames; each of two fields may have its own.
UNSUPPORTED = "its pieces begin inside open GOPs, whose numbering of frames is not supported"



@dataclass(frozen=True)
class SequenceParameters:
    """The part of a sequence parameter set that the position of the counts depends on (7.3.2.1.1)."""

    separate_planes: bool
    frame_num_bits: int
    poc_type: int
    poc_bits: int
    only_frames: bool


@dataclass(frozen=True)
class SliceHeader:
    """The counts in a slice header.

    Attributes:
        is_idr: True if the slice belongs to an IDR frame.
        is_reference: True if later frames may depend on the frame.
        frame_num: number in decoding order.
        frame_num_at: position of its first bit.
        poc: the least significant bits of the picture order count; 0 if the stream stores none.
        poc_at: position of its first bit.
    """

    is_idr: bool
    is_reference: bool
    frame_num: int
    frame_num_at: int
    poc: int
    poc_at: int


class H264Joiner:
    """Continues the counts of frames across the joins of a cut.

    Args:
        info: properties of the video, for messages.
        stream: the stream whose packets are copied.
    """

    def __init__(self, info: VideoInfo, stream: VideoStream):
        self.info = info
        extradata = stream.codec_context.extradata or b""
        self.prefix_size = length_size("h264", extradata)
        sets = [data for data in stored_parameter_sets("h264", extradata) if data[0] & 31 == SEQUENCE_PARAMETERS]
        self.sequence = parse_sequence_parameters(sets[0]) if len(sets) == 1 else None
        self.frame_num_shift = self.poc_shift = 0
        self.latest = self.latest_shown = b""
        self.latest_pts = -1

    def join(self, data: bytes, pts: int, starts_piece: bool) -> bytes:
        """Return the contents of a packet with counts that continue those of the packets before.

        Args:
            data: contents of the packet, in stored order.
            pts: presentation time of the packet in the result.
            starts_piece: True for the first packet of a piece other than the first.

        Raises:
            NotCopyableError: the counts cannot be continued.
        """
        if starts_piece:
            self._continue_counts(data)
        if self.frame_num_shift or self.poc_shift:
            data = self._renumbered(data)
        self.latest = data
        if pts > self.latest_pts:
            self.latest_shown, self.latest_pts = data, pts
        return data

    def _continue_counts(self, data: bytes) -> None:
        """Set the shifts for a piece that starts with a packet."""
        self.frame_num_shift = self.poc_shift = 0
        first = self._header(data)
        if first.is_idr:
            return
        before, shown_before = self._header(self.latest), self._header(self.latest_shown)
        self.frame_num_shift = before.frame_num + before.is_reference - first.frame_num
        self.poc_shift = shown_before.poc + POC_STEP - first.poc

    def _header(self, data: bytes) -> SliceHeader:
        if self.sequence is None or self.sequence.poc_type == 1:
            raise not_copyable(self.info, UNSUPPORTED)
        for kind, begin in nal_units(data, "h264", self.prefix_size):
            if kind in SLICES:
                return parse_slice_header(unescape(data[begin:begin + HEADER_BYTES]), self.sequence)
        raise not_copyable(self.info, UNSUPPORTED)

    def _renumbered(self, data: bytes) -> bytes:
        assert self.sequence is not None
        parts, done = [], 0
        for kind, begin in nal_units(data, "h264", self.prefix_size):
            if kind not in SLICES:
                continue
            if kind == IDR_SLICE:
                self.frame_num_shift = self.poc_shift = 0   # The counts restart.
                return data
            end = nal_unit_end(data, begin, self.prefix_size)
            unit = self._shifted(data[begin:end])
            prefix = len(unit).to_bytes(self.prefix_size, "big") if self.prefix_size else b""
            parts += [data[done:begin - self.prefix_size], prefix, unit]
            done = end
        return b"".join([*parts, data[done:]])

    def _shifted(self, unit: bytes) -> bytes:
        """Return a slice with shifted counts."""
        assert self.sequence is not None
        size = min(HEADER_BYTES, len(unit))
        while size < len(unit) and unit[size - 1] <= 3:   # Keep zeros together with an emulation prevention byte (3).
            size += 1
        plain = unescape(unit[:size])
        header, value, n_bits = parse_slice_header(plain, self.sequence), int.from_bytes(plain, "big"), 8 * len(plain)
        for at, width, old, shift in (
                (header.frame_num_at, self.sequence.frame_num_bits, header.frame_num, self.frame_num_shift),
                (header.poc_at, self.sequence.poc_bits, header.poc, self.poc_shift)):
            value ^= (old ^ (old + shift) % (1 << width)) << n_bits - at - width
        return escape(value.to_bytes(len(plain), "big")) + unit[size:]


def parse_sequence_parameters(unit: bytes) -> SequenceParameters:
    """Parse the beginning of a sequence parameter set (7.3.2.1.1).

    Args:
        unit: the NAL unit.
    """
    bits = BitReader(unescape(unit)[1:])
    profile = bits.read(8)
    bits.read(16)
    bits.read_ue()
    separate_planes = False
    if profile in HIGH_PROFILES:
        chroma_format = bits.read_ue()
        separate_planes = chroma_format == 3 and bool(bits.read(1))
        bits.read_ue()
        bits.read_ue()
        bits.read(1)
        if bits.read(1):
            for i in range(12 if chroma_format == 3 else 8):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if i < 6 else 64)
    frame_num_bits, poc_type, poc_bits = bits.read_ue() + 4, bits.read_ue(), 0
    if poc_type == 0:
        poc_bits = bits.read_ue() + 4
    elif poc_type == 1:
        bits.read(1)
        bits.read_se()
        bits.read_se()
        for _ in range(bits.read_ue()):
            bits.read_se()
    bits.read_ue()
    bits.read(1)
    bits.read_ue()
    bits.read_ue()
    return SequenceParameters(separate_planes, frame_num_bits, poc_type, poc_bits, bool(bits.read(1)))


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    """Skip a scaling list (7.3.2.1.1.1)."""
    scale = 8
    for _ in range(size):
        scale = (scale + bits.read_se()) % 256
        if scale == 0:   # The rest repeats the last value.
            return


def parse_slice_header(unit: bytes, sequence: SequenceParameters) -> SliceHeader:
    """Parse the beginning of a slice header (7.3.3).

    Args:
        unit: the beginning of the NAL unit, without emulation prevention bytes.
        sequence: the sequence parameters of the slice.
    """
    bits = BitReader(unit)
    bits.read(1)
    is_reference, is_idr = bits.read(2) > 0, bits.read(5) == IDR_SLICE
    for _ in range(3):   # The first macroblock, the type of the slice, and its picture parameter set.
        bits.read_ue()
    if sequence.separate_planes:
        bits.read(2)
    frame_num_at, frame_num = bits.position, bits.read(sequence.frame_num_bits)
    if not sequence.only_frames and bits.read(1):
        bits.read(1)
    if is_idr:
        bits.read_ue()
    poc_at, poc = bits.position, bits.read(sequence.poc_bits)
    return SliceHeader(is_idr, is_reference, frame_num, frame_num_at, poc, poc_at)


def unescape(data: bytes) -> bytes:
    """Remove the emulation prevention bytes of a NAL unit (7.4.1)."""
    return data.replace(b"\0\0\3", b"\0\0")


def escape(data: bytes) -> bytes:
    """Insert emulation prevention bytes into a NAL unit (7.4.1)."""
    return re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\0\0\3", data)
