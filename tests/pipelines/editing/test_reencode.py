"""pipelines/editing/reencode.py: a cut has exactly the frames and the audio of its intervals, in sync."""

import re
from fractions import Fraction

import av
import numpy as np
import pytest

from pipelines.editing.mp4_writer import EncodingMp4Writer
from pipelines.editing.reencode import MAX_ENCODERS, cut
from pipelines.media import container
from pipelines.media.audio_reader import read_audio
from pipelines.media.frames import frames_from
from pipelines.media.probe import probe
from pipelines.media.video_reader import frames_at
from tests.media import (
    B_FRAMES,
    RATE_HZ,
    click_times,
    clicks,
    corner_frame,
    corner_names,
    decoded,
    noisy_frame,
    numbered_frame,
    read_number,
    write_numbered_video,
    write_video,
)
from tests.paths import VIDEOS

# Two adjacent pieces and a separate one, none of which starts at a frame of 25 frames per second.
THIRDS = [(Fraction(1, 3), Fraction(1)), (Fraction(1), Fraction(4, 3)), (Fraction(29, 10), Fraction(71, 20))]
STAMPS_25_FPS = [Fraction(i, 25) for i in range(100)]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Return the path of a video of 4 s at 25 frames per second, whose frames show their number."""
    return write_numbered_video(tmp_path_factory.mktemp("cut") / "video.mp4")


def expected_cut(stamps_s, intervals_s):
    """Return (time in the cut, number) of each frame, computed as the docstring of `cut` defines it."""
    rows, piece_s = [], Fraction(0)
    for start_s, end_s in intervals_s:
        inside = [(stamp_s, number) for number, stamp_s in enumerate(stamps_s) if start_s <= stamp_s < end_s]
        for position, (stamp_s, number) in enumerate(inside):
            rows.append((piece_s + (stamp_s - start_s if position else 0), number))
        piece_s += end_s - start_s
    return rows


def check_frames(path, expected, tolerance_s=Fraction(1, 10_000)):
    """Check the numbers and times of a file's frames."""
    found = decoded(path)
    assert [read_number(frame) for _, frame in found] == [number for _, number in expected]
    for (found_s, _), (expected_s, _) in zip(found, expected, strict=True):
        assert abs(found_s - expected_s) <= tolerance_s


def audio_of(path, rate_hz=RATE_HZ):
    return np.concatenate(list(read_audio(path, rate_hz=rate_hz)))


@pytest.mark.parametrize("intervals_s", [
    pytest.param([(0, 4)], id="complete-video"),
    pytest.param([(1, 2)], id="one-piece"),
    pytest.param([(Fraction(1, 25), Fraction(2, 25))], id="one-frame"),
    pytest.param([(0, Fraction(1, 100))], id="shorter-than-a-frame"),
    pytest.param(THIRDS, id="between-frames"),
    pytest.param([(Fraction(i, 7), Fraction(2 * i + 1, 14)) for i in range(1, 28)], id="27-pieces"),
    pytest.param([(0.1, 0.3), (3.9, 4)], id="floats"),
])
def test_frames_and_times_are_exact(tmp_path, video, intervals_s):
    out = tmp_path / "out.mp4"
    cut(video, intervals_s, out)
    exact = [(Fraction(start), Fraction(end)) for start, end in intervals_s]
    check_frames(out, expected_cut(STAMPS_25_FPS, exact))
    info = probe(out)
    total_s = sum(end - start for start, end in exact)
    assert info.start_s == 0
    assert abs(info.duration_s - total_s) < Fraction(1, 5000)
    # AAC stores complete blocks of 1024 samples.
    assert abs(len(audio_of(out)) / RATE_HZ - total_s) < 1024 / RATE_HZ + 0.001


@pytest.mark.parametrize(("suffix", "options"), [
    pytest.param(".mkv", dict(options=B_FRAMES), id="matroska"),
    pytest.param(".ts", dict(options=B_FRAMES), id="mpeg-ts"),
    pytest.param(".mkv", dict(options={**B_FRAMES, "x264-params": "open-gop=1"}), id="open-gop"),
    pytest.param(".mp4", dict(codec="mpeg4", options=dict(bf="2", g="12", qscale="2")), id="mpeg4-mp4"),
    pytest.param(".mpg", dict(codec="mpeg2video", render=noisy_frame,
                              options=dict(bf="2", g="12", b="6M", minrate="6M", maxrate="6M", bufsize="2M")),
                 id="mpeg-ps"),
    pytest.param(".ts", dict(codec="mpeg2video", options=dict(bf="2", g="12", qscale="2")), id="mpeg2-ts"),
    pytest.param(".ts", dict(codec="mpeg4", options=dict(bf="2", g="12", qscale="2")), id="mpeg4-ts"),
    pytest.param(".webm", dict(codec="libvpx-vp9", options=dict(deadline="realtime", g="12")), id="webm"),
    pytest.param(".avi", dict(codec="mpeg4", options=dict(bf="0", g="12", qscale="2")), id="avi"),
    pytest.param(".wmv", dict(codec="wmv2", options=dict(g="12", qscale="2")), id="wmv"),
    pytest.param(".h264", dict(options=B_FRAMES), id="raw-h264"),
    pytest.param(".flv", dict(options=B_FRAMES), id="flv"),
    pytest.param(".mov", dict(codec="mjpeg", pix_fmt="yuvj420p", options=dict(qscale="1")), id="mjpeg-mov"),
    pytest.param(".mp4", dict(options={**B_FRAMES, "g": "9999", "sc_threshold": "0"}), id="one-key-frame"),
])
def test_any_container(tmp_path, suffix, options):
    path = write_video(tmp_path / f"a{suffix}", 100, **options)
    cut(path, THIRDS, tmp_path / "out.mp4")
    rounds_to_ms = suffix in (".mkv", ".webm", ".flv", ".wmv")
    check_frames(tmp_path / "out.mp4", expected_cut(STAMPS_25_FPS, THIRDS),
                 Fraction(1, 900) if rounds_to_ms else Fraction(1, 10_000))


def test_variable_frame_rate(tmp_path):
    rng = np.random.default_rng(0)
    pts = np.cumsum(rng.integers(5, 90, 100)).tolist()
    path = write_video(tmp_path / "a.mp4", 100, pts=pts, time_base=Fraction(1, 1000), options=B_FRAMES)
    cut(path, THIRDS, tmp_path / "out.mp4")
    check_frames(tmp_path / "out.mp4", expected_cut([Fraction(p - pts[0], 1000) for p in pts], THIRDS))
    assert abs(probe(tmp_path / "out.mp4").duration_s - Fraction(33, 20)) < Fraction(1, 5000)


def test_ntsc_frame_rate_does_not_drift(tmp_path):
    rate = Fraction(30000, 1001)
    path = write_video(tmp_path / "a.mp4", 120, fps=rate)
    intervals_s = [(Fraction(i, 5), Fraction(3 * i + 1, 15)) for i in range(1, 19)]
    cut(path, intervals_s, tmp_path / "out.mp4")
    check_frames(tmp_path / "out.mp4", expected_cut([i / rate for i in range(120)], intervals_s))


@pytest.mark.parametrize("is_seekable", [pytest.param(True, id="seekable"), pytest.param(False, id="not-seekable")])
def test_stills_that_start_before_a_piece_are_shown(tmp_path, monkeypatch, is_seekable):
    # Slides that start at 0, 10, 20 and 21 s.
    path = write_video(tmp_path / "a.mp4", 4, pts=[0, 10, 20, 21], time_base=Fraction(1), options=B_FRAMES)
    if not is_seekable:
        monkeypatch.setattr("pipelines.editing.reencode.supports_exact_seek", lambda _: False)
    cut(path, [(2, 4), (8, 11), (19.9, 20.5), (20.7, 21)], tmp_path / "out.mp4")
    check_frames(tmp_path / "out.mp4", [(0, 0), (2, 0), (4, 1), (5, 2), (Fraction(28, 5), 2)])
    assert abs(probe(tmp_path / "out.mp4").duration_s - Fraction(59, 10)) < Fraction(1, 1000)


def flashing(index, size):
    """Return a dark frame, or a bright one every 20 frames."""
    return np.full((size[1], size[0], 3), 230 if index % 20 == 7 else 20, dtype=np.uint8)


@pytest.mark.parametrize(("suffix", "video_start_s", "audio_start_s"), [
    (".mp4", 0, 0), (".mp4", 0, Fraction(1, 2)), (".mp4", 2, 0), (".ts", 2, 1),
    (".mkv", 1, Fraction(3, 2))])
def test_video_and_audio_are_in_sync(tmp_path, suffix, video_start_s, audio_start_s):
    """Flashes and clicks every 0.8 s of the source stay within half a frame in a cut of many pieces."""
    n_frames, rate = 300, 25
    flashes_s = [Fraction(i, rate) + video_start_s for i in range(n_frames) if i % 20 == 7]
    audio = clicks([t - audio_start_s for t in flashes_s if t >= audio_start_s],
                   n_frames / rate + video_start_s - audio_start_s)
    path = write_video(tmp_path / f"a{suffix}", n_frames, render=flashing, audio=audio, audio_start_s=audio_start_s,
                       pts=[i + video_start_s * rate for i in range(n_frames)], time_base=Fraction(1, rate),
                       options=dict(g="30", crf="10"))
    intervals_s = [(Fraction(2 * i, 3), Fraction(2 * i, 3) + Fraction(41, 100)) for i in range(18)]
    cut(path, intervals_s, tmp_path / "out.mp4")
    flash_times = [float(time_s) for time_s, frame in decoded(tmp_path / "out.mp4") if frame.mean() > 120]
    found = np.array(click_times(audio_of(tmp_path / "out.mp4")))
    assert len(flash_times) > 7
    for time_s in flash_times[3:]:   # The audio may start after the first three flashes.
        assert np.abs(found - time_s).min() < 0.5 / rate
    assert len(found) <= len(flash_times)


def test_audio_is_exact_to_the_sample_over_many_pieces(tmp_path):
    """Forty pieces of a length that is no multiple of a sample have a click in the middle; errors do not add up."""
    length_s, n = Fraction(1001, 9973), 40
    starts_s = [Fraction(i, 4) + Fraction(1, 7) for i in range(n)]
    audio = clicks([start + length_s / 2 for start in starts_s], 11)
    path = write_video(tmp_path / "a.mov", 260, audio=audio, audio_codec="pcm_s16le")
    cut(path, [(start, start + length_s) for start in starts_s], tmp_path / "out.mp4")
    found = click_times(audio_of(tmp_path / "out.mp4"))
    assert found == pytest.approx([float(length_s * (i + Fraction(1, 2))) for i in range(n)], abs=4 / RATE_HZ)


def test_audio_fades_at_joins(tmp_path):
    audio = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(4 * RATE_HZ) / RATE_HZ)
    path = write_video(tmp_path / "a.mov", 100, audio=audio, audio_codec="pcm_s16le")
    cut(path, [(0.5, 1.5), (2, 3)], tmp_path / "out.mp4")   # The join is at 1 s.
    found = audio_of(tmp_path / "out.mp4")
    ms = RATE_HZ // 1000

    def peak(first_ms, last_ms):
        return np.abs(found[first_ms * ms:last_ms * ms]).max()

    assert peak(999, 1001) < 0.15
    assert peak(994, 997) > peak(997, 999) > peak(999, 1000)
    assert peak(1003, 1006) > peak(1001, 1003) > peak(1000, 1001)
    assert peak(900, 990) == pytest.approx(0.5, abs=0.06) == peak(1010, 1100)


def test_video_and_audio_are_written_interleaved(tmp_path, video, monkeypatch):
    """Otherwise one of them would pile up in memory."""
    lags_s = []

    def add(self, item, plain=EncodingMp4Writer.add):
        plain(self, item)
        if isinstance(item, av.Packet):   # The first frame comes before the packets.
            lags_s.append(float(self.video_s - self.audio_end_s))

    monkeypatch.setattr("pipelines.editing.mp4_writer.EncodingMp4Writer.add", add)
    cut(video, [(0, 1), (1, 4)], tmp_path / "out.mp4")
    assert len(lags_s) == 100
    assert max(map(abs, lags_s)) < 0.2


def test_buffered_pieces_hold_no_frames(tmp_path, video, monkeypatch):
    """Decoded frames are large, and there may be hundreds of pieces."""
    frames = []

    def add(self, item, plain=EncodingMp4Writer.add):
        plain(self, item)
        frames.extend([item] if isinstance(item, av.VideoFrame) else [])

    monkeypatch.setattr("pipelines.editing.mp4_writer.EncodingMp4Writer.add", add)
    cut(video, [(Fraction(i, 10), Fraction(i + 1, 10)) for i in range(40)], tmp_path / "out.mp4")
    assert 1 <= len(frames) <= MAX_ENCODERS


@pytest.mark.parametrize(("cores", "pieces", "threads"), [(2, 1, 3), (2, 2, 2), (16, 1, 24), (16, 6, 6)])
def test_encoders_share_the_cores(tmp_path, video, monkeypatch, cores, pieces, threads):
    """Read the encoder's settings, which x264 writes into the stream: frame threads, not slice threads."""
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    cut(video, [(Fraction(i, 2), Fraction(2 * i + 1, 4)) for i in range(pieces)], tmp_path / "out.mp4")
    settings = set(re.findall(rb" threads=(\d+) .*? sliced_threads=(\d)", (tmp_path / "out.mp4").read_bytes()))
    assert settings == {(b"%d" % threads, b"0")}


def test_pieces_without_audio_are_silent(tmp_path):
    # The audio covers only 1 to 2 s of the video.
    path = write_video(tmp_path / "a.mkv", 100, audio=clicks([0.5], 1), audio_start_s=Fraction(1), audio_codec="flac")
    cut(path, [(0.2, 0.7), (1.25, 1.75), (2.5, 3.5)], tmp_path / "out.mp4")
    assert click_times(audio_of(tmp_path / "out.mp4")) == pytest.approx([0.75], abs=0.001)
    assert len(audio_of(tmp_path / "out.mp4")) >= 1.99 * RATE_HZ


@pytest.mark.parametrize(("rate_hz", "out_hz"), [(8000, 8000), (44100, 44100), (96000, 48000), (37800, 44100)])
def test_sampling_rates_and_stereo(tmp_path, rate_hz, out_hz):
    left, right = clicks([0.5], 2, rate_hz), clicks([1.0], 2, rate_hz)
    path = write_video(tmp_path / "a.mov", 50, audio=np.stack([left, right]), audio_codec="pcm_s16le", rate_hz=rate_hz)
    cut(path, [(0.25, 1.5)], tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.audio[0].codec_context
        assert (context.name, context.sample_rate, context.channels) == ("aac", out_hz, 2)
        samples = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    assert click_times(samples[0], out_hz) == pytest.approx([0.25], abs=0.002)
    assert click_times(samples[1], out_hz) == pytest.approx([0.75], abs=0.002)


def test_video_without_audio(tmp_path):
    cut(write_video(tmp_path / "a.mp4", 50), [(0.5, 1)], tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.has_audio, info.n_frames) == (False, 12)


def test_video_of_one_frame(tmp_path):
    path = write_video(tmp_path / "a.mp4", 1, audio=clicks([], 0.04))
    cut(path, [(0, 9)], tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.n_frames, info.duration_s, info.has_audio) == (1, Fraction(1, 25), True)


@pytest.mark.parametrize("mirrored", [pytest.param(False, id="plain"), pytest.param(True, id="mirrored")])
@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_orientation_is_applied_to_the_frames(tmp_path, rotation_deg, mirrored):
    path = write_video(tmp_path / "a.mp4", 3, size=(96, 66), render=corner_frame, rotation_deg=rotation_deg,
                       mirrored=mirrored)
    cut(path, [(0, 1)], tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.rotation_deg) == (probe(path).width, probe(path).height, 0)
    (_, before), = frames_at(path, [0])
    after = decoded(tmp_path / "out.mp4")[0][1]
    assert corner_names(after) == corner_names(before)
    assert np.abs(after.astype(int) - before)[10:20, 10:20].max() < 12


@pytest.mark.parametrize(("size", "shown"), [
    ((81, 49), (80, 48)), ((80, 49), (80, 48)), ((82, 50), (82, 50)), ((1, 1), (2, 2))])
def test_odd_rows_and_columns_are_dropped(tmp_path, size, shown):
    path = write_video(tmp_path / "a.mkv", 5, size=size, codec="ffv1", pix_fmt="yuv444p", options={})
    cut(path, [(0.04, 1)], tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height) == shown
    if size[0] > 1:
        after = decoded(tmp_path / "out.mp4")
        assert [read_number(frame) for _, frame in after] == [1, 2, 3, 4]
        assert np.abs(after[0][1].astype(int) - numbered_frame(1, size)[:shown[1], :shown[0]]).max() < 60


@pytest.mark.parametrize(("aspect", "shown"), [(Fraction(16, 15), (84, 48)), (Fraction(8, 9), (80, 54))])
def test_frames_are_scaled_to_square_pixels(tmp_path, aspect, shown):
    cut(write_video(tmp_path / "a.mp4", 5, sample_aspect=aspect), [(0, 1)], tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.sample_aspect_ratio or 1) == (*shown, 1)
    assert [read_number(frame) for _, frame in decoded(tmp_path / "out.mp4")] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("codec", "suffix", "pix_fmt"), [
    ("libx264", ".mp4", "yuvj420p"), ("libx264", ".mp4", "yuv420p10le"), ("libx264", ".mp4", "yuv444p"),
    ("ffv1", ".mkv", "bgr0"), ("ffv1", ".mkv", "gray")])
def test_pixel_formats_are_converted_to_8_bit_420(tmp_path, codec, suffix, pix_fmt):
    path = write_video(tmp_path / f"a{suffix}", 3, size=(96, 64), render=corner_frame, codec=codec, pix_fmt=pix_fmt,
                       options={} if codec == "ffv1" else None)
    cut(path, [(0, 1)], tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    (_, before), = frames_at(path, [0])
    (_, after), = frames_at(tmp_path / "out.mp4", [0])
    difference = np.abs(after.astype(int) - before)
    if pix_fmt == "bgr0":   # The file must state the matrix that converted RGB to YCbCr (1 is BT.709).
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert next(container.decode(video=0)).colorspace == 1
    assert np.median(difference) <= 3
    assert difference[10:20, 10:20].max() < 12


def test_full_range_is_converted_to_limited_range(tmp_path):
    path = write_video(tmp_path / "a.webm", 2, size=(96, 64), render=corner_frame, codec="libvpx-vp9", full_range=True,
                       options=dict(lossless="1"))
    cut(path, [(0, 1)], tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
        assert frame.color_range in (0, 1)   # Unspecified or limited.
        assert np.frombuffer(frame.planes[0], np.uint8).max() <= 240
    (_, found), = frames_at(tmp_path / "out.mp4", [0])
    assert np.median(np.abs(found.astype(int) - corner_frame(0))) <= 3


@pytest.mark.parametrize("rotation_deg", [0, 180])
def test_color_tags_are_kept(tmp_path, rotation_deg):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        # All three tags are BT.709.
        stream.codec_context.colorspace = stream.codec_context.color_primaries = 1
        stream.codec_context.color_trc = 1
        stream.set_display_rotation(rotation_deg)
        frame = av.VideoFrame.from_ndarray(corner_frame(0), "rgb24").reformat(format="yuv420p", dst_colorspace="ITU709")
        for i in range(3):
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    cut(path, [(0, 1)], tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 1, 1, 1)
    (_, found), = frames_at(tmp_path / "out.mp4", [0])
    assert np.median(np.abs(found.astype(int) - np.rot90(corner_frame(0), rotation_deg // 90))) <= 3


def test_the_result_suits_players(tmp_path, video):
    cut(video, THIRDS, tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")   # Playback can start before the download is complete.
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["title"] == "Film"
        assert "location" not in container.metadata
        video_stream, audio_stream = container.streams.video[0], container.streams.audio[0]
        assert (video_stream.codec_context.name, audio_stream.codec_context.name) == ("h264", "aac")
        keys = {p.pts * p.time_base for p in container.demux(video_stream) if p.is_keyframe}
    assert {0, Fraction(2, 3), 1} <= {key.limit_denominator(1000) for key in keys}   # The joins can be sought.


@pytest.mark.parametrize("suffix", [".mpg", ".mp4", ".ts"])
def test_frames_after_a_seek_equal_those_of_the_complete_file(tmp_path, suffix):
    """In a program stream, several frames may share a packet, and their time stamps are then estimated."""
    codec = "mpeg2video" if suffix == ".mpg" else "mpeg4"
    path = write_video(tmp_path / f"a{suffix}", 100, codec=codec, options=dict(bf="2", g="12", qscale="2"))

    def numbers(start_s):
        return [(time_s, read_number(frame.to_ndarray(format="rgb24")))
                for time_s, frame in frames_from(path, decoded(path)[0][0], start_s)]

    complete = numbers(Fraction(0))
    for start_s in (Fraction(1, 3), Fraction(29, 10)):
        part = numbers(start_s)
        assert part[0][0] <= start_s
        assert part == [pair for pair in complete if pair[0] >= part[0][0]]


def test_seeks_that_end_too_late_are_repeated(tmp_path, video, monkeypatch):
    def late_seek(container, stream, time_s, seek=container.seek):
        return seek(container, stream, time_s + (Fraction(1, 2) if stream.type == "video" else Fraction(3, 2)))

    monkeypatch.setattr("pipelines.media.frames.seek", late_seek)
    monkeypatch.setattr("pipelines.media.audio_reader.seek", late_seek)
    cut(video, THIRDS, tmp_path / "out.mp4")
    check_frames(tmp_path / "out.mp4", expected_cut(STAMPS_25_FPS, THIRDS))
    assert click_times(audio_of(tmp_path / "out.mp4")) == pytest.approx([0.4167, 0.9167, 1.35], abs=0.002)


def test_files_that_cannot_be_sought(tmp_path, video, monkeypatch):
    monkeypatch.setattr("pipelines.editing.reencode.supports_exact_seek", lambda _: False)
    monkeypatch.setattr("pipelines.media.frames.seek", lambda *_: False)
    monkeypatch.setattr("pipelines.media.audio_reader.seek", lambda *_: False)
    cut(video, THIRDS, tmp_path / "out.mp4")
    check_frames(tmp_path / "out.mp4", expected_cut(STAMPS_25_FPS, THIRDS))
    assert click_times(audio_of(tmp_path / "out.mp4")) == pytest.approx([0.4167, 0.9167, 1.35], abs=0.002)


def test_progress(tmp_path, video, capsys):
    shares = []
    cut(video, THIRDS, tmp_path / "out.mp4", progress=shares.append)
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert len(shares) > 30
    assert capsys.readouterr().err == ""
    cut(video, THIRDS, tmp_path / "out.mp4", progress=True)
    assert "cutting: 100%" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not VIDEOS.is_dir(), reason="needs the real videos of ../shared/video")
@pytest.mark.parametrize("name", ["car-detection.mp4", "one-by-one-person-detection.mp4", "big_buck_bunny_0_30.webm"])
def test_real_videos(tmp_path, name):
    """Each frame of the cut is the source's frame of that time."""
    intervals_s = [(Fraction(91, 10), Fraction(94, 10)), (Fraction(127, 10), Fraction(13))]
    cut(VIDEOS / name, intervals_s, tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert abs(info.duration_s - Fraction(6, 10)) < 0.002
    with av.open(str(VIDEOS / name)) as container:
        source = [(f.pts * f.time_base, f) for f in container.decode(video=0) if f.time < 14]
        inside = [f for start, end in intervals_s for time_s, f in source if start <= time_s - source[0][0] < end]
    found = decoded(tmp_path / "out.mp4")
    assert len(found) == len(inside)
    for (_, frame), original in zip(found, inside, strict=True):
        error = np.abs(frame.astype(int) - original.to_ndarray(format="rgb24")).mean()
        assert error < 4


@pytest.mark.parametrize("spacing", ["even", "uneven", "sparse"])
def test_decoding_times_ascend_over_many_pieces(tmp_path, spacing):
    """Each piece, of one frame or more, has its own encoder, which reorders the frames."""
    rng = np.random.default_rng(3)
    pts = dict(even=list(range(0, 4000, 40)), uneven=np.cumsum(rng.integers(1, 200, 60)).tolist(),
               sparse=np.cumsum(rng.integers(1500, 9000, 40)).tolist())[spacing]
    path = write_video(tmp_path / "a.mkv", len(pts), pts=pts, time_base=Fraction(1, 1000))
    times_s = [Fraction(p - pts[0], 1000) for p in pts]
    starts = sorted(rng.choice(len(pts) - 9, 12, replace=False))
    intervals_s = [(times_s[a], min(times_s[b], times_s[a + 1 + i % 8])) for i, (a, b) in
                   enumerate(zip(starts, [*starts[1:], len(pts) - 1], strict=True))]
    cut(path, intervals_s, tmp_path / "out.mp4")
    check_frames(tmp_path / "out.mp4", expected_cut(times_s, intervals_s))
    with av.open(str(tmp_path / "out.mp4")) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    dts, pts = [p.dts for p in packets], sorted(p.pts for p in packets)
    assert dts == sorted(set(dts))
    assert all(p.dts <= p.pts for p in packets)
    depth = dts.index(0)
    assert depth == 2
    assert dts[depth:] == pts[:-depth]


def test_a_piece_shorter_than_a_tick_replaces_no_other_frame(tmp_path):
    path = write_numbered_video(tmp_path / "a.mp4")
    cut(path, [(0, 1), (1, 1 + Fraction(1, 10**6)), (2, 3)], tmp_path / "out.mp4")
    found = [read_number(frame) for _, frame in decoded(tmp_path / "out.mp4")]
    assert found == [*range(25), *range(50, 75)]
