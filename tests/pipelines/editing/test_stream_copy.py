"""pipelines/editing/stream_copy.py: copied pieces have the source's frames from key frames on, with exact times."""

import errno
import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from common.errors import InputError
from pipelines.editing.mp4_writer import EncodingMp4Writer
from pipelines.editing.reencode import cut
from pipelines.editing.stream_copy import (
    CopyingMp4Writer,
    copy_cut,
    decoding_times,
    kept_intervals,
    plan_copy,
    plan_short,
)
from pipelines.media.audio_reader import read_audio
from pipelines.media.probe import probe
from pipelines.media.subtitles import Cue, embedded_subtitles
from tests.media import (
    B_FRAMES,
    RATE_HZ,
    chapters,
    click_times,
    clicks,
    corner_frame,
    corner_names,
    decoded,
    read_number,
    skip_beginning,
    write_numbered_video,
    write_video,
)

PIECES = [(Fraction(1, 3), Fraction(7, 10)), (Fraction(27, 10), Fraction(71, 20))]
FIXED_GOPS = dict(options={**B_FRAMES, "sc_threshold": "0"})   # A key frame every 12 frames, also at cuts.


def key_times(path):
    """Return the presentation times of a file's key frames, in seconds from the first frame."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [p.pts * p.time_base for p in container.demux(stream) if p.is_keyframe and p.pts is not None]
    return [t - decoded(path)[0][0] for t in times]


def test_the_test_videos_have_b_frames(tmp_path):
    with av.open(str(write_video(tmp_path / "a.mp4", 40, **FIXED_GOPS))) as container:
        stored = [p.pts for p in container.demux(video=0) if p.pts is not None]
    assert stored != sorted(stored)


def check_copy(path, pieces, out, tolerance_s=Fraction(1, 900), max_excess=5):
    """Copy pieces of a video and check the result against the decoded source.

    Args:
        path: the video.
        pieces: [start, end) in seconds.
        out: the mp4 to write.
        tolerance_s: maximum error of time stamps.
        max_excess: maximum number of frames after the end of a piece.

    Returns:
        The intervals of the source that the result shows.
    """
    ranges = plan_copy(path, pieces)
    copy_cut(path, ranges, out)
    kept, source = kept_intervals(probe(path), ranges), decoded(path)
    zero_s, keys = source[0][0], key_times(path)
    piece_s, expected = Fraction(0), []
    for start_s, end_s in kept:
        inside = [(t - zero_s, frame) for t, frame in source if start_s <= t - zero_s < end_s]
        assert inside[0][0] == start_s
        assert start_s in keys
        expected += [(piece_s + t - start_s, frame) for t, frame in inside]
        piece_s += end_s - start_s
    for start_s, end_s in pieces:   # Each piece is complete, and starts at the nearest key frame or with another piece.
        (first_s, last_s), = [(a, b) for a, b in kept if a <= start_s < b]
        assert first_s == max(t for t in keys if t <= start_s) or any(first_s <= b[0] < start_s for b in pieces)
        assert end_s - tolerance_s <= last_s
        assert last_s <= end_s + max_excess / probe(path).fps or any(a < last_s <= b + 1 for a, b in pieces)
    found = decoded(out)
    assert len(found) == len(expected)
    for (found_s, frame), (expected_s, original) in zip(found, expected, strict=True):
        assert np.array_equal(frame, original)
        assert abs(found_s - expected_s) <= tolerance_s
    assert abs(probe(out).duration_s - piece_s) <= max(tolerance_s, Fraction(1, 24))
    return kept


SLOW = pytest.mark.slow   # Other containers of a kind of stream that a quick test covers.


@pytest.mark.parametrize(("suffix", "options"), [
    pytest.param(".mp4", dict(options=dict(g="12", bf="0")), id="no-b-frames", marks=SLOW),
    pytest.param(".mp4", FIXED_GOPS, id="mp4"),
    pytest.param(".mkv", FIXED_GOPS, id="matroska", marks=SLOW),
    pytest.param(".ts", FIXED_GOPS, id="mpeg-ts"),
    pytest.param(".mov", FIXED_GOPS, id="mov", marks=SLOW),
    pytest.param(".mp4", dict(options={**B_FRAMES, "x264-params": "open-gop=1:b-pyramid=normal:bframes=4"}),
                 id="open-gop-b-pyramid"),
    pytest.param(".mkv", dict(options={**B_FRAMES, "x264-params": "open-gop=1"}), id="open-gop-matroska", marks=SLOW),
    pytest.param(".mkv", dict(options={**B_FRAMES, "bf": "3", "x264-params": "b-pyramid=normal:b-adapt=0:scenecut=0"}),
                 id="b-pyramid-matroska", marks=SLOW),
    pytest.param(".mp4", dict(codec="mpeg4", options=dict(bf="2", g="12", qscale="2")), id="mpeg4", marks=SLOW),
    pytest.param(".mp4", dict(codec="libx265", options={"preset": "ultrafast",
                                                        "x265-params": "log-level=error:keyint=12:bframes=3"}),
                 id="hevc"),
    pytest.param(".webm", dict(codec="libvpx-vp9", options=dict(deadline="realtime", g="12")), id="vp9"),
    pytest.param(".mp4", dict(codec="libsvtav1", size=(128, 96), options=dict(preset="12", crf="20", g="12")),
                 id="av1"),
    pytest.param(".mp4", dict(options={**B_FRAMES, "g": "9999", "sc_threshold": "0"}), id="one-key-frame"),
])
def test_frames_equal_those_of_the_source(tmp_path, suffix, options):
    check_copy(write_video(tmp_path / f"a{suffix}", 100, **options), PIECES, tmp_path / "out.mp4", max_excess=8)


@pytest.mark.parametrize("pieces", [
    pytest.param([(0, 4)], id="complete-video"),
    pytest.param([(0, Fraction(1, 100))], id="shorter-than-a-frame"),
    pytest.param([(Fraction(39, 10), 9)], id="beyond-the-end"),
    pytest.param([(i, i + Fraction(1, 2)) for i in range(4)], id="four-pieces"),
])
def test_pieces_of_any_length(tmp_path, pieces):
    path = write_video(tmp_path / "a.mp4", 100, **FIXED_GOPS)
    check_copy(path, [(a, min(b, 4)) for a, b in pieces], tmp_path / "out.mp4")


def test_ranges_that_overlap_are_merged(tmp_path):
    path = write_video(tmp_path / "a.mp4", 100, options=dict(g="50", bf="0", sc_threshold="0"))
    pieces = [(Fraction(1), Fraction(6, 5)), (Fraction(8, 5), Fraction(9, 5)), (3, 4)]
    assert check_copy(path, pieces, tmp_path / "out.mp4") == [(0, Fraction(9, 5)), (2, 4)]


@pytest.mark.parametrize("pieces", [[(0, 1), (2, 3)], [(0.2, 0.4), (0.9, 1.2)], [(2.5, 3.5)]])
@pytest.mark.parametrize("n_hidden", [7, 13, 40])
def test_frames_hidden_at_the_start_by_an_edit_list_stay_hidden(tmp_path, n_hidden, pieces):
    """Key frames are at 0, 12, 24 ...; the first ones are before the start of the edit list."""
    path = skip_beginning(write_video(tmp_path / "a.mp4", 130, audio=clicks([1], 5.2), **FIXED_GOPS),
                          Fraction(n_hidden, 25))
    ranges = plan_copy(path, pieces)
    kept = kept_intervals(probe(path), ranges)
    assert kept[0][0] >= 0
    assert all(a <= piece[0] < b for piece, (a, b) in zip(pieces[:len(kept)], kept, strict=True))
    copy_cut(path, ranges, tmp_path / "out.mp4")
    expected = [n_hidden + round(25 * a) + i for a, b in kept for i in range(round(25 * (b - a)))]
    found = decoded(tmp_path / "out.mp4")
    assert [read_number(frame) for _, frame in found] == expected
    assert len(expected) > 9
    assert [float(time_s) for time_s, _ in found] == pytest.approx([i / 25 for i in range(len(found))], abs=0.001)


def test_frames_hidden_at_the_end_by_an_edit_list_stay_hidden(tmp_path):
    path = write_video(tmp_path / "a.mp4", 60, **FIXED_GOPS)
    data = bytearray(path.read_bytes())
    duration_at = data.index(b"elst") + 12
    data[duration_at:duration_at + 4] = (1400).to_bytes(4, "big")   # Of 2400 ms.
    path.write_bytes(data)
    assert probe(path).n_frames == 35
    ranges = plan_copy(path, [(0.6, 1.4)])
    copy_cut(path, ranges, tmp_path / "out.mp4")
    numbers = [read_number(frame) for _, frame in decoded(tmp_path / "out.mp4")]
    assert numbers == list(range(12, 12 + len(numbers)))
    assert 32 <= numbers[-1] < 35


def test_an_edit_list_that_hides_frames_in_the_middle_is_rejected(tmp_path):
    path = write_video(tmp_path / "a.mp4", 100, **FIXED_GOPS)
    data = bytearray(path.read_bytes())
    # Replace the edit list by one with two edits: 0.4 s from the start, then 1 s from 1.48 s on.
    elst_at = data.index(b"elst") - 4
    (size,), edts_at = struct.unpack(">I", data[elst_at:elst_at + 4]), elst_at - 8
    media_time, = struct.unpack(">i", data[elst_at + 20:elst_at + 24])
    tick_s = av.open(str(path)).streams.video[0].time_base
    data[elst_at:elst_at + size] = struct.pack(">I4sIIIiIIiI", size + 12, b"elst", 0, 2, 400, media_time, 0x10000, 1000,
                                               media_time + round(Fraction(37, 25) / tick_s), 0x10000)
    for name in (b"moov", b"trak", b"edts"):   # The enclosing boxes grow by the size of an edit.
        box_at = edts_at if name == b"edts" else data.index(name) - 4
        data[box_at:box_at + 4] = struct.pack(">I", struct.unpack(">I", data[box_at:box_at + 4])[0] + 12)
    path.write_bytes(data)
    assert [read_number(p) for _, p in decoded(path)][8:12] == [8, 9, 37, 38]
    with pytest.raises(InputError, match=r"its edit list hides frames at \d\.\d s, which copying would show; "
                                         "leave out --copy"):
        plan_copy(path, [(0.1, 1)])


def test_decoding_times_ascend_and_do_not_exceed_presentation_times():
    rng = np.random.default_rng(1)
    for _ in range(200):
        times = np.cumsum(rng.integers(1, 50, 40))
        pts = [int(t) for part in np.split(times, 8) for t in rng.permutation(part)]
        dts = list(decoding_times(pts, 7))
        assert all(a < b for a, b in zip(dts, dts[1:], strict=False))
        assert all(a <= b for a, b in zip(dts, pts, strict=True))
        assert len(dts) == 40


@pytest.fixture(scope="module")
def info_4_s_gops(tmp_path_factory):
    """Return the info of a video of 20 s with a key frame every 4 s."""
    path = tmp_path_factory.mktemp("gops") / "a.mp4"
    return probe(write_video(path, 500, options=dict(g="100", bf="0", sc_threshold="0", preset="ultrafast")))


@pytest.mark.parametrize(("piece", "room", "lengths", "expected"), [
    pytest.param((5, 10), (0, 40), (3, 8), (4, 10), id="key-frame-before-the-piece"),
    pytest.param((5, 10), (0, 40), (3, Fraction(11, 2)), (4, Fraction(237, 25)), id="the-key-frame-at-8-loses-3-s"),
    pytest.param((5, 10), (0, 9), (3, 8), (4, 9), id="end-of-the-room"),
    pytest.param((5, 10), (Fraction(21, 5), 40), (3, 8), None, id="too-short-from-the-key-frame-at-8"),
    pytest.param((6, 10), (Fraction(21, 5), 40), (1, 8), (8, 10), id="key-frame-inside-the-piece"),
    pytest.param((Fraction(15, 2), Fraction(99, 10)), (0, 40), (1, 2), (8, Fraction(248, 25)), id="between-frames"),
    pytest.param((17, 20), (0, 40), (3, 8), (16, 20), id="end-of-the-video"),
    pytest.param((15, 18), (0, 40), (3, Fraction(7, 2)), None, id="less-than-half-of-the-piece-from-12"),
])
def test_a_copied_short_keeps_to_its_length_and_room(info_4_s_gops, piece, room, lengths, expected):
    found = plan_short(info_4_s_gops, piece, room, lengths)
    assert (found and kept_intervals(info_4_s_gops, [found])[0]) == expected


def test_a_copied_short_with_b_frames_is_never_too_long(tmp_path):
    info = probe(write_video(tmp_path / "a.mp4", 200, **FIXED_GOPS))
    for longest_s in (Fraction(i, 25) for i in range(20, 60)):
        found = plan_short(info, (Fraction(1), Fraction(4)), (Fraction(0), Fraction(7, 2)), (Fraction(1, 2), longest_s))
        (start_s, end_s), = kept_intervals(info, [found])
        assert longest_s - Fraction(4, 25) <= end_s - start_s <= longest_s
        assert end_s <= Fraction(7, 2)


def test_variable_frame_rate_and_a_late_start(tmp_path):
    pts = (2000 + np.cumsum(np.random.default_rng(0).integers(5, 90, 100))).tolist()
    path = write_video(tmp_path / "a.mp4", 100, pts=pts, time_base=Fraction(1, 1000), options=B_FRAMES)
    check_copy(path, PIECES, tmp_path / "out.mp4", max_excess=60)


def test_video_and_audio_are_in_sync(tmp_path):
    """The source has a flash and a click every 0.8 s."""
    def flashing(index, size):
        return np.full((size[1], size[0], 3), 230 if index % 20 == 7 else 20, dtype=np.uint8)

    audio = clicks([Fraction(i, 25) for i in range(300) if i % 20 == 7], 12)
    path = write_video(tmp_path / "a.mp4", 300, render=flashing, audio=audio, options=dict(g="30", crf="10", bf="2"))
    copy_cut(path, plan_copy(path, [(1.5, 3), (4, 5.5), (8, 11)]), tmp_path / "out.mp4")
    flash_times = [float(time_s) for time_s, frame in decoded(tmp_path / "out.mp4") if frame.mean() > 120]
    found = click_times(np.concatenate(list(read_audio(tmp_path / "out.mp4", rate_hz=RATE_HZ))))
    assert len(flash_times) > 6
    assert found == pytest.approx(flash_times, abs=0.02)


def test_orientation_chapters_subtitles_and_metadata(tmp_path):
    path, out = tmp_path / "a.mp4", tmp_path / "out.mp4"
    write_video(path, 50, size=(96, 64), render=corner_frame, rotation_deg=90, options=dict(g="10", bf="0"),
                metadata=dict(title="Film"))
    copy_cut(path, plan_copy(path, [(0.5, 1), (1.5, 2)]), out, titles=["a", "b"], cues=[Cue(1.5, 1.9, "hi")])
    info = probe(out)
    assert (info.width, info.height, info.rotation_deg) == (64, 96, 90)
    assert corner_names(decoded(out)[0][1]) == corner_names(corner_frame(0))
    assert chapters(out) == [(0, Fraction(3, 5), "a"), (Fraction(3, 5), Fraction(7, 5), "b")]
    assert embedded_subtitles(out) == [Cue(0.9, 1.3, "hi")]
    with av.open(str(out)) as container:
        assert container.metadata["title"] == "Film"


@pytest.mark.parametrize(("suffix", "codec", "message"), [
    pytest.param(".webm", "libvpx", r"its video codec \(vp8\) cannot be copied to an mp4, only h264", id="vp8"),
    pytest.param(".mpg", "mpeg2video", r"mpeg2video\) cannot be copied", id="mpeg2"),
    pytest.param(".h264", "libx264", r"its time stamps \(h264\) are not exact enough to copy; leave out --copy",
                 id="raw-h264"),
])
def test_videos_that_cannot_be_copied_are_rejected(tmp_path, suffix, codec, message):
    path = write_video(tmp_path / f"a{suffix}", 30, codec=codec, options={})
    with pytest.raises(InputError, match=message):
        plan_copy(path, [(0, 1)])


def test_errors_of_the_muxer_name_the_video_and_errors_of_the_disk_the_output(tmp_path, monkeypatch):
    path = write_numbered_video(tmp_path / "video.mp4")
    errors = [av.error.ArgumentError(22, "Invalid argument"), OSError(errno.ENOSPC, "No space left on device")]

    def fail(self):
        raise errors[0]

    monkeypatch.setattr(CopyingMp4Writer, "add_other_streams", fail)
    monkeypatch.setattr(EncodingMp4Writer, "add_other_streams", fail)
    with pytest.raises(InputError, match=r"video\.mp4: its cut could not be written \(Invalid argument\); "
                                         "leave out --copy"):
        copy_cut(path, plan_copy(path, [(1, 2)]), tmp_path / "out.mp4")
    with pytest.raises(InputError, match=r"video\.mp4: its cut could not be written \(Invalid argument\); convert it"):
        cut(path, [(1, 2)], tmp_path / "out.mp4")
    del errors[0]
    for write in (lambda out: cut(path, [(1, 2)], out), lambda out: copy_cut(path, plan_copy(path, [(1, 2)]), out)):
        with pytest.raises(InputError, match=r"out\.mp4: cannot be written, because the disk is full; free some space"):
            write(tmp_path / "out.mp4")


def test_the_video_itself_is_rejected_as_output(tmp_path):
    path = write_numbered_video(tmp_path / "video.mp4")
    with pytest.raises(InputError, match="is the video itself"):
        copy_cut(path, plan_copy(path, [(1, 2)]), path)
    assert read_number(decoded(path)[3][1]) == 3


def test_an_interrupted_copy_leaves_no_file(tmp_path):
    path = write_numbered_video(tmp_path / "video.mp4")

    def interrupt(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_cut(path, plan_copy(path, [(1, 2)]), tmp_path / "out.mp4", progress=interrupt)
    assert [p.name for p in tmp_path.iterdir()] == ["video.mp4"]
    assert read_number(decoded(path)[3][1]) == 3
