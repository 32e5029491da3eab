"""Headers of H.264, HEVC, AV1, VP9 and MPEG-4 frames, written bit by bit."""

from types import SimpleNamespace

import pytest

from pipelines.editing.decoder_parameters import DecoderParameters, _av1_sequence_headers, _vp9_sizes
from pipelines.editing.h264_joins import (
    SequenceParameters,
    SliceHeader,
    escape,
    parse_sequence_parameters,
    parse_slice_header,
)
from pipelines.editing.joins import start_anew


def obu(kind, payload, has_size=True, extension=False):
    """Return an AV1 unit; sizes are variable-length numbers with seven bits per byte."""
    header = bytes([kind << 3 | extension << 2 | has_size << 1]) + (b"\x55" if extension else b"")
    size, n = b"", len(payload)
    while has_size:
        size += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if not n:
            break
    return header + size + payload


DELIMITER, HEADER, FRAME_HEADER, FRAME = 2, 1, 3, 6


@pytest.mark.parametrize(("units", "expected"), [
    pytest.param([obu(DELIMITER, b""), obu(HEADER, b"abc"), obu(FRAME, b"xyz")], {b"abc"}, id="before-the-frame"),
    pytest.param([obu(FRAME, b"xyz"), obu(HEADER, b"abc")], set(), id="after-a-frame"),
    pytest.param([obu(FRAME_HEADER, b"xyz"), obu(HEADER, b"abc")], set(), id="after-a-frame-header"),
    pytest.param([obu(HEADER, b"abc", extension=True), obu(HEADER, b"de")], {b"abc", b"de"}, id="extension"),
    pytest.param([obu(HEADER, b"a" * 300), obu(HEADER, b"de")], {b"a" * 300, b"de"}, id="two-bytes-of-size"),
    pytest.param([obu(DELIMITER, b""), obu(HEADER, b"abc", has_size=False)], {b"abc"}, id="without-size"),
    pytest.param([obu(HEADER, b"abc", has_size=False, extension=True)], {b"abc"}, id="extension-without-size"),
    pytest.param([obu(5, b"metadata"), obu(HEADER, b"")], {b""}, id="other-units-and-an-empty-one"),
    pytest.param([], set(), id="empty"),
])
def test_sequence_headers_of_av1(units, expected):
    assert _av1_sequence_headers(b"".join(units)) == expected


def bits(*fields):
    """Return bytes of (value, number of bits), filled up with zeros."""
    text = "".join(f"{value:0{n}b}" for value, n in fields)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


MARKER, SYNC, SIZE = (2, 2), (0x498342, 24), [(639, 16), (359, 16)]
WRITTEN = {b"640x360"}


def vp9_key_frame(profile, colors):
    fields = [MARKER, (profile & 1, 1), (profile >> 1, 1), *([(0, 1)] if profile == 3 else [])]
    return bits(*fields, (0, 1), (0, 1), (1, 1), (0, 1), SYNC, *colors, *SIZE)


@pytest.mark.parametrize(("data", "expected"), [
    pytest.param(vp9_key_frame(0, [(2, 3), (1, 1)]), WRITTEN, id="profile-0"),
    pytest.param(vp9_key_frame(0, [(7, 3)]), WRITTEN, id="profile-0-rgb"),
    pytest.param(vp9_key_frame(1, [(2, 3), (1, 1), (0, 3)]), WRITTEN, id="profile-1"),
    pytest.param(vp9_key_frame(1, [(7, 3), (0, 1)]), WRITTEN, id="profile-1-rgb"),
    pytest.param(vp9_key_frame(2, [(1, 1), (2, 3), (1, 1)]), WRITTEN, id="profile-2"),
    pytest.param(vp9_key_frame(2, [(1, 1), (7, 3)]), WRITTEN, id="profile-2-rgb"),
    pytest.param(vp9_key_frame(3, [(1, 1), (2, 3), (1, 1), (0, 3)]), WRITTEN, id="profile-3"),
    pytest.param(vp9_key_frame(3, [(1, 1), (7, 3), (0, 1)]), WRITTEN, id="profile-3-rgb"),
    pytest.param(bits((1, 2), (0, 100)), set(), id="other-marker"),
    pytest.param(bits(MARKER, (0, 2), (1, 1), (0, 3), SYNC, (0, 4), *SIZE), set(), id="shown-again"),
    pytest.param(bits(MARKER, (0, 2), (0, 1), (0, 1), (1, 1), (0, 1), (1, 24), (0, 4), *SIZE), set(), id="no-sync-code"),
    # Intra-only frames, which are not shown: 2 bits to reset the context unless they are error resilient.
    pytest.param(bits(MARKER, (0, 2), (0, 1), (1, 1), (0, 1), (0, 1), (1, 1), (0, 2), SYNC, (0, 8), *SIZE), WRITTEN,
                 id="intra-only"),
    pytest.param(bits(MARKER, (0, 2), (0, 1), (1, 1), (0, 1), (1, 1), (1, 1), SYNC, (0, 8), *SIZE), WRITTEN,
                 id="intra-only-error-resilient"),
    pytest.param(bits(MARKER, (1, 1), (0, 1), (0, 1), (1, 1), (0, 1), (1, 1), (1, 1), SYNC, (2, 3), (0, 4), (0, 8), *SIZE),
                 WRITTEN, id="intra-only-profile-1"),
    # Inter frames: refreshed frames, three references, and one bit per reference for its size.
    pytest.param(bits(MARKER, (0, 2), (0, 1), (1, 1), (1, 1), (0, 1), (0, 2), (0, 20), (0, 3), *SIZE), WRITTEN, id="inter"),
    pytest.param(bits(MARKER, (0, 2), (0, 1), (1, 1), (1, 1), (1, 1), (0, 20), (0, 3), *SIZE), WRITTEN,
                 id="inter-error-resilient"),
    pytest.param(bits(MARKER, (0, 2), (0, 1), (1, 1), (0, 1), (0, 1), (0, 1), (0, 2), (0, 20), (0, 3), *SIZE), WRITTEN,
                 id="inter-not-shown"),
    pytest.param(bits(MARKER, (0, 2), (0, 1), (1, 1), (1, 1), (0, 1), (0, 2), (0, 20), (0, 1), (1, 1), (0, 1), *SIZE), set(),
                 id="size-of-the-second-reference"),
    pytest.param(bits(MARKER, (0, 2), (0, 1), (1, 1), (1, 1), (0, 1), (0, 2), (0, 20), (0, 2), (1, 1), *SIZE), set(),
                 id="size-of-the-third-reference"),
])
def test_sizes_of_vp9_frames(data, expected):
    assert _vp9_sizes(data) == expected


class FakePacket(bytes):
    """A packet of given contents."""

    is_keyframe = True

    def has_sidedata(self, name):
        return False


def parameters(codec, extradata=b""):
    context = SimpleNamespace(codec=SimpleNamespace(canonical_name=codec), extradata=extradata, width=640, height=360)
    return DecoderParameters(SimpleNamespace(codec_context=context))


LAYER, OTHER = b"\0\0\1\x20abc", b"\0\0\1\x21abd"


def test_mpeg4_layers_are_compared_with_those_of_the_stream():
    assert parameters("mpeg4", LAYER + b"\0\0\1\xb2x").fit(FakePacket(LAYER + b"\0\0\1\xb6frame"))
    assert not parameters("mpeg4", LAYER).fit(FakePacket(OTHER + b"\0\0\1\xb6frame"))
    assert parameters("mpeg4", LAYER).fit(FakePacket(b"\0\0\1\xb6frame"))


def test_the_first_parameters_in_the_stream_count_if_none_are_stored():
    found = parameters("mpeg4")
    assert found.fit(FakePacket(LAYER + b"\0\0\1\xb6"))
    assert found.fit(FakePacket(LAYER + b"\0\0\1\xb6"))
    assert not found.fit(FakePacket(OTHER + b"\0\0\1\xb6"))
    found = parameters("av1", b"other")
    assert found.fit(FakePacket(obu(HEADER, b"abc")))
    assert not found.fit(FakePacket(obu(HEADER, b"abd")))


def test_only_key_frames_and_codecs_with_parameters_are_compared():
    class Inter(FakePacket):
        is_keyframe = False

    assert parameters("mpeg4", LAYER).fit(Inter(OTHER))
    found = parameters("mpeg2video")
    assert found.fit(FakePacket(LAYER))
    assert found.fit(FakePacket(OTHER))
    vp9 = parameters("vp9")
    assert vp9.fit(FakePacket(vp9_key_frame(0, [(2, 3), (1, 1)])))
    assert not vp9.fit(Inter(bits(MARKER, (0, 2), (0, 1), (1, 1), (1, 1), (1, 1), (0, 20), (0, 3), (319, 16), (359, 16))))


def test_new_extradata_must_equal_that_of_the_stream():
    class Changed(FakePacket):
        def has_sidedata(self, name):
            return name == "new_extradata"

        def get_sidedata(self, name):
            return b"new"

    assert parameters("mpeg4", b"new").fit(Changed(b""))
    assert not parameters("mpeg4", b"old").fit(Changed(b""))


def hevc_unit(kind, content, prefix_size):
    unit = bytes([kind << 1 | 1, 1]) + content
    return (len(unit).to_bytes(prefix_size, "big") if prefix_size else b"\0\0\1") + unit


@pytest.mark.parametrize("prefix_size", [0, 4])
@pytest.mark.parametrize(("kind", "content", "new_kind", "new_content"), [
    pytest.param(21, b"\xe0rest", 18, b"\xa0rest", id="cra-becomes-bla-and-shows-earlier-frames"),
    pytest.param(19, b"\xe0rest", 19, b"\xa0rest", id="idr-shows-earlier-frames"),
    pytest.param(16, b"\x40rest", 16, b"\x40rest", id="no-zero-byte"),
    pytest.param(23, b"\xc0", 23, b"\x80", id="last-random-access-type"),
    pytest.param(15, b"\xe0rest", 15, b"\xe0rest", id="other-slice"),
    pytest.param(24, b"\xe0rest", 24, b"\xe0rest", id="other-type"),
    pytest.param(21, b"", 18, b"", id="header-only"),
])
def test_hevc_decoders_start_anew(prefix_size, kind, content, new_kind, new_content):
    before = hevc_unit(35, b"delimiter", prefix_size)
    data = before + hevc_unit(kind, content, prefix_size)
    assert start_anew(data, prefix_size) == before + hevc_unit(new_kind, new_content, prefix_size)


def ue(value):
    """Return an Exp-Golomb code (ITU-T H.264, 9.1) as (value, number of bits)."""
    n = (value + 1).bit_length()
    return value + 1, 2 * n - 1


def se(value):
    return ue(2 * value - 1 if value > 0 else -2 * value)


ONE, ZERO = (1, 1), (0, 1)


STORED_ORDER = [ue(0), ue(3)]   # Counts of 7 bits.


def sequence_unit(profile=66, high=(), poc=STORED_ORDER, only_frames=ONE):
    """Return a sequence parameter set (7.3.2.1.1) up to the flag of progressive frames."""
    rest = [ue(3), ZERO, ue(19), ue(14), only_frames]   # Reference frames, gaps, and the size in macroblocks.
    return bits((0x67, 8), (profile, 8), (0, 16), ue(0), *high, ue(2), *poc, *rest)


FLAT_LIST = [ONE, se(-8)]   # A scaling list whose first scale is 0, so that nothing follows.
FULL_LIST_16 = [ONE, *[se(1)] * 16]
FULL_LIST_64 = [ONE, *[se(1)] * 64]


@pytest.mark.parametrize(("unit", "expected"), [
    pytest.param(sequence_unit(), SequenceParameters(False, 6, 0, 7, True), id="baseline"),
    pytest.param(sequence_unit(only_frames=ZERO), SequenceParameters(False, 6, 0, 7, False), id="fields"),
    pytest.param(sequence_unit(poc=[ue(2)]), SequenceParameters(False, 6, 2, 0, True), id="no-stored-order"),
    pytest.param(sequence_unit(poc=[ue(1), ONE, se(-5), se(7), ue(2), se(1), se(-2)]), SequenceParameters(False, 6, 1, 0, True),
                 id="order-by-offsets"),
    pytest.param(sequence_unit(100, [ue(1), ue(0), ue(0), ZERO, ZERO]), SequenceParameters(False, 6, 0, 7, True), id="high"),
    pytest.param(sequence_unit(135, [ue(3), ONE, ue(2), ue(2), ZERO, ZERO]), SequenceParameters(True, 6, 0, 7, True),
                 id="separate-planes"),
    pytest.param(sequence_unit(244, [ue(3), ZERO, ue(2), ue(2), ONE, ZERO]), SequenceParameters(False, 6, 0, 7, True),
                 id="444"),
    pytest.param(sequence_unit(100, [ue(1), ue(0), ue(0), ZERO, ONE, *[ZERO] * 5, *FLAT_LIST, *[ZERO] * 2]),
                 SequenceParameters(False, 6, 0, 7, True), id="one-flat-list"),
    pytest.param(sequence_unit(100, [ue(1), ue(0), ue(0), ZERO, ONE, *[ZERO] * 5, *FULL_LIST_16, *FULL_LIST_64, ZERO]),
                 SequenceParameters(False, 6, 0, 7, True), id="a-small-and-a-large-list"),
    pytest.param(sequence_unit(244, [ue(3), ZERO, ue(0), ue(0), ZERO, ONE, *[ZERO] * 11, *FULL_LIST_64]),
                 SequenceParameters(False, 6, 0, 7, True), id="twelve-lists"),
])
def test_sequence_parameters_of_h264(unit, expected):
    assert parse_sequence_parameters(escape(unit)) == expected


@pytest.mark.parametrize(("header", "sequence", "expected"), [
    pytest.param([(0x41, 8), ue(0), ue(5), ue(0), (9, 6), (77, 7)], SequenceParameters(False, 6, 0, 7, True),
                 SliceHeader(False, True, 9, 8 + 1 + 5 + 1, 77, 8 + 1 + 5 + 1 + 6), id="frame"),
    pytest.param([(0x01, 8), ue(3), ue(5), ue(0), (9, 6), (77, 7)], SequenceParameters(False, 6, 0, 7, True),
                 SliceHeader(False, False, 9, 19, 77, 25), id="not-a-reference"),
    pytest.param([(0x65, 8), ue(0), ue(7), ue(0), (0, 6), ue(4), (5, 7)], SequenceParameters(False, 6, 0, 7, True),
                 SliceHeader(True, True, 0, 17, 5, 28), id="idr"),
    pytest.param([(0x41, 8), ue(0), ue(5), ue(0), (2, 2), (9, 6), (77, 7)], SequenceParameters(True, 6, 0, 7, True),
                 SliceHeader(False, True, 9, 17, 77, 23), id="separate-planes"),
    pytest.param([(0x41, 8), ue(0), ue(5), ue(0), (9, 6), ZERO, (77, 7)], SequenceParameters(False, 6, 0, 7, False),
                 SliceHeader(False, True, 9, 15, 77, 22), id="frame-that-could-be-a-field"),
    pytest.param([(0x41, 8), ue(0), ue(5), ue(0), (9, 6), ONE, ONE, (77, 7)], SequenceParameters(False, 6, 0, 7, False),
                 SliceHeader(False, True, 9, 15, 77, 23), id="field"),
    pytest.param([(0x41, 8), ue(0), ue(5), ue(0), (9, 6)], SequenceParameters(False, 6, 2, 0, True),
                 SliceHeader(False, True, 9, 15, 0, 21), id="no-stored-order"),
])
def test_slice_headers_of_h264(header, sequence, expected):
    assert parse_slice_header(bits(*header), sequence) == expected
