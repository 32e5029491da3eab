"""Probing of files, and frames at given times: synthetic videos whose frames show their number."""

import os
import shutil
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from common.errors import InputError
from pipelines.media.container import open_video
from pipelines.media.probe import probe
from pipelines.media.video_reader import frames_at
from tests.media import (
    B_FRAMES,
    clicks,
    corner_frame,
    corner_names,
    decoded,
    numbered_frame,
    read_number,
    write_video,
)
from tests.paths import VIDEOS

UNEVEN_MS = [0, 40, 50, 200, 1000, 1010, 4000, 4001]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "plain.mp4", 60, options=B_FRAMES)


def numbers_at(path, times_s, **options):
    found = list(frames_at(path, times_s, **options))
    assert [index for index, _ in found] == list(range(len(times_s)))
    return [read_number(frame) for _, frame in found]


def number_shown(stamps_s, time_s):
    """Return the number of the last frame that begins at or before a time, else of the first, by linear search."""
    shown = 0
    for number, stamp_s in enumerate(stamps_s):
        if stamp_s <= time_s:
            shown = number
    return shown


def test_probe_of_an_ordinary_video(plain):
    info = probe(plain)
    assert (info.duration_s, info.fps, info.n_frames, info.start_s) == (Fraction(12, 5), 25, 60, 0)
    assert (info.width, info.height, info.rotation_deg) == (80, 48, 0)
    assert (info.has_audio, info.codec, info.path) == (False, "h264", plain.absolute())


@pytest.mark.parametrize(("suffix", "options"), [
    (".mp4", dict(audio=clicks([1], 3))),
    (".mov", dict(options=B_FRAMES)),
    (".mkv", dict(options=B_FRAMES)),
    (".ts", dict(options=B_FRAMES, audio=clicks([1], 3))),
    (".avi", dict(codec="ffv1", options={})),
    (".avi", dict(codec="mpeg4", options=dict(bf="2", qscale="1"))),
    (".webm", dict(codec="libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "16", "b": "400k"})),
    (".webm", dict(codec="libvpx-vp9", options=dict(deadline="realtime"))),
    (".h264", dict(options=B_FRAMES)),
    (".gif", dict(codec="gif", pix_fmt="gray", options={}, fps=20)),
])
def test_containers(tmp_path, suffix, options):
    path = write_video(tmp_path / f"a{suffix}", 60, **options)
    info = probe(path)
    fps = options.get("fps", 25)
    assert info.n_frames == 60
    assert abs(info.fps - fps) < 0.01
    assert abs(info.duration_s - Fraction(60, fps)) < Fraction(1, 100)
    assert info.has_audio == ("audio" in options)
    centers = [Fraction(2 * i + 1, 2 * fps) for i in (0, 1, 7, 30, 31, 59)]
    assert numbers_at(path, centers) == [0, 1, 7, 30, 31, 59]


def test_ntsc_frame_rate_is_exact(tmp_path):
    info = probe(write_video(tmp_path / "a.mp4", 60, fps=Fraction(30000, 1001)))
    assert (info.fps, info.duration_s) == (Fraction(30000, 1001), Fraction(60 * 1001, 30000))


def test_frame_rate_is_exact_despite_rounded_time_stamps_of_matroska(tmp_path):
    assert probe(write_video(tmp_path / "a.mkv", 60, fps=24)).fps == 24


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rate(tmp_path, suffix):
    path = write_video(tmp_path / f"a{suffix}", len(UNEVEN_MS), pts=UNEVEN_MS, time_base=Fraction(1, 1000),
                       options=B_FRAMES)
    stamps_s = [Fraction(ms, 1000) for ms in UNEVEN_MS]
    times_s = [Fraction(ms, 1000) for ms in range(0, 4100, 5)]
    assert numbers_at(path, times_s) == [number_shown(stamps_s, t) for t in times_s]
    info = probe(path)
    assert info.n_frames == len(UNEVEN_MS)
    assert 4 < info.duration_s < 4.1
    assert info.fps == info.n_frames / info.duration_s


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_times_count_from_the_first_frame(tmp_path, suffix):
    pts = [3000 + 40 * i for i in range(40)]
    path = write_video(tmp_path / f"a{suffix}", 40, pts=pts, time_base=Fraction(1, 1000), audio=clicks([], 5))
    info = probe(path)
    assert info.start_s == decoded(path)[0][0] > 2.9
    assert info.duration_s == Fraction(8, 5)
    assert numbers_at(path, [0, Fraction(4, 100), 1.5]) == [0, 1, 37]


def test_times_at_frame_boundaries_and_outside_the_video(plain):
    tick = Fraction(1, 10**9)
    times_s = [-1, 0, Fraction(1, 25) - tick, Fraction(1, 25), Fraction(2, 25) - tick, Fraction(59, 25) - tick,
               Fraction(59, 25), Fraction(12, 5), 99]
    assert numbers_at(plain, times_s) == [0, 0, 0, 1, 1, 58, 59, 59, 59]


def test_several_times_in_one_frame_and_no_times(plain):
    assert numbers_at(plain, [0.5] * 3 + [0.51]) == [12] * 4
    assert list(frames_at(plain, [])) == []


def test_frames_equal_those_decoded_by_pyav(plain):
    everything = [frame for _, frame in decoded(plain)]
    for index, frame in frames_at(plain, [Fraction(i, 25) for i in range(60)]):
        assert np.abs(frame.astype(int) - everything[index]).max() <= 2   # The scaler rounds.


def test_times_must_ascend(plain):
    with pytest.raises(ValueError, match="times_s must ascend"):
        next(frames_at(plain, [1, 0.5]))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_orientation(tmp_path, rotation_deg, mirrored):
    path = write_video(tmp_path / "a.mp4", 3, size=(96, 64), render=corner_frame, rotation_deg=rotation_deg,
                       mirrored=mirrored)
    expected = np.rot90(corner_frame(0), rotation_deg // 90)
    expected = expected[:, ::-1] if mirrored else expected
    info = probe(path)
    assert (info.height, info.width) == expected.shape[:2]
    assert info.rotation_deg == rotation_deg
    (_, frame), = frames_at(path, [0])
    assert frame.shape == expected.shape
    assert frame.flags.c_contiguous
    assert corner_names(frame) == corner_names(expected)


@pytest.mark.parametrize(("aspect", "size"), [(Fraction(16, 15), (85, 48)), (Fraction(8, 9), (80, 54)),
                                              (Fraction(40), (80, 48))])
def test_sample_aspect(tmp_path, aspect, size):
    path = write_video(tmp_path / "a.mp4", 3, sample_aspect=aspect)
    info = probe(path)
    assert (info.width, info.height) == size
    (_, frame), = frames_at(path, [0.05])
    assert frame.shape == (size[1], size[0], 3)
    assert read_number(frame) == 1
    turned = probe(write_video(tmp_path / "turned.mp4", 1, sample_aspect=aspect, rotation_deg=270))
    assert (turned.height, turned.width) == size


def test_short_side(tmp_path):
    path = write_video(tmp_path / "a.mp4", 5, size=(160, 96), rotation_deg=90)
    (_, frame), = frames_at(path, [0.1], short_side_px=48)
    assert frame.shape == (80, 48, 3)
    assert read_number(np.rot90(frame, -1)) == 2


@pytest.mark.parametrize(("codec", "suffix", "pix_fmt"), [
    ("libx264", ".mp4", "yuv420p"), ("libx264", ".mp4", "yuvj420p"), ("libx264", ".mp4", "yuv422p10le"),
    ("libx264", ".mp4", "yuv444p"), ("ffv1", ".mkv", "bgr0"), ("ffv1", ".mkv", "yuva420p")])
def test_colors_of_pixel_formats(tmp_path, codec, suffix, pix_fmt):
    path = write_video(tmp_path / f"a{suffix}", 2, size=(96, 64), render=corner_frame, codec=codec, pix_fmt=pix_fmt,
                       options={} if codec == "ffv1" else None)
    (_, frame), = frames_at(path, [0])
    difference = np.abs(frame.astype(int) - corner_frame(0))
    assert difference[8:24, 8:40].max() <= 4
    assert np.median(difference) <= 4


def test_full_range(tmp_path):
    path = write_video(tmp_path / "a.webm", 2, size=(96, 64), render=corner_frame, codec="libvpx-vp9", full_range=True,
                       options=dict(lossless="1"))
    with open_video(path) as (container, stream):
        frame = next(container.decode(stream))
        assert (frame.format.name, frame.color_range) == ("yuv420p", 2)
    (_, frame), = frames_at(path, [0])
    assert np.median(np.abs(frame.astype(int) - corner_frame(0))) <= 3


def test_odd_size(tmp_path):
    path = write_video(tmp_path / "a.mkv", 5, size=(81, 49), pix_fmt="yuv444p")
    (_, frame), = frames_at(path, [0.1])
    assert frame.shape == (49, 81, 3)
    assert read_number(frame) == 2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_single_frame(tmp_path, suffix):
    path = write_video(tmp_path / f"a{suffix}", 1)
    info = probe(path)
    assert (info.n_frames, info.duration_s, info.fps) == (1, Fraction(1, 25), 25)
    assert numbers_at(path, [0, 5]) == [0, 0]


@pytest.mark.parametrize("name", ["-i.mp4", "a:b.mp4", "http:x.mp4", "quo'te\".mp4", "two\nlines.mp4", "100%03d.mp4",
                                  "日本語.mp4", os.fsdecode(b"\xff.mp4")])
def test_unusual_file_names(tmp_path, monkeypatch, plain, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(plain, name)
    assert probe(name).n_frames == 60
    assert numbers_at(name, [0.5]) == [12]


def truncate(source, target, share):
    data = source.read_bytes()
    target.write_bytes(data[:int(len(data) * share)])
    return target


def test_truncated_file_without_its_index(tmp_path, plain):
    message = (r"off.mp4: is not a readable video .*; if it is a video, it is damaged or incomplete: "
               "copy or convert it again")
    with pytest.raises(InputError, match=message):
        probe(truncate(plain, tmp_path / "off.mp4", 0.3))


@pytest.mark.parametrize(("suffix", "container_options"), [
    (".mp4", dict(movflags="+faststart")), (".mkv", {}), (".ts", {})])
def test_the_remainder_of_a_truncated_file_is_read(tmp_path, suffix, container_options):
    noise = np.random.default_rng(0).integers(0, 40, (48, 80, 3), dtype=np.uint8)
    path = write_video(tmp_path / f"a{suffix}", 60, options=dict(crf="10", g="10"), container_options=container_options,
                       render=lambda i, size: np.roll(noise, 7 * i, axis=1) + np.uint8(3 * i))
    info = probe(truncate(path, tmp_path / f"off{suffix}", 0.6))
    assert 20 < info.n_frames < 45
    assert abs(info.duration_s - Fraction(info.n_frames, 25)) < Fraction(1, 500)
    frames = list(frames_at(info.path, [0, 0.5, 2]))
    assert [index for index, _ in frames] == [0, 1, 2]


def test_damage_in_the_middle_is_skipped(tmp_path):
    path = write_video(tmp_path / "a.mp4", 60, options=dict(crf="0", g="10"))
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for pos, size in packets[20:30]:
        data[pos:pos + size] = bytes(size)
    path.write_bytes(data)
    assert numbers_at(path, [0.42, 1.5, 2.3]) == [10, 37, 57]


def test_no_decodable_frame(tmp_path):
    path = write_video(tmp_path / "a.mp4", 10)
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for pos, size in packets:
        data[pos:pos + size] = bytes(size)
    path.write_bytes(data)
    message = "a.mp4: none of its frames can be decoded; the file is damaged or incomplete: copy or convert it again"
    for use in (probe, lambda p: next(frames_at(p, [0]))):
        with pytest.raises(InputError, match=message):
            use(path)


def test_hidden_frames_are_not_counted(tmp_path):
    noise = np.random.default_rng(0).integers(0, 30, (60, 48, 80, 3), dtype=np.uint8)
    path = write_video(tmp_path / "a.webm", 60, codec="libvpx", options=dict(b="400k"),
                       render=lambda i, size: numbered_frame(i, size) + noise[i])
    with av.open(str(path)) as container:
        hidden = [bytes(p) for p in container.demux(video=0) if p.size][30]
    data = path.read_bytes()
    assert data.count(hidden) == 1
    # Clear the show_frame bit of VP8.
    path.write_bytes(data.replace(hidden, bytes([hidden[0] & ~0x10]) + hidden[1:]))
    assert len(decoded(path)) == 59
    assert probe(path).n_frames == 59
    assert numbers_at(path, [1.17, 1.21, 1.25]) == [29, 29, 31]


def test_concatenated_files_without_a_timeline_are_rejected(tmp_path):
    first = write_video(tmp_path / "a.flv", 30, fps=1)
    (tmp_path / "both.flv").write_bytes(first.read_bytes() + first.read_bytes()[13:])
    with pytest.raises(InputError, match=r"its time stamps step back from .* convert it first"):
        probe(tmp_path / "both.flv")


def bad_file(folder, kind):
    path = folder / ("typed.txt" if kind == "typed" else f"{kind}.mp4")
    if kind == "text":
        path.write_text("not a film\n" * 100)
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "audio":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=48000, layout="mono")
            frame = av.AudioFrame.from_ndarray(clicks([0.1], 1)[None], "fltp", "mono")
            frame.sample_rate = 48000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    elif kind in ("png", "jpeg", "gif", "avif", "webp"):
        Image.new("RGB", (64, 48), "red").save(path, kind.upper())
    elif kind == "playlist":
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    elif kind == "typed":
        path.write_text("a letter\n" * 50)
    return path


@pytest.mark.parametrize(("kind", "message"), [
    ("missing", "no such file; check the name"),
    ("text", "is not a readable video"),
    ("typed", "is a text file, not a video; specify a video file"),
    ("playlist", "is not a readable video"),   # Its URL must not be opened.
    ("empty", r"is empty \(0 bytes\); copy it again"),
    ("folder", "is a folder; specify a video file"),
    ("pipe", "is not a regular file; specify a video file"),
    ("audio", "contains no video stream, only audio; specify a video file"),
    ("png", "is an image, not a video; specify a video file"),
    ("jpeg", "is an image, not a video; specify a video file"),
    ("gif", "is an image, not a video; specify a video file"),
    ("webp", "is an image, not a video; specify a video file"),
    ("avif", "is an image, not a video; specify a video file"),
])
def test_files_that_are_not_videos(tmp_path, kind, message):
    path = bad_file(tmp_path, kind)
    with pytest.raises(InputError, match=message) as caught:
        probe(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_cover_art_is_not_a_video(tmp_path):
    path = write_video(tmp_path / "a.mp4", 1, codec="mjpeg", pix_fmt="yuvj420p", options={}, audio=clicks([], 1),
                       cover_art=True)
    with pytest.raises(InputError, match="contains no video stream, only audio"):
        probe(path)


def test_cover_art_next_to_a_video_is_ignored(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt, cover.disposition = 32, 32, "yuvj420p", Disposition.attached_pic
        video = container.add_stream("libx264", rate=25, options=B_FRAMES)
        video.width, video.height, video.pix_fmt = 80, 48, "yuv420p"
        for stream, size, n_frames in [(cover, (32, 32), 1), (video, (80, 48), 10)]:
            for i in range(n_frames):
                image = av.VideoFrame.from_ndarray(numbered_frame(i, size)).reformat(format=stream.pix_fmt)
                image.pts, image.time_base = i, Fraction(1, 25)
                container.mux(stream.encode(image))
            container.mux(stream.encode(None))
    assert probe(path).n_frames == 10
    assert numbers_at(path, [0.21]) == [5]


def test_a_file_below_a_file(plain):
    with pytest.raises(InputError, match="no such file"):
        probe(plain / "inside.mp4")


def test_tags_in_another_encoding(tmp_path):
    path = write_video(tmp_path / "a.mp4", 3, metadata=dict(title="Grüße"))
    data = path.read_bytes()
    assert "Grüße".encode() in data
    path.write_bytes(data.replace("Grüße".encode(), "Gr\xfc\xdfe12".encode("latin-1")))
    assert probe(path).n_frames == 3


def test_display_matrix_of_an_odd_angle_is_taken_as_the_nearest_turn(tmp_path):
    path = write_video(tmp_path / "a.mp4", 2, size=(96, 64), render=corner_frame, rotation_deg=90)
    old = struct.pack(">4i", 0, -65536, 0, 65536)
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, struct.pack(">4i", 9000, -64915, 0, 64915)))
    with open_video(path) as (container, stream):
        assert next(container.decode(stream)).side_data is not None
    assert probe(path).rotation_deg == 90


@pytest.mark.skipif(not VIDEOS.is_dir(), reason="needs the real videos of ../shared/video")
@pytest.mark.parametrize("name", ["car-detection.mp4", "big_buck_bunny_0_30.webm"])
def test_real_videos_are_counted_exactly(name):
    info = probe(VIDEOS / name)
    with av.open(str(VIDEOS / name)) as container:
        stamps = [frame.pts * frame.time_base for frame in container.decode(container.streams.video[0])]
    assert info.n_frames == len(stamps)
    assert info.start_s == stamps[0]
    assert 0 < info.start_s + info.duration_s - stamps[-1] < 0.1
