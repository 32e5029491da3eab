"""Stream copy of recordings with few frames, such as screen recordings of a variable frame rate."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from pipelines.editing.stream_copy import copy_cut, kept_intervals, plan_copy, plan_short
from pipelines.media.audio_reader import read_audio
from pipelines.media.probe import probe
from tests.media import B_FRAMES, RATE_HZ, decoded, read_number, write_video

MS = Fraction(1, 1000)
FRAME_S = Fraction(1, 25)
# 0.6 s of motion, two frames at 6 s, one at 16 s, and motion from 23.52 s to the end at 24 s.
RECORDING = [*range(0, 600, 40), 6000, 6040, 16000, *range(23520, 24000, 40)]
EVERY_5_S = [*range(0, 40_000, 5000)]
STILL_FIRST = [0, *range(10_000, 10_800, 40)]
STILL_LAST = [*range(0, 800, 40), 9000]
OPTIONS = dict(
    plain=dict(options=dict(crf="1", preset="ultrafast", bf="0", g="250", sc_threshold="0")),
    b_frames=dict(options={**B_FRAMES, "g": "250", "bf": "3", "x264-params": "b-adapt=0:scenecut=0"}),
    short_gops=dict(options={**B_FRAMES, "sc_threshold": "0"}),
    hevc=dict(codec="libx265", options={"preset": "ultrafast", "x265-params": "log-level=error:bframes=3:b-adapt=0"}),
)


def tone(duration_s):
    return (0.2 * np.sin(2 * np.pi * 440 * np.arange(round(duration_s * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def write_recording(path, times_ms, options="plain", audio_s=None):
    return write_video(path, len(times_ms), pts=times_ms, time_base=MS, **OPTIONS[options],
                       audio=None if audio_s is None else tone(audio_s),
                       audio_codec="libopus" if path.suffix == ".webm" else "aac")


def stream_ends_s(path):
    """Return the end of the last packet of each stream, by the packets' own times and durations."""
    with av.open(str(path)) as container:
        ends_s = {stream.type: Fraction(0) for stream in container.streams}
        for packet in container.demux():
            if packet.pts is not None:
                end_s = (packet.pts + packet.duration) * packet.time_base
                ends_s[packet.stream.type] = max(end_s, ends_s[packet.stream.type])
    return ends_s


def check_sparse_copy(path, pieces, out):
    """Copy pieces of a recording; check the kept intervals, the times of all frames, and the ends of the streams."""
    info = probe(path)
    ranges = plan_copy(info, pieces)
    copy_cut(info, ranges, out)
    kept, source = kept_intervals(info, ranges), decoded(path)
    expected, piece_s = [], Fraction(0)
    for start_s, end_s in kept:
        inside = [(t - info.start_s, read_number(frame)) for t, frame in source
                  if start_s <= t - info.start_s < end_s]
        expected += [(float(piece_s + t - start_s), number) for t, number in inside]
        piece_s += end_s - start_s
    for _, end_s in kept:   # No piece extends past its end, or past the end of the video.
        assert any(end_s <= wanted_end_s + FRAME_S for _, wanted_end_s in pieces)
        assert end_s <= info.duration_s
    found = [(float(t), read_number(frame)) for t, frame in decoded(out)]
    starts_s = [t for t, _ in found] + [float(piece_s)]
    # Frames that are copied only because others depend on them are shown for a millisecond.
    shown = [pair for pair, (a, b) in zip(found, pairwise(starts_s), strict=True) if b - a > 0.003]
    assert [number for _, number in shown] == [number for _, number in expected]
    assert [t for t, _ in shown] == pytest.approx([t for t, _ in expected], abs=0.0011)
    assert float(probe(out).duration_s) == pytest.approx(float(piece_s), abs=float(FRAME_S))
    ends_s = stream_ends_s(out)
    assert ends_s["video"] <= piece_s + FRAME_S
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(float(piece_s), abs=0.002)
    if info.has_audio:
        assert ends_s["audio"] == pytest.approx(piece_s, abs=float(FRAME_S))
        n_samples = sum(len(block) for block in read_audio(out, rate_hz=RATE_HZ))
        assert n_samples / RATE_HZ == pytest.approx(float(piece_s), abs=0.03)
    return [(float(a), float(b)) for a, b in kept]


@pytest.mark.parametrize(("suffix", "options"), [
    (".mp4", "plain"), (".mp4", "b_frames"), (".mkv", "b_frames"), (".mp4", "short_gops"), (".mkv", "hevc")])
def test_a_screen_recording(tmp_path, suffix, options):
    path = write_recording(tmp_path / f"a{suffix}", RECORDING, options)
    for pieces in ([(0, 24)], [(Fraction(1, 5), 10)], [(0, Fraction(1, 2)), (23, 24)], [(7, 9)]):
        kept = check_sparse_copy(path, pieces, tmp_path / "out.mp4")
        assert kept[-1][1] == pytest.approx(pieces[-1][1], abs=0.04)


def test_the_end_of_a_still_is_the_end_of_the_piece(tmp_path):
    path = write_recording(tmp_path / "a.mp4", RECORDING, "plain")
    assert check_sparse_copy(path, [(0, 10)], tmp_path / "out.mp4") == [(0, 10)]
    found = [(read_number(frame), float(t)) for t, frame in decoded(tmp_path / "out.mp4")][-3:]
    assert found == [(14, 0.56), (15, 6.0), (16, 6.04)]
    assert stream_ends_s(tmp_path / "out.mp4")["video"] == 10


def test_a_frame_that_is_only_needed_for_decoding_is_shown_for_a_tick(tmp_path):
    """Frame 20 at 23.6 s is stored before frame 17 at 16 s, which depends on it."""
    path = write_recording(tmp_path / "a.mkv", RECORDING, "b_frames")
    (packets,) = ranges = plan_copy(path, [(0, 20)])
    assert (packets.end, packets.last, max(packets.times)) == (20_000, 16_000, 23_600)
    copy_cut(path, ranges, tmp_path / "out.mp4")
    found = [(read_number(frame), float(t)) for t, frame in decoded(tmp_path / "out.mp4")][-3:]
    assert found == [(17, 16.0), (18, 19.998), (20, 19.999)]


@pytest.mark.parametrize("options", ["plain", "short_gops"])
@pytest.mark.parametrize(("times_ms", "pieces"), [
    pytest.param(EVERY_5_S, [(0, 40)], id="every-5-s"),
    pytest.param(EVERY_5_S, [(3, 17), (31, 33)], id="every-5-s-two-pieces"),
    pytest.param(STILL_FIRST, [(0, 4), (Fraction(52, 5), Fraction(54, 5))], id="still-first"),
    pytest.param(STILL_LAST, [(0, 9)], id="still-last"),
    pytest.param(STILL_LAST, [(Fraction(1, 2), 4)], id="ends-in-the-still"),
])
def test_other_patterns(tmp_path, options, times_ms, pieces):
    path = write_recording(tmp_path / "a.mkv", times_ms, options)
    pieces = [(a, min(b, probe(path).duration_s)) for a, b in pieces]
    check_sparse_copy(path, pieces, tmp_path / "out.mp4")


@pytest.mark.parametrize(("suffix", "audio_s"), [
    (".mkv", 3), (".mp4", 40), pytest.param(".mp4", 24, marks=pytest.mark.slow)])
def test_audio_of_another_length(tmp_path, suffix, audio_s):
    path = write_recording(tmp_path / f"a{suffix}", RECORDING, "b_frames", audio_s)
    check_sparse_copy(path, [(0, Fraction(1, 2)), (23, 24)], tmp_path / "out.mp4")


def test_a_short_from_a_recording_ends_with_its_piece(tmp_path):
    info = probe(write_recording(tmp_path / "a.mp4", RECORDING, "plain"))
    found = plan_short(info, (Fraction(0), Fraction(10)), (Fraction(0), Fraction(24)), (Fraction(3), Fraction(7)))
    assert kept_intervals(info, [found]) == [(0, 7)]
