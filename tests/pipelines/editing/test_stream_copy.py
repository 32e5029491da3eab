"""Cuts that copy: the source's very pictures from key frames on, told truly, with the sound beside them."""

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
SCENES = dict(options={**B_FRAMES, "sc_threshold": "0"})


def keys(path):
    """When a file's key frames are shown, in seconds from the first picture, the plain way."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [p.pts * p.time_base for p in container.demux(stream) if p.is_keyframe and p.pts is not None]
    return [t - decoded(path)[0][0] for t in times]


def test_the_media_have_b_frames(tmp_path):
    with av.open(str(write_video(tmp_path / "a.mp4", 40, **SCENES))) as container:
        stored = [p.pts for p in container.demux(video=0) if p.pts is not None]
    assert stored != sorted(stored)


def check_copy(path, pieces, out, tolerance_s=Fraction(1, 900), longest_group=5):
    runs = plan_copy(path, pieces)
    copy_cut(path, runs, out)
    kept, source = kept_intervals(probe(path), runs), decoded(path)
    zero_s, starts = source[0][0], keys(path)
    joined_s, expected = Fraction(0), []
    for start_s, end_s in kept:
        inside = [(t - zero_s, picture) for t, picture in source if start_s <= t - zero_s < end_s]
        assert inside[0][0] == start_s and start_s in starts      # whole from its key frame on
        expected += [(joined_s + t - start_s, picture) for t, picture in inside]
        joined_s += end_s - start_s
    for start_s, end_s in pieces:                                  # all that was asked for, from the nearest key frame
        (first_s, last_s), = [(a, b) for a, b in kept if a <= start_s < b]
        assert first_s == max(t for t in starts if t <= start_s) or any(first_s <= b[0] < start_s for b in pieces)
        assert end_s - tolerance_s <= last_s
        assert last_s <= end_s + longest_group / probe(path).fps or any(a < last_s <= b + 1 for a, b in pieces)
    found = decoded(out)
    assert len(found) == len(expected)
    for (found_s, picture), (expected_s, original) in zip(found, expected, strict=True):
        assert np.array_equal(picture, original)
        assert abs(found_s - expected_s) <= tolerance_s
    assert abs(probe(out).duration_s - joined_s) <= max(tolerance_s, Fraction(1, 24))
    return kept


@pytest.mark.parametrize(("suffix", "options"), [
    (".mp4", dict(options=dict(g="12", bf="0"))), (".mp4", SCENES), (".mkv", SCENES), (".ts", SCENES), (".mov", SCENES),
    (".mp4", dict(options={**B_FRAMES, "x264-params": "open-gop=1:b-pyramid=normal:bframes=4"})),
    (".mkv", dict(options={**B_FRAMES, "x264-params": "open-gop=1"})),
    (".mkv", dict(options={**B_FRAMES, "bf": "3", "x264-params": "b-pyramid=normal:b-adapt=0:scenecut=0"})),
    (".mp4", dict(codec="mpeg4", options=dict(bf="2", g="12", qscale="2"))),
    (".mp4", dict(codec="libx265", options={"preset": "ultrafast", "x265-params": "log-level=error:keyint=12:bframes=3"})),
    (".webm", dict(codec="libvpx-vp9", options=dict(deadline="realtime", g="12"))),
    (".mp4", dict(codec="libsvtav1", size=(128, 96), options=dict(preset="12", crf="20", g="12"))),
    (".mp4", dict(options={**B_FRAMES, "g": "9999", "sc_threshold": "0"}))])
def test_pictures_are_the_sources_own(tmp_path, suffix, options):
    check_copy(write_video(tmp_path / f"a{suffix}", 100, **options), PIECES, tmp_path / "out.mp4", longest_group=8)


@pytest.mark.parametrize("pieces", [[(0, 4)], [(0, Fraction(1, 100))], [(Fraction(39, 10), 9)], [(i, i + Fraction(1, 2)) for i in range(4)]])
def test_any_pieces(tmp_path, pieces):
    path = write_video(tmp_path / "a.mp4", 100, **SCENES)
    check_copy(path, [(a, min(b, 4)) for a, b in pieces], tmp_path / "out.mp4")


def test_pieces_that_come_to_touch_are_joined(tmp_path):
    path = write_video(tmp_path / "a.mp4", 100, options=dict(g="50", bf="0", sc_threshold="0"))
    kept = check_copy(path, [(Fraction(1), Fraction(6, 5)), (Fraction(8, 5), Fraction(9, 5)), (3, 4)], tmp_path / "out.mp4")
    assert kept == [(0, Fraction(9, 5)), (2, 4)]


@pytest.mark.parametrize("pieces", [[(0, 1), (2, 3)], [(0.2, 0.4), (0.9, 1.2)], [(2.5, 3.5)]])
@pytest.mark.parametrize("hidden", [7, 13, 40])
def test_what_an_edit_list_hides_stays_hidden(tmp_path, hidden, pieces):
    """Key frames at 0, 12, 24 ... of which the first ones lie before the edit list's beginning."""
    path = skip_beginning(write_video(tmp_path / "a.mp4", 130, audio=clicks([1], 5.2), **SCENES), Fraction(hidden, 25))
    runs = plan_copy(path, pieces)
    kept = kept_intervals(probe(path), runs)
    assert kept[0][0] >= 0 and all(a <= begin < b for begin, (a, b) in zip([p[0] for p in pieces][:len(kept)], kept, strict=True))
    copy_cut(path, runs, tmp_path / "out.mp4")
    expected = [hidden + round(25 * a) + i for a, b in kept for i in range(round(25 * (b - a)))]
    found = decoded(tmp_path / "out.mp4")
    assert [read_number(picture) for _, picture in found] == expected and len(expected) > 9
    assert [float(time_s) for time_s, _ in found] == pytest.approx([i / 25 for i in range(len(found))], abs=0.001)


def test_an_edit_list_that_hides_the_end(tmp_path):
    path = write_video(tmp_path / "a.mp4", 60, **SCENES)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    data[at:at + 4] = (1400).to_bytes(4, "big")                       # ms of 2,400
    path.write_bytes(data)
    assert probe(path).n_frames == 35
    runs = plan_copy(path, [(0.6, 1.4)])
    copy_cut(path, runs, tmp_path / "out.mp4")
    numbers = [read_number(picture) for _, picture in decoded(tmp_path / "out.mp4")]
    assert numbers == list(range(12, 12 + len(numbers))) and 32 <= numbers[-1] < 35


def test_an_edit_list_that_hides_the_middle_is_refused(tmp_path):
    path = write_video(tmp_path / "a.mp4", 100, **SCENES)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") - 4                                      # two edits: 0.4 s, then from 1.48 s on
    (size,), edits = struct.unpack(">I", data[at:at + 4]), at - 8
    first, = struct.unpack(">i", data[at + 20:at + 24])
    tick = av.open(str(path)).streams.video[0].time_base
    data[at:at + size] = struct.pack(">I4sIIIiIIiI", size + 12, b"elst", 0, 2, 400, first, 0x10000, 1000,
                                     first + round(Fraction(37, 25) / tick), 0x10000)
    for name in (b"moov", b"trak", b"edts"):                          # the boxes around grow
        place = edits if name == b"edts" else data.index(name) - 4
        data[place:place + 4] = struct.pack(">I", struct.unpack(">I", data[place:place + 4])[0] + 12)
    path.write_bytes(data)
    assert [read_number(p) for _, p in decoded(path)][8:12] == [8, 9, 37, 38]
    with pytest.raises(InputError, match=r"its edit list hides pictures at \d\.\d s, which copying would show; leave --copy out"):
        plan_copy(path, [(0.1, 1)])


def test_times_of_decoding_rise_and_never_follow_those_of_showing():
    rng = np.random.default_rng(1)
    for _ in range(200):
        times = np.cumsum(rng.integers(1, 50, 40))
        shown = [int(t) for part in np.split(times, 8) for t in rng.permutation(part)]
        found = list(decoding_times(shown, 7))
        assert all(a < b for a, b in zip(found, found[1:], strict=False))
        assert all(a <= b for a, b in zip(found, shown, strict=True)) and len(found) == 40


def test_a_copied_short_keeps_its_length_and_its_place(tmp_path):
    info = probe(write_video(tmp_path / "a.mp4", 500, options=dict(g="100", bf="0", sc_threshold="0", preset="ultrafast")))

    def plan(piece, room=(0, 40), lengths=(3, 8)):
        run = plan_short(info, piece, room, lengths)
        return run and kept_intervals(info, [run])[0]

    assert plan((5, 10)) == (4, 10)
    assert plan((5, 10), lengths=(3, Fraction(11, 2))) == (4, Fraction(237, 25))   # the key frame at 8 would lose 3 s
    assert plan((5, 10), room=(0, 9)) == (4, 9)
    assert plan((5, 10), room=(Fraction(21, 5), 40)) is None                       # what is left from 8 on is too short
    assert plan((6, 10), room=(Fraction(21, 5), 40), lengths=(1, 8)) == (8, 10)
    assert plan((Fraction(15, 2), Fraction(99, 10)), lengths=(1, 2)) == (8, Fraction(248, 25))
    assert plan((17, 20)) == (16, 20)
    assert plan((15, 18), lengths=(3, Fraction(7, 2))) is None                     # hardly any of it from 12 s on


def test_a_copied_short_of_reordered_pictures_is_never_too_long(tmp_path):
    info = probe(write_video(tmp_path / "a.mp4", 200, **SCENES))
    for longest in (Fraction(i, 25) for i in range(20, 60)):
        run = plan_short(info, (Fraction(1), Fraction(4)), (Fraction(0), Fraction(7, 2)), (Fraction(1, 2), longest))
        (start_s, end_s), = kept_intervals(info, [run])
        assert longest - Fraction(4, 25) <= end_s - start_s <= longest and end_s <= Fraction(7, 2)


def test_variable_frame_rate_and_a_late_start(tmp_path):
    pts = (2000 + np.cumsum(np.random.default_rng(0).integers(5, 90, 100))).tolist()
    path = write_video(tmp_path / "a.mp4", 100, pts=pts, time_base=Fraction(1, 1000), options=B_FRAMES)
    check_copy(path, PIECES, tmp_path / "out.mp4", longest_group=60)


def test_sound_stays_beside_the_pictures(tmp_path):
    """A flash and a click every 0.8 s."""
    def flashing(index, size):
        return np.full((size[1], size[0], 3), 230 if index % 20 == 7 else 20, dtype=np.uint8)

    sound = clicks([Fraction(i, 25) for i in range(300) if i % 20 == 7], 12)
    path = write_video(tmp_path / "a.mp4", 300, render=flashing, audio=sound, options=dict(g="30", crf="10", bf="2"))
    copy_cut(path, plan_copy(path, [(1.5, 3), (4, 5.5), (8, 11)]), tmp_path / "out.mp4")
    bright = [float(time_s) for time_s, picture in decoded(tmp_path / "out.mp4") if picture.mean() > 120]
    heard = click_times(np.concatenate(list(read_audio(tmp_path / "out.mp4", rate_hz=RATE_HZ))))
    assert len(bright) > 6
    assert heard == pytest.approx(bright, abs=0.02)


def test_orientation_chapters_subtitles_and_titles_stay(tmp_path):
    path = write_video(tmp_path / "a.mp4", 50, size=(96, 64), render=corner_frame, rotation_deg=90,
                       options=dict(g="10", bf="0"), metadata=dict(title="Film"))
    copy_cut(path, plan_copy(path, [(0.5, 1), (1.5, 2)]), tmp_path / "out.mp4", titles=["a", "b"], cues=[Cue(1.5, 1.9, "hi")])
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.rotation_deg) == (64, 96, 90)
    assert corner_names(decoded(tmp_path / "out.mp4")[0][1]) == corner_names(corner_frame(0))
    assert chapters(tmp_path / "out.mp4") == [(0, Fraction(3, 5), "a"), (Fraction(3, 5), Fraction(7, 5), "b")]
    assert embedded_subtitles(tmp_path / "out.mp4") == [Cue(0.9, 1.3, "hi")]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["title"] == "Film"


@pytest.mark.parametrize(("suffix", "codec", "message"), [
    (".webm", "libvpx", r"its pictures \(vp8\) cannot be copied into an mp4, only h264"),
    (".mpg", "mpeg2video", r"mpeg2video\) cannot be copied"),
    (".h264", "libx264", r"its time stamps \(h264\) are not exact enough to copy; leave --copy out")])
def test_what_cannot_be_copied(tmp_path, suffix, codec, message):
    path = write_video(tmp_path / f"a{suffix}", 30, codec=codec, options={})
    with pytest.raises(InputError, match=message):
        plan_copy(path, [(0, 1)])


def test_a_picture_that_the_mp4_does_not_take_is_no_full_disk(tmp_path, monkeypatch):
    path = write_numbered_video(tmp_path / "film.mp4")

    errors = [av.error.ArgumentError(22, "Invalid argument"), OSError(errno.ENOSPC, "No space left on device")]

    def refuse(self):
        raise errors[0]

    monkeypatch.setattr(CopyingMp4Writer, "add_other_streams", refuse)
    with pytest.raises(InputError, match=r"film\.mp4: its cut could not be written \(Invalid argument\); leave --copy out"):
        copy_cut(path, plan_copy(path, [(1, 2)]), tmp_path / "out.mp4")
    monkeypatch.setattr(EncodingMp4Writer, "add_other_streams", refuse)
    with pytest.raises(InputError, match=r"film\.mp4: its cut could not be written \(Invalid argument\); convert it"):
        cut(path, [(1, 2)], tmp_path / "out.mp4")
    del errors[0]
    for write in (lambda out: cut(path, [(1, 2)], out), lambda out: copy_cut(path, plan_copy(path, [(1, 2)]), out)):
        with pytest.raises(InputError, match=r"out\.mp4: could not be written \(No space left on device\); make room"):
            write(tmp_path / "out.mp4")


def test_bad_outputs_and_what_fails_leave_nothing(tmp_path):
    path = write_numbered_video(tmp_path / "film.mp4")
    runs = plan_copy(path, [(1, 2)])
    with pytest.raises(InputError, match="is the video itself"):
        copy_cut(path, runs, path)

    def stop(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_cut(path, runs, tmp_path / "out.mp4", progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]
    assert read_number(decoded(path)[3][1]) == 3
