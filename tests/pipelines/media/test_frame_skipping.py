"""Frame skipping: fewer packets are decoded, and the requested frames are identical."""

from fractions import Fraction

import av
import numpy as np
import pytest

from pipelines.media import video_reader
from pipelines.media.container import open_video
from pipelines.media.frame_skipping import has_parameter_sets, is_decoder_refresh
from pipelines.media.frames import frames_from, probe_first_frame
from pipelines.media.video_reader import frames_at
from tests.media import noisy_frame, write_video

N_FRAMES, FPS = 120, 25
TIMES = [[1, 3], [0.1, 0.1, 2.5], [i * 0.5 + 0.25 for i in range(9)], [0.99, 1, 1.01, 2.39, 2.4]]


@pytest.fixture
def n_decoded(monkeypatch):
    """Return a list whose only item is updated to the number of packets passed to the decoder."""
    count, decode = [0], video_reader.decode_packets

    def counting(packets, stream, strict):
        def passed():
            for packet in packets:
                count[0] += bool(packet.size)
                yield packet
        return decode(passed(), stream, strict)

    monkeypatch.setattr(video_reader, "decode_packets", counting)
    return count


def check(path, n_decoded):
    """Check that frames equal those of complete decoding, bit for bit; return the packets decoded per set of times."""
    expected = [frame.to_ndarray(format="rgb24", interpolation="BICUBIC")
             for _, frame in frames_from(path, 0, 0)]
    assert len(expected) == N_FRAMES
    needed = []
    for times_s in TIMES:
        n_decoded[0] = 0
        for index, frame in frames_at(path, times_s):
            assert np.array_equal(frame, expected[min(int(times_s[index] * FPS + 1e-6), N_FRAMES - 1)]), times_s[index]
        needed.append(n_decoded[0])
    return needed


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("x264", [
    "keyint=40:bframes=3", "keyint=40:bframes=0:slices=3", "keyint=30:bframes=3:open-gop=1",
    "keyint=12:bframes=8:b-pyramid=strict", "keyint=40:bframes=2:interlaced=1"])
def test_h264(tmp_path, n_decoded, suffix, x264):
    path = write_video(tmp_path / f"a{suffix}", N_FRAMES, size=(96, 64), render=noisy_frame, options={
        "preset": "veryfast", "crf": "20", "x264-params": f"{x264}:scenecut=0:b-adapt=0"})
    needed = check(path, n_decoded)
    if "open-gop" in x264:   # Its later key frames do not reset the decoder.
        assert needed[0] >= 75
    else:
        assert needed[0] < 75
        assert needed[1] < 63 + 25 * ("=12" not in x264)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("x264", [
    "keyint=40:bframes=3", "keyint=40:bframes=3:interlaced=1", "keyint=40:bframes=8:b-pyramid=strict"])
def test_nonref_frames_are_skipped_only_before_the_start(tmp_path, suffix, x264):
    path = write_video(tmp_path / f"a{suffix}", N_FRAMES, size=(96, 64), render=noisy_frame, options={
        "preset": "veryfast", "crf": "20", "x264-params": f"{x264}:scenecut=0:b-adapt=0"})
    zero_s, _ = probe_first_frame(path)
    with open_video(path) as opened:
        def read(start_s, skip_nonref):
            return [(time_s, frame.to_ndarray())
                    for time_s, frame in frames_from(path, zero_s, start_s, opened, skip_nonref=skip_nonref)]

        for start_s in (Fraction(1), Fraction(29, 10), Fraction(75, 25)):
            complete, skipped = read(start_s, False), read(start_s, True)
            later = [pair for pair in complete if pair[0] >= start_s]
            found = [pair for pair in skipped if pair[0] >= start_s]
            assert [time_s for time_s, _ in found] == [time_s for time_s, _ in later]
            assert len(later) > 10
            assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(found, later, strict=True))
            early = len(complete) - len(later)
            assert early > 8
            assert len(skipped) - len(found) <= 0.7 * early


def test_av1_is_complete_although_its_decoder_ignores_later_options(tmp_path):
    path = write_video(tmp_path / "a.mp4", N_FRAMES, size=(96, 64), render=noisy_frame, codec="libsvtav1",
                       options={"preset": "10", "crf": "30", "svtav1-params": "keyint=40:lp=1"})
    zero_s, _ = probe_first_frame(path)
    complete, skipped = (
        [time_s for time_s, _ in frames_from(path, zero_s, Fraction(2), skip_nonref=skip_nonref) if time_s >= 2]
        for skip_nonref in (False, True))
    assert skipped == complete
    assert len(complete) == 70


def test_packets_are_dropped_if_every_frame_resets_the_decoder(tmp_path, n_decoded):
    path = write_video(tmp_path / "a.mp4", N_FRAMES, size=(96, 64), render=noisy_frame,
                       options={"preset": "veryfast", "x264-params": "keyint=1"})
    assert check(path, n_decoded)[0] < 12


@pytest.mark.parametrize("x265", ["keyint=40:open-gop=0:bframes=4", "keyint=40:open-gop=1:bframes=4"])
def test_hevc(tmp_path, n_decoded, x265):
    path = write_video(tmp_path / "a.mp4", N_FRAMES, size=(96, 64), codec="libx265", render=noisy_frame, options={
        "preset": "ultrafast", "x265-params": f"{x265}:scenecut=0:log-level=none"})
    assert (check(path, n_decoded)[0] < 75) == ("open-gop=0" in x265)


@pytest.mark.parametrize(("units", "codec", "expected"), [
    ([[0x09, 0xF0], [0x67, 1], [0x68, 1], [0x65, 0x88]], "h264", True),
    ([[0x06, 5], [0x25, 0x88]], "h264", True),
    ([[0x41, 0x88], [0x65, 0x88]], "h264", False),   # The first slice decides.
    ([[0x67, 1]], "h264", False),
    ([[19 << 1, 1, 0x80]], "hevc", True),
    ([[20 << 1, 1, 0x80]], "hevc", True),
    ([[21 << 1, 1, 0x80]], "hevc", False),           # CRA: frames after it may depend on frames before it.
    ([[19 << 1, 1, 0xC0]], "hevc", False),           # Discards earlier frames that were not shown yet.
    ([[32 << 1, 1, 0x80], [1 << 1, 1, 0x80]], "hevc", False),
])
@pytest.mark.parametrize("has_lengths", [True, False])
def test_decoder_refresh(units, codec, expected, has_lengths):
    extradata = (bytes([1]) + bytes([255] * 21)) if has_lengths else b"\0\0\0\1\x67"
    separators = [len(unit).to_bytes(4, "big") if has_lengths else b"\0\0\0\1" for unit in units]
    data = b"".join(separator + bytes(unit) for separator, unit in zip(separators, units, strict=True))
    assert is_decoder_refresh(data, codec, extradata) == expected
    kinds = [unit[0] & 31 if codec == "h264" else unit[0] >> 1 for unit in units]
    assert has_parameter_sets(data, codec, extradata) == any(kind in (7, 8, 32) for kind in kinds)


def test_damaged_packets_are_not_decoder_refreshes():
    for data in (b"", b"\0\0", b"\0\0\1", b"\0\0\0\0\0", b"\xff" * 9):
        assert not is_decoder_refresh(data, "h264")
        assert not is_decoder_refresh(data, "hevc", bytes([1] * 23))


def test_packets_with_parameter_sets_are_not_dropped(tmp_path, n_decoded):
    """In MPEG-TS, every key frame repeats the parameter sets, so that it must not be dropped."""
    path = write_video(tmp_path / "a.ts", N_FRAMES, size=(96, 64), render=noisy_frame,
                       options={"preset": "veryfast", "x264-params": "keyint=1"})
    with av.open(str(path)) as container:
        assert all(has_parameter_sets(bytes(p), "h264") for p in container.demux(video=0) if p.size)
    assert check(path, n_decoded)[0] > 75
