"""Edit lists, read back frame by frame with OpenTimelineIO's own readers."""

import csv
import io
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
import pytest

from pipelines.export.edit_lists import csv_text, edit_rate, edl_text, timeline, write_list
from pipelines.media.probe import VideoInfo
from pipelines.summary import Piece

NTSC = Fraction(30000, 1001)
PIECE = Piece(Fraction(60), Fraction(120), (0, 1), Fraction(0), "summary.mp4", 1, "")
from_timecode = otio.opentime.from_timecode


def make_info(fps=Fraction(25), has_audio=True, name="my \"film\" ü.mp4") -> VideoInfo:
    """Return the properties of a video of two hours."""
    return VideoInfo(Path("/videos") / name, Fraction(7200), fps, int(7200 * fps), 64, 48, Fraction(0), has_audio, 0,
                     "h264")


def make_pieces(fps=Fraction(25), texts=("a goal", "")) -> list[Piece]:
    """Return two pieces; the second ends between two frames at 25 frames per second."""
    intervals_s = [(Fraction(10), Fraction(12)), (Fraction(3700), Fraction(37013, 10))]
    pieces, cut_start_s = [], Fraction(0)
    for (start_s, end_s), text in zip(intervals_s, texts, strict=True):
        frames = (round(start_s * fps), round(end_s * fps) - 1)
        pieces.append(Piece(start_s, end_s, frames, cut_start_s, "summary.mp4", 0.75, text))
        cut_start_s += end_s - start_s
    return pieces


def test_csv_is_read_back():
    formula = '=HYPERLINK("x")'
    rows = list(csv.DictReader(io.StringIO(csv_text(make_pieces(texts=('say "hi",\nyou', formula))))))
    assert [row["text"] for row in rows] == ['say "hi",\nyou', "'" + formula]
    assert rows[1] == dict(piece="2", file="summary.mp4", start_s="3700.000", end_s="3701.300", first_frame="92500",
                           last_frame="92531", cut_start_s="2.000", cut_end_s="3.300", score="0.7500",
                           text="'" + formula)


@pytest.mark.parametrize(("fps", "rate"), [
    (25, 25), (NTSC, NTSC), (Fraction(2997, 100), NTSC), (Fraction(24000, 1001), Fraction(24000, 1001)), (60, 60),
    (12, 24), (Fraction(25, 2), 25), (10, 30), (15, 30), (17, 30), (Fraction(90000, 3001), 30)], ids=str)
def test_edit_rate(fps, rate):
    assert edit_rate(Fraction(fps)) == rate


EDL = """\
TITLE: my "film" ü
FCM: NON-DROP FRAME

001  AX       AA/V  C        00:00:10:00 00:00:12:00 00:00:00:00 00:00:02:00
* FROM CLIP NAME: my "film" ü.mp4
* COMMENT: a goal
002  AX       AA/V  C        01:01:40:00 01:01:41:07 00:00:02:00 00:00:03:07
* FROM CLIP NAME: my "film" ü.mp4
"""


def test_edl():
    assert edl_text(make_info(), make_pieces()) == EDL


def test_edl_of_a_video_without_audio():
    assert edl_text(make_info(has_audio=False), make_pieces()).count("  V     C  ") == 2


def test_comments_of_an_edl_are_one_line():
    assert "* COMMENT: a b c\n" in edl_text(make_info(), make_pieces(texts=("a\nb\r\n\tc", "")))


def test_events_of_an_edl_are_limited():
    many = edl_text(make_info(), make_pieces() * 600)
    assert [line[:3] for line in many.splitlines() if " C " in line] == [f"{i:03}" for i in range(1, 1000)]


def test_edl_has_drop_frame_timecode_at_ntsc_rates():
    pieces = [Piece(Fraction(60), Fraction(120), (1798, 3595), Fraction(0), "summary.mp4", 1, "")]
    shown = edl_text(make_info(NTSC), pieces)
    assert "FCM: DROP FRAME" in shown
    assert "00:00:59;28 00:01:59;28 00:00:00;00 00:00:59;28" in shown
    first, last = shown.splitlines()[3].split()[4:6]
    assert from_timecode(first, float(NTSC)).value == 1798
    assert from_timecode(last, float(NTSC)).value == 3596


@pytest.mark.parametrize(("fps", "timecode", "events", "mode"), [
    pytest.param(25, "01:00:00:00", "01:01:00:00 01:02:00:00 00:00:00:00 00:01:00:00", "NON-DROP", id="an-hour"),
    pytest.param(25, "10:00:59:20", "10:01:59:20 10:02:59:20 00:00:00:00 00:01:00:00", "NON-DROP", id="frames"),
    pytest.param(25, "23:59:30:00", "00:00:30:00 00:01:30:00 00:00:00:00 00:01:00:00", "NON-DROP", id="midnight"),
    pytest.param(NTSC, "01:00:00;00", "01:00:59;28 01:01:59;28 00:00:00;00 00:00:59;28", "DROP", id="drop-frame"),
    pytest.param(NTSC, "00:58:59;29", "00:59:59;29 01:00:59;27 00:00:00;00 00:00:59;28", "DROP", id="dropped-number"),
    pytest.param(NTSC, "01:00:00:00", "01:00:59:28 01:01:59:26 00:00:00:00 00:00:59:28", "NON-DROP",
                 id="non-drop-frame")])
def test_source_times_start_at_the_timecode_of_the_file(fps, timecode, events, mode):
    info, rate = replace(make_info(Fraction(fps)), timecode=timecode), float(fps)
    shown = edl_text(info, [PIECE])
    assert events in shown
    assert f"FCM: {mode} FRAME" in shown
    assert shown.count("FCM: NON-DROP") == (mode == "NON-DROP")
    (clip,) = timeline(info, [PIECE]).tracks[0]
    start = from_timecode(timecode, rate).value
    assert clip.media_reference.available_range.start_time.value == start
    assert clip.source_range.start_time.value == round(60 * fps) + start


@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(12), Fraction(25, 2)], ids=str)
def test_an_edl_is_read_back_to_the_frame(fps):
    rate, pieces = edit_rate(fps), make_pieces(fps)
    events = [line.split()[4:] for line in edl_text(make_info(fps), pieces).splitlines() if line[:3].isdigit()]
    frames = [[int(from_timecode(timecode, float(rate)).value) for timecode in timecodes] for timecodes in events]
    recorded = 0
    for (first, last, record_in, record_out), piece in zip(frames, pieces, strict=True):
        assert abs(first - piece.start_s * rate) <= Fraction(1, 2)
        assert abs(last - piece.end_s * rate) <= Fraction(1, 2)
        assert (record_in, record_out) == (recorded, recorded + last - first)
        recorded = record_out


@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(24000, 1001), 2 * NTSC], ids=str)
def test_a_timeline_is_read_back_to_the_frame(tmp_path, fps):
    pieces, rate = make_pieces(fps), edit_rate(fps)
    write_list(tmp_path / "a.otio", make_info(fps), pieces)
    found = otio.adapters.read_from_file(str(tmp_path / "a.otio"))
    assert [track.kind for track in found.tracks] == ["Video", "Audio"]
    for track in found.tracks:
        for clip, piece in zip(track, pieces, strict=True):
            ends = clip.source_range.start_time, clip.source_range.end_time_exclusive()
            assert [end.rate for end in ends] == pytest.approx([float(rate)] * 2)
            assert [end.value for end in ends] == [round(piece.start_s * rate), round(piece.end_s * rate)]
            assert clip.media_reference.target_url == "file:///videos/my%20%22film%22%20%C3%BC.mp4"
    assert [marker.name for clip in found.tracks[0] for marker in clip.markers] == ["a goal"]
    assert json.loads((tmp_path / "a.otio").read_text())


def test_a_timeline_of_a_video_without_audio_has_one_track():
    assert len(timeline(make_info(has_audio=False), make_pieces()).tracks) == 1


@pytest.mark.parametrize("suffix", ["csv", "edl", "otio"])
def test_names_that_utf8_cannot_encode(tmp_path, suffix):
    write_list(tmp_path / f"a.{suffix}", make_info(name="\udce9\n.mp4"), make_pieces(texts=("\n", "x")))
    assert (tmp_path / f"a.{suffix}").read_text(encoding="utf-8")
