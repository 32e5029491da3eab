"""Probing of files whose metadata is missing, imprecise or wrong, and of videos that this package cut."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from av.codec.context import Flags

from pipelines.editing.reencode import cut
from pipelines.media.frames import in_presentation_order
from pipelines.media.probe import probe
from tests.media import clicks, decoded, noisy_frame, numbered_frame, read_number, write_video

B_FRAMES = dict(crf="1", preset="ultrafast", bf="3")
MS = Fraction(1, 1000)


@pytest.mark.parametrize(("codec", "suffix", "name"), [
    ("libsvtav1", ".mp4", "av1"), ("libx264", ".mp4", "h264"), ("libvpx-vp9", ".webm", "vp9"),
    ("mpeg4", ".avi", "mpeg4")])
def test_codec_is_named_after_the_format_not_the_decoder(tmp_path, codec, suffix, name):
    path = write_video(tmp_path / f"a{suffix}", 2, codec=codec, options={})
    assert probe(path).codec == name


@pytest.mark.parametrize(("name", "fps", "timecode"), [
    ("a.mov", 25, "01:02:03:04"), ("a.mp4", Fraction(30000, 1001), "10:00:00;02"), ("a.mkv", 25, "01:02:03:04")])
def test_timecode(tmp_path, name, fps, timecode):
    path = write_video(tmp_path / name, 3, fps=fps, metadata=dict(timecode=timecode))
    assert probe(path).timecode == timecode
    assert probe(write_video(tmp_path / name, 3, fps=fps, metadata=dict(comment=timecode))).timecode == ""
    assert probe(write_video(tmp_path / "b.mkv", 3, fps=fps, metadata=dict(timecode="99:99"))).timecode == ""


@pytest.mark.parametrize(("suffix", "options"), [(".mp4", dict(movflags="+faststart")), (".mkv", {})])
def test_a_truncated_file_has_a_note(tmp_path, suffix, options):
    path = write_video(tmp_path / f"a{suffix}", 100, options=B_FRAMES, container_options=options, render=noisy_frame)
    assert probe(path).header_duration_s is None
    assert probe(path).truncation_note == ""
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    info = probe(path)
    assert 1 < info.duration_s < 3
    assert info.header_duration_s == 4
    assert info.truncation_note == (
        f"the file header states 4.0 s, but the frames end at {float(info.duration_s):.1f} s")


def test_longer_audio_does_not_count_as_missing_video(tmp_path):
    for suffix in (".mp4", ".ts", ".mkv"):
        assert probe(write_video(tmp_path / f"a{suffix}", 50, audio=clicks([1], 6))).header_duration_s is None


def test_gaps_in_the_time_stamps(tmp_path):
    jump = [*range(50), *range(2500, 2550)]
    assert probe(write_video(tmp_path / "a.mp4", 100, pts=jump, options=B_FRAMES)).timestamp_gaps_s == ((1.96, 100),)
    assert probe(write_video(tmp_path / "a.mkv", 100, pts=jump)).timestamp_gaps_s == ((1.96, 100),)
    slides = write_video(tmp_path / "b.mp4", 20, pts=[90 * i for i in range(20)], time_base=Fraction(1))
    assert probe(slides).timestamp_gaps_s == ()   # Every slide is shown for 90 s.
    assert probe(write_video(tmp_path / "c.mp4", 1)).timestamp_gaps_s == ()


def write_mp4(path, stamps_ms, end_ms):
    """Write an mp4 with reordered frames and a given end of the last frame."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options=dict(preset="veryfast"))
        video.width, video.height, video.pix_fmt, video.codec_context.time_base = 80, 48, "yuv420p", MS
        video.codec_context.flags |= Flags.frame_duration
        for number, (stamp, following) in enumerate(pairwise([*stamps_ms, end_ms])):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base, frame.duration = stamp, MS, following - stamp
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


@pytest.mark.parametrize(("stamps_ms", "end_ms"), [
    # Stored as 0, 160, 40: the duration in the packet of 160 is 120 ms, its distance in decoding order.
    pytest.param([0, 40, 160], 200, id="last-frame-stored-earlier"),
    # The last frame is stored last: its packet is right, but FFmpeg's duration of the stream is 160 ms.
    pytest.param([0, 40, 80, 200], 240, id="last-frame-stored-last"),
])
def test_end_of_the_last_frame(tmp_path, stamps_ms, end_ms):
    path = write_mp4(tmp_path / "a.mp4", stamps_ms, end_ms)
    assert probe(path).duration_s == end_ms * MS


def expected_numbers(pts, intervals_s):
    """Return the expected frame numbers, including frames shown for more than 0.2 s after an interval begins."""
    numbers = []
    for start_s, end_s in intervals_s:
        before = [k for k, ms in enumerate(pts) if ms * MS < start_s]
        inside = [k for k, ms in enumerate(pts) if start_s <= ms * MS < end_s]
        if before and (not inside or pts[inside[0]] * MS - start_s > Fraction(1, 5)):
            numbers.append(before[-1])
        numbers += inside
    return numbers


@pytest.mark.parametrize("seed", [2, 3, 17, 22, 33, 34])
def test_a_cut_is_as_long_as_its_intervals(tmp_path, seed):
    """With variable frame durations, no following frame determines the end of the last one."""
    rng = np.random.default_rng(seed)
    pts = np.cumsum([0, *rng.choice([5, 33, 40, 40, 40, 120, 700], 40)]).tolist()
    audio = clicks([1], pts[-1] / 1000 + 1) if seed % 2 else None
    path = write_video(tmp_path / "a.mkv", len(pts), pts=pts, time_base=MS, options=B_FRAMES, audio=audio)
    edges = np.sort(rng.choice(np.arange(pts[-1]), 6, replace=False)).tolist()
    intervals_s = [(start * MS, end * MS) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    cut(path, intervals_s, tmp_path / "out.mp4")
    assert [read_number(frame) for _, frame in decoded(tmp_path / "out.mp4")] == expected_numbers(pts, intervals_s)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stored = [packet.pts for packet in container.demux(container.streams.video[0]) if packet.size]
    assert stored[-1] == max(stored)   # Otherwise readers shorten the last frame.
    assert abs(probe(tmp_path / "out.mp4").duration_s - sum(end - start for start, end in intervals_s)) < MS / 2


def test_frames_with_equal_time_stamps_count_once(tmp_path):
    """Both packets can be decoded, but a player shows one frame per time stamp."""
    original = write_video(tmp_path / "original.mkv", 20, codec="ffv1", options={})
    twice = tmp_path / "twice.mkv"
    with av.open(str(original)) as source, av.open(str(twice), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                if packet.pts == 400:   # The 11th frame gets the time stamp of the 10th.
                    packet.pts = packet.dts = 360
                packet.stream = stream
                out.mux(packet)
    with av.open(str(twice)) as container:
        stamps = [packet.pts for packet in container.demux(container.streams.video[0]) if packet.size]
    assert len(stamps) == 20
    assert len(set(stamps)) == 19
    assert probe(twice).n_frames == 19
    with av.open(str(twice)) as container:
        stream = container.streams.video[0]
        shown = [time_s for time_s, _ in in_presentation_order(container.decode(stream), stream)]
    assert shown == sorted(set(shown))
    assert len(shown) == 19
