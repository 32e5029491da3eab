"""MPEG streams that were concatenated byte by byte: time continues, and what cannot be joined is refused."""

from fractions import Fraction

import av
import numpy as np
import pytest

from common.errors import InputError
from pipelines.editing.reencode import cut
from pipelines.editing.stream_copy import copy_cut, kept_intervals, plan_copy
from pipelines.features.encode import encode_video
from pipelines.media.audio_reader import read_samples
from pipelines.media.container import open_container, read_packets
from pipelines.media.frames import frames_from
from pipelines.media.presentation_times import PresentationClock
from pipelines.media.probe import probe
from pipelines.media.timeline import WRAP, PacketTable, Timeline, find_timeline
from pipelines.media.video_reader import frames_at
from tests.media import RATE_HZ, click_times, clicks, decoded, numbered_frame, read_number, write_video
from tests.pipelines.fakes import color_encoders

TICKS = 90_000
H264 = dict(codec="libx264", options=dict(preset="ultrafast", crf="10", bf="2", g="10"))
MPEG2 = dict(codec="mpeg2video", options=dict(bf="2", g="12", qscale="2"), size=(96, 64))
HEVC = dict(codec="libx265", options={"preset": "ultrafast", "x265-params": "log-level=none:bframes=3:keyint=20"})


def write_part(path, first, n_frames, *, start_s=0, with_audio=True, audio_codec="mp2", **options):
    """Write frames `first` to `first + n_frames` at 25 fps, with a click every half second of the complete recording."""
    recording = clicks(np.arange(0.25, 30, 0.5), 30)
    audio = recording[first * RATE_HZ // 25:(first + n_frames) * RATE_HZ // 25] if with_audio else None
    return write_video(path, n_frames, render=lambda i, size: numbered_frame(first + i, size), audio=audio,
                       pts=[round(25 * start_s) + i for i in range(n_frames)], time_base=Fraction(1, 25),
                       audio_start_s=Fraction(start_s), audio_codec=audio_codec, **(H264 | options))


def concatenate(folder, suffix, *parts, **options):
    """Join parts byte by byte; each is a number of frames, or a pair of it and the time stamp of the first frame."""
    path, first = folder / f"joined{suffix}", 0
    with path.open("wb") as joined:
        for number, part in enumerate(parts):
            n_frames, start_s = part if isinstance(part, tuple) else (part, 0)
            joined.write(write_part(folder / f"{number}{suffix}", first, n_frames, start_s=start_s,
                                    **options).read_bytes())
            first += n_frames
    return path


def numbers(path):
    return [read_number(frame) for _, frame in decoded(path)]


def all_frames(path, info):
    return [(time_s, read_number(frame.to_ndarray(format="rgb24")))
            for time_s, frame in frames_from(path, info.start_s, Fraction(0))]


def check_joined(path, n_frames, max_click_error_s=0.03):
    """Check the duration, all frames and their times, random access, and the audio."""
    info = probe(path)
    assert (info.duration_s, info.n_frames, info.fps) == (Fraction(n_frames, 25), n_frames, 25)
    assert (info.header_duration_s, info.timestamp_gaps_s) == (None, ())
    assert all_frames(path, info) == [(Fraction(i, 25), i) for i in range(n_frames)]
    times_s = [Fraction(2 * i + 1, 50) for i in range(n_frames)]
    assert [read_number(frame) for _, frame in frames_at(path, times_s)] == list(range(n_frames))
    for start in (n_frames - 3, n_frames // 2, 1):
        begin = next(frame for time_s, frame in frames_from(path, info.start_s, Fraction(start, 25))
                     if time_s == Fraction(start, 25))
        assert read_number(begin.to_ndarray(format="rgb24")) == start
    if info.has_audio:
        for from_s in (Fraction(0), Fraction(n_frames, 50)):
            samples = np.concatenate([*read_samples(path, info.start_s, from_s, RATE_HZ, "mono")], axis=1)[0]
            found = [float(from_s) + time_s for time_s in click_times(samples)]
            expected = [t for t in np.arange(0.25, n_frames / 25 - 0.05, 0.5) if t > from_s + 0.05]
            nearest = [min(found, key=lambda t, click_s=click_s: abs(t - click_s)) for click_s in expected]
            assert np.abs(np.array(nearest) - expected).max(initial=0) <= max_click_error_s
            assert len(found) <= len(expected) + 2   # A click on a join may be heard twice.
    return info


@pytest.mark.parametrize(("suffix", "options"), [
    (".ts", dict(audio_codec="aac")),
    (".ts", MPEG2 | dict(with_audio=False)),
    (".m2ts", HEVC | dict(audio_codec="ac3")),
    (".mpg", {}),                       # Several frames per PES packet, of which only the first has a time stamp.
    (".mpg", MPEG2),
    (".vob", MPEG2 | dict(audio_codec="ac3")),
])
def test_time_continues_across_parts(tmp_path, suffix, options):
    path = concatenate(tmp_path, suffix, 30, 15, 25, **options)
    info = check_joined(path, 70)
    assert encode_video(path, color_encoders(), progress=False).n_clips == 2
    cut(info, [(0.8, 1.6), (2, 3)], tmp_path / "cut.mp4")
    assert numbers(tmp_path / "cut.mp4") == [*range(20, 40), *range(50, 70)]


@pytest.mark.parametrize("parts", [
    pytest.param([5] * 7, id="short-parts"),
    pytest.param([1] * 5, id="one-frame-each"),
    pytest.param([20, 2, 12], id="unequal"),
    pytest.param([(20, 1000), (15, 500), (15, 20)], id="backward"),
    pytest.param([(20, 0), (15, 1000), (15, 90000)], id="forward"),
    pytest.param([(20, 95442), (15, 3000), (15, 7)], id="after-a-wrap"),
    pytest.param([(20, 500), (15, 95442), (15, 500)], id="wrap-inside"),
])
def test_positions_of_parts(tmp_path, parts):
    path = concatenate(tmp_path, ".ts", *parts)
    n_frames = sum(part[0] if isinstance(part, tuple) else part for part in parts)
    info = probe(path)
    assert (info.n_frames, info.duration_s) == (n_frames, Fraction(n_frames, 25))
    assert all_frames(path, info) == [(Fraction(i, 25), i) for i in range(n_frames)]
    if min(part[0] if isinstance(part, tuple) else part for part in parts) > 1:
        check_joined(path, n_frames)


@pytest.mark.parametrize("parts", [[(100, 95440)], [(40, 2), (30, Fraction(18, 5)), (30, Fraction(24, 5))]])
def test_continuous_time_stamps_stay_unchanged(tmp_path, parts):
    path = concatenate(tmp_path, ".ts", *parts)
    check_joined(path, 100)
    with open_container(path) as container, av.open(str(path)) as plain:
        stamps = [packet.pts for packet in read_packets(container, container.streams.video[0])]
        assert stamps == [packet.pts for packet in plain.demux(video=0)]


def test_a_gap_of_seconds_is_kept(tmp_path):
    info = probe(concatenate(tmp_path, ".ts", (50, 2), (50, 9)))
    assert (info.n_frames, info.duration_s) == (100, 9)


def test_copied_pieces_cross_the_joins(tmp_path):
    path = concatenate(tmp_path, ".ts", 50, 50, 50)
    ranges = plan_copy(path, [(1.6, 2.8), (4.4, 5.2)])
    copy_cut(path, ranges, tmp_path / "cut.mp4")
    kept = kept_intervals(probe(path), ranges)
    assert kept[0][0] <= 1.6 and kept[0][1] >= 2.8
    assert numbers(tmp_path / "cut.mp4") == [i for a, b in kept for i in range(round(25 * a), round(25 * b))]
    stamps = [time_s for time_s, _ in decoded(tmp_path / "cut.mp4")]
    assert np.diff([float(time_s) for time_s in stamps]) == pytest.approx(0.04, abs=0.001)


def test_a_part_without_audio(tmp_path):
    parts = [write_part(tmp_path / "0.ts", 0, 50), write_part(tmp_path / "1.ts", 50, 50, with_audio=False),
             write_part(tmp_path / "2.ts", 100, 50)]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    info = probe(path)
    assert all_frames(path, info) == [(Fraction(i, 25), i) for i in range(150)]
    samples = np.concatenate([*read_samples(path, info.start_s, Fraction(0), RATE_HZ, "mono")], axis=1)[0]
    expected = [0.25, 0.75, 1.25, 1.75, 4.25, 4.75, 5.25, 5.75]
    assert click_times(samples) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(("suffix", "second", "message"), [
    (".ts", MPEG2, "its video codec changes from h264 to mpeg2video at 2.0 s; split the file there, or convert it"),
    (".ts", HEVC, "its video codec changes from h264 to hevc at 2.0 s"),
    (".ts", dict(audio_codec="ac3"), "its audio codec changes from mp2 to ac3 at 2.0 s"),
    (".mpg", MPEG2, r"its video codec changes from h264 to mpeg2video at 2.\d s"),
    (".ts", dict(container_options=dict(mpegts_start_pid="0x200")), "its video moves from stream 0x100 to 0x200 at 2.0"),
])
def test_streams_that_cannot_be_joined(tmp_path, suffix, second, message):
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)   # A realistic size.
    size = dict(size=(96, 64), render=lambda i, size: np.roll(noise, i, axis=1))
    audio = clicks([0.5], 2)
    first = write_video(tmp_path / f"0{suffix}", 50, audio=audio, audio_codec="mp2", **(H264 | size))
    other = write_video(tmp_path / f"1{suffix}", 50, audio=audio, **(H264 | dict(audio_codec="mp2") | second | size))
    path = tmp_path / f"joined{suffix}"
    path.write_bytes(first.read_bytes() + other.read_bytes() + first.read_bytes())
    with pytest.raises(InputError, match=message):
        probe(path)


def test_another_resolution_is_scaled(tmp_path):
    first, other = write_part(tmp_path / "0.ts", 0, 50), write_part(tmp_path / "1.ts", 50, 50, size=(160, 96))
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + other.read_bytes())
    info = probe(path)
    assert (info.n_frames, info.width, info.height) == (100, 80, 48)
    assert [read_number(frame) for _, frame in frames_at(path, [1.5, 3.5])] == [37, 87]
    cut(info, [(1.6, 2.4)], tmp_path / "cut.mp4")
    assert numbers(tmp_path / "cut.mp4") == [*range(40, 60)]


def table(parts, step, start=0):
    """Return a packet table; each part is (byte position, first time stamp, number of packets)."""
    found = PacketTable(PresentationClock(Fraction(1, TICKS), Fraction(TICKS, step)))
    for position, first, count in parts:
        for i in range(count):
            packet = av.Packet(b"data")
            packet.pts = packet.dts = first + step * i
            packet.is_keyframe = i % 10 == 0
            found.positions.append(position + 1000 * i + start)
            found.decoding.append(packet.dts)
            found._stored.append(packet.pts)
            found._estimated.append(packet.pts)
            found.durations.append(step)
            found.keys.append(packet.is_keyframe)
    return found


def test_timelines():
    video = table([(0, 0, 50), (50_000, 0, 50), (100_000, 7 * WRAP // 8, 50)], 3600)
    audio = table([(0, 0, 50), (50_000, 0, 50), (100_000, 7 * WRAP // 8, 50)], 3600, start=300)
    found = find_timeline(video, audio)
    assert found.starts == (0, 49_301, 99_301)
    assert [found.shift(stamp, position) for stamp, position in (
        (0, 0), (3600, 1000), (0, 50_000), (3600, 51_000), (7 * WRAP // 8, 100_300))] == [
        0, 3600, 180_000, 183_600, 360_000]
    assert [found.position_before(ticks) for ticks in (0, 179_999, 180_000, 400_000)] == [0, 40_000, 50_000, 110_000]
    assert find_timeline(table([(0, 0, 50)], 3600), None) is None
    assert find_timeline(None, None) is None


def test_video_alone_that_steps_back_is_no_new_part():
    video, audio = table([(0, 0, 50), (50_000, 0, 50)], 3600), table([(0, 0, 100)], 3600)
    assert find_timeline(video, audio) is None


def test_slides_are_no_parts():
    assert find_timeline(table([(0, 0, 50)], 30 * TICKS), None) is None


def test_a_part_wraps():
    timeline = Timeline((0, 1000), (0, WRAP - 10), (0, 500))
    assert [timeline.shift(stamp, 1000) for stamp in (WRAP - 10, WRAP - 1, 0, 5)] == [500, 509, 510, 515]
