"""Edit lists, read back by a library that is not ours, to the frame."""

import csv
import io
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
import pytest

from pipelines.export.edit_lists import Piece, csv_text, edit_rate, edl_text, timeline, write_list
from pipelines.media.probe import VideoInfo

NTSC = Fraction(30000, 1001)


def info(fps=Fraction(25), has_audio=True, name="my \"film\" ü.mp4") -> VideoInfo:
    return VideoInfo(Path("/videos") / name, Fraction(7200), fps, int(7200 * fps), 64, 48, Fraction(0), has_audio, 0, "h264")


def pieces(fps=Fraction(25), texts=("a goal", "")):
    spans = [(Fraction(10), Fraction(12)), (Fraction(3700), Fraction(37013, 10))]
    rows, before = [], Fraction(0)
    for (start, end), text in zip(spans, texts, strict=True):
        rows.append(Piece(start, end, (round(start * fps), round(end * fps) - 1), before, "summary.mp4", 0.75, text))
        before += end - start
    return rows


def test_csv():
    evil = '=HYPERLINK("x")'
    rows = list(csv.DictReader(io.StringIO(csv_text(pieces(texts=('say "hi",\nyou', evil))))))
    assert [r["text"] for r in rows] == ['say "hi",\nyou', "'" + evil]
    assert rows[1] == dict(piece="2", file="summary.mp4", start_s="3700.000", end_s="3701.300", first_frame="92500", last_frame="92531",
                           cut_start_s="2.000", cut_end_s="3.300", score="0.7500", text="'" + evil)


@pytest.mark.parametrize("fps, rate", [
    (25, 25), (NTSC, NTSC), (Fraction(2997, 100), NTSC), (Fraction(24000, 1001), Fraction(24000, 1001)), (60, 60),
    (12, 24), (Fraction(25, 2), 25), (10, 30), (15, 30), (17, 30), (Fraction(90000, 3001), 30)])
def test_rates_that_editors_count_in(fps, rate):
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
    assert edl_text(info(), pieces()) == EDL
    assert edl_text(info(has_audio=False), pieces()).count("  V     C  ") == 2
    assert "* COMMENT: a b c\n" in edl_text(info(), pieces(texts=("a\nb\r\n\tc", "")))
    many = edl_text(info(), pieces() * 600)
    assert [line[:3] for line in many.splitlines() if " C " in line] == [f"{i:03}" for i in range(1, 1000)]


def test_edl_drops_frames_where_the_rate_does():
    shown = edl_text(info(NTSC), [Piece(Fraction(60), Fraction(120), (1798, 3595), Fraction(0), "summary.mp4", 1, "")])
    assert "FCM: DROP FRAME" in shown and "00:00:59;28 00:01:59;28 00:00:00;00 00:00:59;28" in shown
    first, last = shown.splitlines()[3].split()[4:6]
    rate = float(NTSC)
    assert otio.opentime.from_timecode(first, rate).value == 1798 and otio.opentime.from_timecode(last, rate).value == 3596


PIECE = Piece(Fraction(60), Fraction(120), (0, 1), Fraction(0), "summary.mp4", 1, "")


@pytest.mark.parametrize("fps, timecode, events, head", [
    (25, "01:00:00:00", "01:01:00:00 01:02:00:00 00:00:00:00 00:01:00:00", "NON-DROP"),
    (25, "10:00:59:20", "10:01:59:20 10:02:59:20 00:00:00:00 00:01:00:00", "NON-DROP"),
    (25, "23:59:30:00", "00:00:30:00 00:01:30:00 00:00:00:00 00:01:00:00", "NON-DROP"),
    (NTSC, "01:00:00;00", "01:00:59;28 01:01:59;28 00:00:00;00 00:00:59;28", "DROP"),
    (NTSC, "00:58:59;29", "00:59:59;29 01:00:59;27 00:00:00;00 00:00:59;28", "DROP"),
    (NTSC, "01:00:00:00", "01:00:59:28 01:01:59:26 00:00:00:00 00:00:59:28", "NON-DROP")])
def test_source_times_go_on_from_the_files_timecode(fps, timecode, events, head):
    film, rate = replace(info(Fraction(fps)), timecode=timecode), float(fps)
    shown = edl_text(film, [PIECE])
    assert events in shown and f"FCM: {head} FRAME" in shown
    assert shown.count("FCM: NON-DROP") == (head == "NON-DROP")
    (clip,) = timeline(film, [PIECE]).tracks[0]
    read = otio.opentime.from_timecode
    assert clip.media_reference.available_range.start_time.value == read(timecode, rate).value
    assert clip.source_range.start_time.value == round(60 * fps) + read(timecode, rate).value


@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(12), Fraction(25, 2)])
def test_an_edl_is_read_back_to_the_frame(fps):
    rate = edit_rate(fps)
    events = [line.split()[4:] for line in edl_text(info(fps), pieces(fps)).splitlines() if line[:3].isdigit()]
    frames = [[int(otio.opentime.from_timecode(code, float(rate)).value) for code in codes] for codes in events]
    before = 0
    for (first, last, record_in, record_out), piece in zip(frames, pieces(fps), strict=True):
        assert abs(first - piece.start_s * rate) <= Fraction(1, 2) and abs(last - piece.end_s * rate) <= Fraction(1, 2)
        assert (record_in, record_out) == (before, before + last - first)
        before = record_out


@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(24000, 1001), 2 * NTSC])
def test_a_timeline_is_read_back_to_the_frame(tmp_path, fps):
    write_list(tmp_path / "a.otio", info(fps), pieces(fps))
    found = otio.adapters.read_from_file(str(tmp_path / "a.otio"))
    assert [track.kind for track in found.tracks] == ["Video", "Audio"]
    for track in found.tracks:
        for clip, piece in zip(track, pieces(fps), strict=True):
            ends = clip.source_range.start_time, clip.source_range.end_time_exclusive()
            assert [end.rate for end in ends] == pytest.approx([float(edit_rate(fps))] * 2)
            assert [end.value for end in ends] == [round(piece.start_s * edit_rate(fps)), round(piece.end_s * edit_rate(fps))]
            assert clip.media_reference.target_url == "file:///videos/my%20%22film%22%20%C3%BC.mp4"
    assert [m.name for clip in found.tracks[0] for m in clip.markers] == ["a goal"]
    assert len(timeline(info(has_audio=False), pieces()).tracks) == 1
    assert json.loads((tmp_path / "a.otio").read_text())


def test_names_that_no_encoding_holds(tmp_path):
    for suffix in ("csv", "edl", "otio"):
        write_list(tmp_path / f"a.{suffix}", info(name="\udce9\n.mp4"), pieces(texts=("\n", "x")))
        assert (tmp_path / f"a.{suffix}").read_text(encoding="utf-8")
