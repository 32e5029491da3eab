"""NAL units: the parts of a packet of H.264 (ITU-T H.264, 7.3.1) or HEVC (ITU-T H.265, 7.3.1)."""

from __future__ import annotations

from collections.abc import Iterator

START_CODE = b"\0\0\1"
SLICE_TYPES = dict(h264=range(1, 6), hevc=range(32))           # Types of NAL units that contain a frame's data.
PARAMETER_SET_TYPES = dict(h264={7, 8}, hevc={32, 33, 34})     # Sequence, picture, and in HEVC also video parameters.
ARRAYS_AT = dict(h264=5, hevc=22)   # Offset of the parameter sets in the decoder configuration of an mp4 or Matroska.


def length_size(codec: str, extradata: bytes) -> int:
    """Return the number of bytes of the length prefix of NAL units; 0 if start codes separate them.

    Args:
        codec: `h264` or `hevc`.
        extradata: the stream's extradata. Streams with length prefixes, as in mp4 (ISO/IEC 14496-15), store a decoder
            configuration there.
    """
    size_at = ARRAYS_AT[codec] - 1
    return (extradata[size_at] & 3) + 1 if len(extradata) > size_at and extradata[0] == 1 else 0


def nal_units(data: bytes, codec: str, prefix_size: int) -> Iterator[tuple[int, int]]:
    """Yield the type and the offset of each NAL unit of a packet.

    Args:
        data: contents of the packet.
        codec: `h264` or `hevc`.
        prefix_size: the result of `length_size`.
    """
    width = prefix_size or len(START_CODE)
    begin = 0 if prefix_size else data.find(START_CODE)
    while 0 <= begin and begin + width < len(data):
        header = data[begin + width]
        yield header & 31 if codec == "h264" else header >> 1 & 63, begin + width
        if prefix_size:
            begin += width + int.from_bytes(data[begin:begin + width], "big")
        else:
            begin = data.find(START_CODE, begin + width)


def nal_unit_end(data: bytes, begin: int, prefix_size: int) -> int:
    """Return the offset of the end of the NAL unit at the offset `begin`; other arguments as `nal_units`."""
    if prefix_size:
        return begin + int.from_bytes(data[begin - prefix_size:begin], "big")
    end = data.find(START_CODE, begin)
    return end if end >= 0 else len(data)


def parameter_sets(data: bytes, codec: str, prefix_size: int) -> set[bytes]:
    """Return the parameter sets in a packet, without trailing zeros; arguments as `nal_units`."""
    found = set()
    for kind, begin in nal_units(data, codec, prefix_size):
        if kind in PARAMETER_SET_TYPES[codec]:
            found.add(data[begin:nal_unit_end(data, begin, prefix_size)].rstrip(b"\0"))
        elif kind in SLICE_TYPES[codec]:
            break   # Parameter sets precede the slices that use them.
    return found


def stored_parameter_sets(codec: str, extradata: bytes) -> set[bytes]:
    """Return the parameter sets in a stream's extradata, without trailing zeros.

    Args:
        codec: `h264` or `hevc`.
        extradata: a decoder configuration, or NAL units with start codes.
    """
    if not length_size(codec, extradata):
        return parameter_sets(extradata, codec, 0)
    found, at = set(), ARRAYS_AT[codec]
    n_arrays = 2 if codec == "h264" else int.from_bytes(extradata[at:at + 1], "big")
    at += 0 if codec == "h264" else 1
    for _ in range(n_arrays):
        if codec == "h264":
            n_sets, at = int.from_bytes(extradata[at:at + 1], "big") & 31, at + 1
        else:
            n_sets, at = int.from_bytes(extradata[at + 1:at + 3], "big"), at + 3
        for _ in range(n_sets):
            end = at + 2 + int.from_bytes(extradata[at:at + 2], "big")
            found.add(extradata[at + 2:end].rstrip(b"\0"))
            at = end
    return found
