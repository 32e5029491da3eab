"""Unusual files that players can play: each is probed, read at exact times, encoded and cut."""

import math
import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from common.errors import InputError
from pipelines.editing.reencode import cut
from pipelines.editing.stream_copy import copy_cut, kept_intervals, plan_copy
from pipelines.features.encode import encode_video
from pipelines.media.probe import probe
from pipelines.media.video_reader import DecodeSettings, frames_at
from tests.media import B_FRAMES, clicks, decoded, numbered_frame, read_number, skip_beginning, write_video
from tests.pipelines.fakes import color_encoders


def numbers(path, times_s, sampling="exact"):
    return [read_number(frame) for _, frame in frames_at(path, times_s, settings=DecodeSettings(sampling))]


def check_cuts(path, numbers_of):
    """Check that re-encoding and stream copy keep the expected frames.

    Args:
        path: video file.
        numbers_of: function that returns the numbers of the frames in [start, end) seconds.

    Returns:
        False if this file cannot be stream-copied.
    """
    info, out = probe(path), path.with_name("cut.mp4")
    cut(info, [(0.4, 0.8), (1.2, 1.6)], out)
    assert shown(out) == [*numbers_of(0.4, 0.8), *numbers_of(1.2, 1.6)]
    try:
        runs = plan_copy(info, [(0.4, 0.8), (1.2, 1.6)])
    except InputError as err:
        assert err.hint == "leave out --copy"
        return False
    copy_cut(info, runs, out)
    kept = kept_intervals(info, runs)
    assert shown(out) == [number for start_s, end_s in kept for number in numbers_of(start_s, end_s)]
    assert any(a <= 0.4 and b > 0.79 for a, b in kept)
    assert kept[-1][1] > 1.59
    return True


def shown(path):
    return [read_number(frame) for _, frame in decoded(path)]


def per_second(start_s, end_s):
    """Return the numbers of the frames in [start, end) seconds of 50 frames at 25 fps."""
    return list(range(math.ceil(round(25 * float(start_s), 6)), min(50, math.ceil(round(25 * float(end_s), 6)))))


def check(path, n_frames=50, duration_s=2.0, copied=True):
    """Probe, read, encode and cut a video of numbered frames at 25 fps, with all samplings and ways of cutting."""
    info = probe(path)
    assert (info.n_frames, float(info.duration_s)) == (n_frames, pytest.approx(duration_s, abs=0.05))
    assert numbers(path, [0.02, 0.5, 1.0, 1.94]) == [0, 12, 25, 48]
    assert numbers(path, [0], "keyframes") == [0]
    for sampling in ("exact", "keyframes"):
        video = encode_video(path, color_encoders(with_audio=True), progress=False, sampling=sampling)
        assert video.n_clips == 1
        assert np.isfinite(video.visual["color"]).all()
        assert (video.audio is not None) == info.has_audio
    assert check_cuts(path, per_second) is copied


@pytest.mark.parametrize("codec, suffix, options", [
    ("libx265", ".mp4", {"x265-params": "log-level=none:bframes=3:keyint=20"}),
    ("libvpx-vp9", ".webm", dict(deadline="realtime", g="20")),
    ("libsvtav1", ".mp4", dict(preset="12", crf="20")),
    ("mpeg2video", ".mpg", dict(g="12", bf="2", qscale="2")),
    ("libx264", ".mp4", dict(preset="veryfast", **{"x264-params": "keyint=20:open-gop=1:bframes=3"})),
    ("libx264", ".mp4", dict(preset="veryfast", **{"x264-params": "keyint=20:intra-refresh=1:bframes=0"})),
])
@pytest.mark.parametrize("with_audio", [False, True])
def test_codecs(tmp_path, codec, suffix, options, with_audio):
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    audio_codec = {".webm": "libopus", ".mpg": "mp2"}.get(suffix, "aac")
    path = write_video(tmp_path / f"a{suffix}", 50, codec=codec, options=options, size=(128, 96),
                       audio=clicks([1], 2) if with_audio else None, audio_codec=audio_codec)
    check(path, copied=suffix != ".mpg")


def test_interlaced(tmp_path):
    options = dict(preset="veryfast", **{"x264-params": "tff=1:bframes=2:keyint=20"})
    path = write_video(tmp_path / "a.mp4", 50, options=options, size=(128, 96))
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    check(path)


@pytest.mark.parametrize("box", [b"mvhd", b"mdhd"])
def test_an_mp4_header_that_claims_ten_hours(tmp_path, box):
    path = write_video(tmp_path / "a.mp4", 50, options=B_FRAMES)
    data = bytearray(path.read_bytes())
    at = data.index(box) + 16   # Time scale and duration follow the version, flags and two dates.
    scale, = struct.unpack(">I", data[at:at + 4])
    data[at + 4:at + 8] = struct.pack(">I", 36000 * scale)
    path.write_bytes(data)
    check(path)


def test_a_matroska_header_that_claims_ten_hours(tmp_path):
    path = write_video(tmp_path / "a.mkv", 50, options=B_FRAMES, audio=clicks([1], 2))
    data = bytearray(path.read_bytes())
    at = data.index(b"\x44\x89\x88") + 3   # Duration, a float64 in milliseconds.
    data[at:at + 8] = struct.pack(">d", 36e6)
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert container.duration == 36e9
    check(path)


def test_an_edit_list_that_begins_between_b_frames(tmp_path):
    path = skip_beginning(write_video(tmp_path / "a.mp4", 50, options=B_FRAMES), Fraction(7, 25))
    info = probe(path)
    assert info.n_frames == 43
    assert numbers(path, [0, 0.02, 0.5, 1.0]) == [7, 7, 19, 32]
    assert encode_video(path, color_encoders(), progress=False).n_clips == 1
    assert check_cuts(path, lambda start_s, end_s: [7 + i for i in per_second(start_s, end_s) if i < 43])


def test_the_main_one_of_two_video_streams_is_used(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        streams = []
        for size in ((80, 48), (160, 96)):
            stream = container.add_stream("libx264", rate=25, options=B_FRAMES)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.disposition = av.stream.Disposition.default if size == (160, 96) else av.stream.Disposition(0)
            streams.append((stream, size))
        for i in range(50):
            for stream, size in streams:
                number = i if size == (160, 96) else 700
                frame = av.VideoFrame.from_ndarray(numbered_frame(number, size)).reformat(format="yuv420p")
                frame.pts, frame.time_base = i, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream, _ in streams:
            container.mux(stream.encode(None))
    assert probe(path).width == 160
    check(path)


def test_cover_art_in_an_mp3_is_not_a_video(tmp_path):
    path = tmp_path / "a.mp3"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("mp3" if "libmp3lame" not in av.codecs_available else "libmp3lame", rate=44100)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        image = av.VideoFrame.from_ndarray(numbered_frame(3, (64, 48))).reformat(format="yuvj420p")
        container.mux([*cover.encode(image), *cover.encode(None)])
        frame = av.AudioFrame.from_ndarray(clicks([0.1], 1, 44100)[None], "fltp", "mono")
        frame.sample_rate = 44100
        container.mux([*audio.encode(frame), *audio.encode(None)])
    for use in (probe, lambda p: encode_video(p, color_encoders(), progress=False)):
        with pytest.raises(InputError, match="contains no video stream, only audio"):
            use(path)


def test_time_stamps_that_jump_ahead(tmp_path):
    pts = [*range(25), *range(1025, 1050)]   # 25 frames, a gap of 40 s, 25 frames.
    path = write_video(tmp_path / "a.mp4", 50, pts=pts, options=B_FRAMES)
    assert float(probe(path).duration_s) == 42
    assert numbers(path, [0.5, 20, 41.02, 41.5]) == [12, 24, 25, 37]
    assert encode_video(path, color_encoders(), progress=False).n_clips == 21
    cut(path, [(0.8, 1.2), (41.5, 42)], tmp_path / "cut.mp4")
    assert shown(tmp_path / "cut.mp4") == [*range(20, 25), *range(38, 50)]
    copy_cut(path, plan_copy(path, [(0.8, 0.9), (41.5, 42)]), tmp_path / "cut.mp4")
    assert shown(tmp_path / "cut.mp4")[-12:] == [*range(38, 50)]
