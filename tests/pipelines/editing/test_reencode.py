"""Cuts: exactly the pictures and the sound of the intervals, side by side, whole or not at all."""

import re
from fractions import Fraction

import av
import numpy as np
import pytest

from pipelines.editing.mp4_writer import EncodingMp4Writer
from pipelines.editing.reencode import AT_ONCE, cut
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

THIRDS = [(Fraction(1, 3), Fraction(1)), (Fraction(1), Fraction(4, 3)), (Fraction(29, 10), Fraction(71, 20))]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_numbered_video(tmp_path_factory.mktemp("cut") / "film.mp4")


def expected_cut(stamps_s, intervals_s):
    """The slow twin: (time in the cut, number) of each picture, by the words of the contract."""
    rows, joined_s = [], Fraction(0)
    for start_s, end_s in intervals_s:
        inside = [(stamp_s, number) for number, stamp_s in enumerate(stamps_s) if start_s <= stamp_s < end_s]
        for position, (stamp_s, number) in enumerate(inside):
            rows.append((joined_s + (stamp_s - start_s if position else 0), number))
        joined_s += end_s - start_s
    return rows


def check_pictures(path, expected, tolerance_s=Fraction(1, 10_000)):
    found = decoded(path)
    assert [read_number(picture) for _, picture in found] == [number for _, number in expected]
    for (found_s, _), (expected_s, _) in zip(found, expected, strict=True):
        assert abs(found_s - expected_s) <= tolerance_s


def sound_of(path, rate_hz=RATE_HZ):
    return np.concatenate(list(read_audio(path, rate_hz=rate_hz)))


@pytest.mark.parametrize("intervals_s", [
    [(0, 4)], [(1, 2)], [(Fraction(1, 25), Fraction(2, 25))], [(0, Fraction(1, 100))], THIRDS,
    [(Fraction(i, 7), Fraction(2 * i + 1, 14)) for i in range(1, 28)], [(0.1, 0.3), (3.9, 4)]])
def test_pictures_and_times_are_exact(tmp_path, film, intervals_s):
    out = tmp_path / "out.mp4"
    cut(film, intervals_s, out)
    exact = [(Fraction(start), Fraction(end)) for start, end in intervals_s]
    check_pictures(out, expected_cut([Fraction(i, 25) for i in range(100)], exact))
    info = probe(out)
    total_s = sum(end - start for start, end in exact)
    assert info.start_s == 0
    assert abs(info.duration_s - total_s) < Fraction(1, 5000)
    assert abs(len(sound_of(out)) / RATE_HZ - total_s) < 1024 / RATE_HZ + 0.001   # AAC ends with a whole block


@pytest.mark.parametrize(("suffix", "options"), [
    (".mkv", dict(options=B_FRAMES)), (".ts", dict(options=B_FRAMES)),
    (".mkv", dict(options={**B_FRAMES, "x264-params": "open-gop=1"})),
    (".mp4", dict(codec="mpeg4", options=dict(bf="2", g="12", qscale="2"))),
    (".mpg", dict(codec="mpeg2video", render=noisy_frame,
                  options=dict(bf="2", g="12", b="6M", minrate="6M", maxrate="6M", bufsize="2M"))),
    (".ts", dict(codec="mpeg2video", options=dict(bf="2", g="12", qscale="2"))),
    (".ts", dict(codec="mpeg4", options=dict(bf="2", g="12", qscale="2"))),
    (".webm", dict(codec="libvpx-vp9", options=dict(deadline="realtime", g="12"))),
    (".avi", dict(codec="mpeg4", options=dict(bf="0", g="12", qscale="2"))),
    (".wmv", dict(codec="wmv2", options=dict(g="12", qscale="2"))),
    (".h264", dict(options=B_FRAMES)), (".flv", dict(options=B_FRAMES)),
    (".mov", dict(codec="mjpeg", pix_fmt="yuvj420p", options=dict(qscale="1"))),
    (".mp4", dict(options={**B_FRAMES, "g": "9999", "sc_threshold": "0"}))])
def test_any_container(tmp_path, suffix, options):
    path = write_video(tmp_path / f"a{suffix}", 100, **options)
    cut(path, THIRDS, tmp_path / "out.mp4")
    tolerance_s = Fraction(1, 900) if suffix in (".mkv", ".webm", ".flv", ".wmv") else Fraction(1, 10_000)
    check_pictures(tmp_path / "out.mp4", expected_cut([Fraction(i, 25) for i in range(100)], THIRDS), tolerance_s)


def test_variable_frame_rate(tmp_path):
    rng = np.random.default_rng(0)
    pts = np.cumsum(rng.integers(5, 90, 100)).tolist()
    path = write_video(tmp_path / "a.mp4", 100, pts=pts, time_base=Fraction(1, 1000), options=B_FRAMES)
    cut(path, THIRDS, tmp_path / "out.mp4")
    check_pictures(tmp_path / "out.mp4", expected_cut([Fraction(p - pts[0], 1000) for p in pts], THIRDS))
    assert abs(probe(tmp_path / "out.mp4").duration_s - Fraction(33, 20)) < Fraction(1, 5000)


def test_ntsc_does_not_drift(tmp_path):
    rate = Fraction(30000, 1001)
    path = write_video(tmp_path / "a.mp4", 120, fps=rate)
    intervals_s = [(Fraction(i, 5), Fraction(3 * i + 1, 15)) for i in range(1, 19)]
    cut(path, intervals_s, tmp_path / "out.mp4")
    check_pictures(tmp_path / "out.mp4", expected_cut([i / rate for i in range(120)], intervals_s))


@pytest.mark.parametrize("jumps", [True, False])
def test_slides_that_stand_are_shown(tmp_path, monkeypatch, jumps):
    path = write_video(tmp_path / "a.mp4", 4, pts=[0, 10, 20, 21], time_base=Fraction(1), options=B_FRAMES)
    if not jumps:
        monkeypatch.setattr("pipelines.editing.reencode.supports_exact_seek", lambda _: False)
    cut(path, [(2, 4), (8, 11), (19.9, 20.5), (20.7, 21)], tmp_path / "out.mp4")
    check_pictures(tmp_path / "out.mp4", [(0, 0), (2, 0), (4, 1), (5, 2), (Fraction(28, 5), 2)])
    assert abs(probe(tmp_path / "out.mp4").duration_s - Fraction(59, 10)) < Fraction(1, 1000)


def flashing(index, size):
    return np.full((size[1], size[0], 3), 230 if index % 20 == 7 else 20, dtype=np.uint8)


@pytest.mark.parametrize(("suffix", "first_s", "sound_start_s"), [
    (".mp4", 0, 0), (".mkv", 0, 0), (".ts", 0, 0), (".mp4", 0, Fraction(1, 2)), (".mp4", 2, 0), (".ts", 2, 1),
    (".mkv", 1, Fraction(3, 2))])
def test_flash_and_click_coincide(tmp_path, suffix, first_s, sound_start_s):
    """Flash and click every 0.8 s of the source, joined in many pieces, stay within half a frame."""
    n_frames, rate = 300, 25
    flashes_s = [Fraction(i, rate) + first_s for i in range(n_frames) if i % 20 == 7]
    sound = clicks([t - sound_start_s for t in flashes_s if t >= sound_start_s], n_frames / rate + first_s - sound_start_s)
    path = write_video(tmp_path / f"a{suffix}", n_frames, render=flashing, audio=sound, audio_start_s=sound_start_s,
                       pts=[i + first_s * rate for i in range(n_frames)], time_base=Fraction(1, rate),
                       options=dict(g="30", crf="10"))
    intervals_s = [(Fraction(2 * i, 3), Fraction(2 * i, 3) + Fraction(41, 100)) for i in range(18)]
    cut(path, intervals_s, tmp_path / "out.mp4")
    bright = [time_s for time_s, picture in decoded(tmp_path / "out.mp4") if picture.mean() > 120]
    heard = np.array(click_times(sound_of(tmp_path / "out.mp4")))
    expected = [float(t) for t in bright]
    assert len(expected) > 7
    for time_s in expected[3:]:
        assert np.abs(heard - time_s).min() < 0.5 / rate
    assert len(heard) <= len(expected)


def test_sound_is_exact_to_the_sample_over_many_pieces(tmp_path):
    """Clicks in the middle of each of forty pieces of awkward length: rounding does not add up."""
    length_s, n = Fraction(1001, 9973), 40
    starts_s = [Fraction(i, 4) + Fraction(1, 7) for i in range(n)]
    sound = clicks([start + length_s / 2 for start in starts_s], 11)
    path = write_video(tmp_path / "a.mov", 260, audio=sound, audio_codec="pcm_s16le")
    cut(path, [(start, start + length_s) for start in starts_s], tmp_path / "out.mp4")
    found = click_times(sound_of(tmp_path / "out.mp4"))
    assert found == pytest.approx([float(length_s * (i + Fraction(1, 2))) for i in range(n)], abs=4 / RATE_HZ)


def test_sound_fades_at_joins(tmp_path):
    sound = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(4 * RATE_HZ) / RATE_HZ)
    path = write_video(tmp_path / "a.mov", 100, audio=sound, audio_codec="pcm_s16le")
    cut(path, [(0.5, 1.5), (2, 3)], tmp_path / "out.mp4")
    found = sound_of(tmp_path / "out.mp4")
    ms = RATE_HZ // 1000

    def loudness(first_ms, last_ms):
        return np.abs(found[first_ms * ms:last_ms * ms]).max()

    assert loudness(999, 1001) < 0.15
    assert loudness(994, 997) > loudness(997, 999) > loudness(999, 1000)
    assert loudness(1003, 1006) > loudness(1001, 1003) > loudness(1000, 1001)
    assert loudness(900, 990) == pytest.approx(0.5, abs=0.06) == loudness(1010, 1100)


def test_sound_keeps_up_with_the_pictures(tmp_path, film, monkeypatch):
    """Neither piles up in memory while the other is written."""
    lags_s = []

    def add(self, item, plain=EncodingMp4Writer.add):
        plain(self, item)
        if isinstance(item, av.Packet):   # a first picture comes before them
            lags_s.append(float(self.seen_s - self.heard_s))

    monkeypatch.setattr("pipelines.editing.mp4_writer.EncodingMp4Writer.add", add)
    cut(film, [(0, 1), (1, 4)], tmp_path / "out.mp4")
    assert len(lags_s) == 100
    assert max(map(abs, lags_s)) < 0.2


def test_pieces_hold_no_pictures_until_their_turn(tmp_path, film, monkeypatch):
    """Raw ones are large, and there may be hundreds of pieces."""
    pictures = []

    def add(self, item, plain=EncodingMp4Writer.add):
        plain(self, item)
        pictures.extend([item] if isinstance(item, av.VideoFrame) else [])

    monkeypatch.setattr("pipelines.editing.mp4_writer.EncodingMp4Writer.add", add)
    cut(film, [(Fraction(i, 10), Fraction(i + 1, 10)) for i in range(40)], tmp_path / "out.mp4")
    assert 1 <= len(pictures) <= AT_ONCE


@pytest.mark.parametrize(("cores", "pieces", "threads"), [(2, 1, 3), (2, 2, 2), (16, 1, 24), (16, 6, 6)])
def test_encoders_share_the_processor(tmp_path, film, monkeypatch, cores, pieces, threads):
    """x264 writes its settings into what it encodes. It works on several pictures at once, not on slices of one."""
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    cut(film, [(Fraction(i, 2), Fraction(2 * i + 1, 4)) for i in range(pieces)], tmp_path / "out.mp4")
    settings = set(re.findall(rb" threads=(\d+) .*? sliced_threads=(\d)", (tmp_path / "out.mp4").read_bytes()))
    assert settings == {(b"%d" % threads, b"0")}


def test_pieces_without_sound_are_silent(tmp_path):
    path = write_video(tmp_path / "a.mkv", 100, audio=clicks([0.5], 1), audio_start_s=Fraction(1), audio_codec="flac")
    cut(path, [(0.2, 0.7), (1.25, 1.75), (2.5, 3.5)], tmp_path / "out.mp4")
    assert click_times(sound_of(tmp_path / "out.mp4")) == pytest.approx([0.75], abs=0.001)
    assert len(sound_of(tmp_path / "out.mp4")) >= 1.99 * RATE_HZ


@pytest.mark.parametrize(("rate_hz", "out_hz"), [(8000, 8000), (44100, 44100), (96000, 48000), (37800, 44100)])
def test_sound_rates_and_stereo(tmp_path, rate_hz, out_hz):
    left, right = clicks([0.5], 2, rate_hz), clicks([1.0], 2, rate_hz)
    path = write_video(tmp_path / "a.mov", 50, audio=np.stack([left, right]), audio_codec="pcm_s16le", rate_hz=rate_hz)
    cut(path, [(0.25, 1.5)], tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.audio[0].codec_context
        assert (context.name, context.sample_rate, context.channels) == ("aac", out_hz, 2)
        samples = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    assert click_times(samples[0], out_hz) == pytest.approx([0.25], abs=0.002)
    assert click_times(samples[1], out_hz) == pytest.approx([0.75], abs=0.002)


def test_video_without_sound(tmp_path):
    cut(write_video(tmp_path / "a.mp4", 50), [(0.5, 1)], tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.has_audio, info.n_frames) == (False, 12)


def test_one_picture(tmp_path):
    path = write_video(tmp_path / "a.mp4", 1, audio=clicks([], 0.04))
    cut(path, [(0, 9)], tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.n_frames, info.duration_s, info.has_audio) == (1, Fraction(1, 25), True)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_orientation_is_baked_in(tmp_path, rotation_deg, mirrored):
    path = write_video(tmp_path / "a.mp4", 3, size=(96, 66), render=corner_frame, rotation_deg=rotation_deg,
                       mirrored=mirrored)
    cut(path, [(0, 1)], tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.rotation_deg) == (probe(path).width, probe(path).height, 0)
    (_, before), = frames_at(path, [0])
    after = decoded(tmp_path / "out.mp4")[0][1]
    assert corner_names(after) == corner_names(before)
    assert np.abs(after.astype(int) - before)[10:20, 10:20].max() < 12


@pytest.mark.parametrize(("size", "shown"), [((81, 49), (80, 48)), ((80, 49), (80, 48)), ((82, 50), (82, 50)), ((1, 1), (2, 2))])
def test_odd_sizes_lose_a_line(tmp_path, size, shown):
    path = write_video(tmp_path / "a.mkv", 5, size=size, codec="ffv1", pix_fmt="yuv444p", options={})
    cut(path, [(0.04, 1)], tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height) == shown
    if size[0] > 1:
        after = decoded(tmp_path / "out.mp4")
        assert [read_number(picture) for _, picture in after] == [1, 2, 3, 4]
        assert np.abs(after[0][1].astype(int) - numbered_frame(1, size)[:shown[1], :shown[0]]).max() < 60


@pytest.mark.parametrize(("aspect", "shown"), [(Fraction(16, 15), (84, 48)), (Fraction(8, 9), (80, 54))])
def test_samples_become_square(tmp_path, aspect, shown):
    cut(write_video(tmp_path / "a.mp4", 5, sample_aspect=aspect), [(0, 1)], tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.sample_aspect_ratio or 1) == (*shown, 1)
    assert [read_number(picture) for _, picture in decoded(tmp_path / "out.mp4")] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("codec", "suffix", "pix_fmt"), [
    ("libx264", ".mp4", "yuvj420p"), ("libx264", ".mp4", "yuv420p10le"), ("libx264", ".mp4", "yuv444p"),
    ("ffv1", ".mkv", "bgr0"), ("ffv1", ".mkv", "gray")])
def test_every_kind_of_pixel_becomes_8_bit_420(tmp_path, codec, suffix, pix_fmt):
    path = write_video(tmp_path / f"a{suffix}", 3, size=(96, 64), render=corner_frame, codec=codec, pix_fmt=pix_fmt,
                       options={} if codec == "ffv1" else None)
    cut(path, [(0, 1)], tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    (_, before), = frames_at(path, [0])
    (_, after), = frames_at(tmp_path / "out.mp4", [0])
    difference = np.abs(after.astype(int) - before)
    if pix_fmt == "bgr0":   # says by which matrix it became luma and chroma
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert next(container.decode(video=0)).colorspace == 1
    assert np.median(difference) <= 3
    assert difference[10:20, 10:20].max() < 12


def test_full_range_becomes_the_usual_one(tmp_path):
    path = write_video(tmp_path / "a.webm", 2, size=(96, 64), render=corner_frame, codec="libvpx-vp9", full_range=True,
                       options=dict(lossless="1"))
    cut(path, [(0, 1)], tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
        assert frame.color_range in (0, 1)   # unsaid, or said to be limited
        assert np.frombuffer(frame.planes[0], np.uint8).max() <= 240
    (_, picture), = frames_at(tmp_path / "out.mp4", [0])
    assert np.median(np.abs(picture.astype(int) - corner_frame(0))) <= 3


@pytest.mark.parametrize("rotation_deg", [0, 180])
def test_colour_tags_are_kept(tmp_path, rotation_deg):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.colorspace = stream.codec_context.color_primaries = 1
        stream.codec_context.color_trc = 1   # all three BT.709
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
    (_, picture), = frames_at(tmp_path / "out.mp4", [0])
    assert np.median(np.abs(picture.astype(int) - np.rot90(corner_frame(0), rotation_deg // 90))) <= 3


def test_what_a_player_needs(tmp_path, film):
    cut(film, THIRDS, tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")   # plays before it is all there
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["title"] == "Film"
        assert "location" not in container.metadata
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        keys = {p.pts * p.time_base for p in container.demux(video) if p.is_keyframe}
    assert {0, Fraction(2, 3), 1} <= {key.limit_denominator(1000) for key in keys}   # a player can jump to the joins


@pytest.mark.parametrize("suffix", [".mpg", ".mp4", ".ts"])
def test_frames_from_a_time_are_those_of_the_whole_file(tmp_path, suffix):
    """Also with several pictures in one packet of a program stream, whose time stamps are then guessed."""
    codec = "mpeg2video" if suffix == ".mpg" else "mpeg4"
    path = write_video(tmp_path / f"a{suffix}", 100, codec=codec, options=dict(bf="2", g="12", qscale="2"))

    def numbers(start_s):
        return [(time_s, read_number(frame.to_ndarray(format="rgb24")))
                for time_s, frame in frames_from(path, decoded(path)[0][0], start_s)]

    whole = numbers(Fraction(0))
    for start_s in (Fraction(1, 3), Fraction(29, 10)):
        part = numbers(start_s)
        assert part[0][0] <= start_s
        assert part == [pair for pair in whole if pair[0] >= part[0][0]]


def test_seeks_that_come_too_late_are_made_anew(tmp_path, film, monkeypatch):
    def late(container, stream, time_s, seek=container.seek):
        return seek(container, stream, time_s + (Fraction(1, 2) if stream.type == "video" else Fraction(3, 2)))

    monkeypatch.setattr("pipelines.media.frames.seek", late)
    monkeypatch.setattr("pipelines.media.audio_reader.seek", late)
    cut(film, THIRDS, tmp_path / "out.mp4")
    check_pictures(tmp_path / "out.mp4", expected_cut([Fraction(i, 25) for i in range(100)], THIRDS))
    assert click_times(sound_of(tmp_path / "out.mp4")) == pytest.approx([0.4167, 0.9167, 1.35], abs=0.002)


def test_seeks_that_fail_are_done_without(tmp_path, film, monkeypatch):
    monkeypatch.setattr("pipelines.editing.reencode.supports_exact_seek", lambda _: False)
    monkeypatch.setattr("pipelines.media.frames.seek", lambda *_: False)
    monkeypatch.setattr("pipelines.media.audio_reader.seek", lambda *_: False)
    cut(film, THIRDS, tmp_path / "out.mp4")
    check_pictures(tmp_path / "out.mp4", expected_cut([Fraction(i, 25) for i in range(100)], THIRDS))
    assert click_times(sound_of(tmp_path / "out.mp4")) == pytest.approx([0.4167, 0.9167, 1.35], abs=0.002)


def test_progress_is_told(tmp_path, film, capsys):
    shares = []
    cut(film, THIRDS, tmp_path / "out.mp4", progress=shares.append)
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert len(shares) > 30
    assert capsys.readouterr().err == ""
    cut(film, THIRDS, tmp_path / "out.mp4", progress=True)
    assert "cutting: 100%" in capsys.readouterr().err


@pytest.mark.skipif(not VIDEOS.is_dir(), reason="needs the real videos of ../shared/video")
@pytest.mark.parametrize("name", ["car-detection.mp4", "one-by-one-person-detection.mp4", "big_buck_bunny_0_30.webm"])
def test_real_videos(tmp_path, name):
    """Each picture of the cut is the source's picture of that time, and unlike the one after it."""
    intervals_s = [(Fraction(91, 10), Fraction(94, 10)), (Fraction(127, 10), Fraction(13))]
    cut(VIDEOS / name, intervals_s, tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert abs(info.duration_s - Fraction(6, 10)) < 0.002
    with av.open(str(VIDEOS / name)) as container:
        source = [(f.pts * f.time_base, f) for f in container.decode(video=0) if f.time < 14]
        inside = [f for start, end in intervals_s for time_s, f in source if start <= time_s - source[0][0] < end]
    found = decoded(tmp_path / "out.mp4")
    assert len(found) == len(inside)
    for (_, picture), frame in zip(found, inside, strict=True):
        error = np.abs(picture.astype(int) - frame.to_ndarray(format="rgb24")).mean()
        assert error < 4


@pytest.mark.parametrize("stamps", ["even", "uneven", "sparse"])
def test_packets_of_many_pieces_are_decoded_at_rising_times(tmp_path, stamps):
    """Each piece is encoded on its own, with pictures reordered; every length from a picture up."""
    rng = np.random.default_rng(3)
    pts = dict(even=list(range(0, 4000, 40)), uneven=np.cumsum(rng.integers(1, 200, 60)).tolist(),
               sparse=np.cumsum(rng.integers(1500, 9000, 40)).tolist())[stamps]
    path = write_video(tmp_path / "a.mkv", len(pts), pts=pts, time_base=Fraction(1, 1000))
    times_s = [Fraction(p - pts[0], 1000) for p in pts]
    starts = sorted(rng.choice(len(pts) - 9, 12, replace=False))
    intervals_s = [(times_s[a], min(times_s[b], times_s[a + 1 + i % 8])) for i, (a, b) in
                   enumerate(zip(starts, [*starts[1:], len(pts) - 1], strict=True))]
    cut(path, intervals_s, tmp_path / "out.mp4")
    check_pictures(tmp_path / "out.mp4", expected_cut(times_s, intervals_s))
    with av.open(str(tmp_path / "out.mp4")) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    decoded_at = [p.dts for p in packets]
    assert decoded_at == sorted(set(decoded_at)) and all(p.dts <= p.pts for p in packets)
    shown = sorted(p.pts for p in packets)
    depth = decoded_at.index(0)
    assert depth == 2 and decoded_at[depth:] == shown[:-depth]


def test_a_piece_shorter_than_a_tick_hides_nothing(tmp_path):
    path = write_numbered_video(tmp_path / "a.mp4")
    cut(path, [(0, 1), (1, 1 + Fraction(1, 10**6)), (2, 3)], tmp_path / "out.mp4")
    found = [read_number(picture) for _, picture in decoded(tmp_path / "out.mp4")]
    assert found == [*range(25), *range(50, 75)]
