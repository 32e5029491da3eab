"""pipelines/sparing.py: fewer packets are decoded, and the pictures asked for are the very same."""

from fractions import Fraction

import av
import numpy as np
import pytest

from pipelines.media import video_reader as video
from pipelines.media.container import open_video
from pipelines.media.frame_skipping import has_parameter_sets, is_decoder_refresh
from pipelines.media.frames import frames_from, probe_first_frame
from pipelines.media.video_reader import frames_at
from tests.media import noisy_frame, write_video

N_FRAMES, FPS = 120, 25
TIMES = [[1, 3], [0.1, 0.1, 2.5], [i * 0.5 + 0.25 for i in range(9)], [0.99, 1, 1.01, 2.39, 2.4]]


@pytest.fixture
def given(monkeypatch):
    """How many packets went into the decoder, in a list of one."""
    count, decode = [0], video.decode_packets

    def counting(packets, stream, strict):
        def passed():
            for packet in packets:
                count[0] += bool(packet.size)
                yield packet
        return decode(passed(), stream, strict)

    monkeypatch.setattr(video, "decode_packets", counting)
    return count


def check(path, given):
    """Pictures equal a plain decoder's, bit for bit; returns how many packets the sparsest times took."""
    whole = [frame.to_ndarray(format="rgb24", interpolation="BICUBIC")
             for _, frame in frames_from(path, 0, 0)]
    assert len(whole) == N_FRAMES
    needed = []
    for times_s in TIMES:
        given[0] = 0
        for index, picture in frames_at(path, times_s):
            assert np.array_equal(picture, whole[min(int(times_s[index] * FPS + 1e-6), N_FRAMES - 1)]), times_s[index]
        needed.append(given[0])
    return needed


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("x264", ["keyint=40:bframes=3", "keyint=40:bframes=0:slices=3", "keyint=30:bframes=3:open-gop=1",
                                  "keyint=12:bframes=8:b-pyramid=strict", "keyint=40:bframes=2:interlaced=1"])
def test_h264(tmp_path, given, suffix, x264):
    path = write_video(tmp_path / f"a{suffix}", N_FRAMES, size=(96, 64), render=noisy_frame, options={
        "preset": "veryfast", "crf": "20", "x264-params": f"{x264}:scenecut=0:b-adapt=0"})
    needed = check(path, given)
    if "open-gop" in x264:   # its later key frames are no fresh starts
        assert needed[0] >= 75
    else:
        assert needed[0] < 75 and needed[1] < 63 + 25 * ("=12" not in x264)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("x264", ["keyint=40:bframes=3", "keyint=40:bframes=3:interlaced=1", "keyint=40:bframes=8:b-pyramid=strict"])
def test_what_leads_to_a_time_may_be_incomplete_and_the_rest_is_whole(tmp_path, suffix, x264):
    path = write_video(tmp_path / f"a{suffix}", N_FRAMES, size=(96, 64), render=noisy_frame, options={
        "preset": "veryfast", "crf": "20", "x264-params": f"{x264}:scenecut=0:b-adapt=0"})
    zero_s, _ = probe_first_frame(path)
    with open_video(path) as opened:
        def read(start_s, sparing):
            return [(time_s, frame.to_ndarray()) for time_s, frame in frames_from(path, zero_s, start_s, opened, skip_nonref=sparing)]

        for start_s in (Fraction(1), Fraction(29, 10), Fraction(75, 25)):
            whole, spare = read(start_s, False), read(start_s, True)
            later = [pair for pair in whole if pair[0] >= start_s]
            found = [pair for pair in spare if pair[0] >= start_s]
            assert [time_s for time_s, _ in found] == [time_s for time_s, _ in later] and len(later) > 10
            assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(found, later, strict=True))
            early = len(whole) - len(later)
            assert early > 8 and len(spare) - len(found) <= 0.7 * early


def test_av1_is_whole_too_though_its_decoder_keeps_to_what_it_is_opened_with(tmp_path):
    path = write_video(tmp_path / "a.mp4", N_FRAMES, size=(96, 64), render=noisy_frame, codec="libsvtav1",
                       options={"preset": "10", "crf": "30", "svtav1-params": "keyint=40:lp=1"})
    zero_s, _ = probe_first_frame(path)
    whole, spare = ([time_s for time_s, _ in frames_from(path, zero_s, Fraction(2), skip_nonref=sparing) if time_s >= 2]
                    for sparing in (False, True))
    assert spare == whole and len(whole) == 70


def test_packets_of_whole_groups_are_left_out_where_each_is_a_fresh_start(tmp_path, given):
    path = write_video(tmp_path / "a.mp4", N_FRAMES, size=(96, 64), render=noisy_frame,
                       options={"preset": "veryfast", "x264-params": "keyint=1"})
    assert check(path, given)[0] < 12


@pytest.mark.parametrize("x265", ["keyint=40:open-gop=0:bframes=4", "keyint=40:open-gop=1:bframes=4"])
def test_hevc(tmp_path, given, x265):
    path = write_video(tmp_path / "a.mp4", N_FRAMES, size=(96, 64), codec="libx265", render=noisy_frame, options={
        "preset": "ultrafast", "x265-params": f"{x265}:scenecut=0:log-level=none"})
    assert (check(path, given)[0] < 75) == ("open-gop=0" in x265)


@pytest.mark.parametrize(("units", "codec", "fresh"), [
    ([[0x09, 0xF0], [0x67, 1], [0x68, 1], [0x65, 0x88]], "h264", True),
    ([[0x06, 5], [0x25, 0x88]], "h264", True),
    ([[0x41, 0x88], [0x65, 0x88]], "h264", False),   # the first slice decides
    ([[0x67, 1]], "h264", False),
    ([[19 << 1, 1, 0x80]], "hevc", True),
    ([[20 << 1, 1, 0x80]], "hevc", True),
    ([[21 << 1, 1, 0x80]], "hevc", False),           # others after it may lean on what is before it
    ([[19 << 1, 1, 0xC0]], "hevc", False),           # hides what was not shown yet
    ([[32 << 1, 1, 0x80], [1 << 1, 1, 0x80]], "hevc", False),
])
@pytest.mark.parametrize("by_length", [True, False])
def test_fresh_starts(units, codec, fresh, by_length):
    extradata = (bytes([1]) + bytes([255] * 21)) if by_length else b"\0\0\0\1\x67"
    parted = [len(unit).to_bytes(4, "big") if by_length else b"\0\0\0\1" for unit in units]
    data = b"".join(part + bytes(unit) for part, unit in zip(parted, units, strict=True))
    assert is_decoder_refresh(data, codec, extradata) == fresh
    kinds = [unit[0] & 31 if codec == "h264" else unit[0] >> 1 for unit in units]
    assert has_parameter_sets(data, codec, extradata) == any(kind in (7, 8, 32) for kind in kinds)


def test_damaged_packets_are_no_fresh_starts():
    for data in (b"", b"\0\0", b"\0\0\1", b"\0\0\0\0\0", b"\xff" * 9):
        assert not is_decoder_refresh(data, "h264") and not is_decoder_refresh(data, "hevc", bytes([1] * 23))


def test_a_stream_whose_packets_have_settings_of_their_own_is_given_whole_groups(tmp_path, given):
    """In MPEG-TS a key frame repeats them; it may not be left out itself."""
    path = write_video(tmp_path / "a.ts", N_FRAMES, size=(96, 64), render=noisy_frame,
                       options={"preset": "veryfast", "x264-params": "keyint=1"})
    with av.open(str(path)) as container:
        assert all(has_parameter_sets(bytes(p), "h264") for p in container.demux(video=0) if p.size)
    assert check(path, given)[0] > 75
