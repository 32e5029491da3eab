"""Subtitle files of both formats, including common deviations, and subtitle tracks of videos."""

import codecs
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from pipelines.media.subtitles import Cue, cut_cues, embedded_subtitles, read_subtitles, write_srt
from tests.media import write_subtitled_video, write_video

SRT = """\
1
00:00:01,000 --> 00:00:02,500
Hello <i>there</i>,
{\\an8}old friend.

2
01:02:03,004 --> 01:02:05,000  X1:10 X2:20
I <3 you & 5 < 6
"""
CUES = [Cue(1.0, 2.5, "Hello there, old friend."), Cue(3723.004, 3725.0, "I <3 you & 5 < 6")]
VTT = """\
WEBVTT - some title

STYLE
::cue { color: red }

NOTE a remark
in two lines

intro
00:01.000 --> 00:02.500 line:90% align:start
<v Ann>Hello <00:00:01.500><c.loud>there</c>,
old&nbsp;friend.

00:00:00.250 --> 00:00:00.750
&lt;music&gt;
"""


def write(path, text, encoding="utf-8"):
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def test_srt(tmp_path):
    assert read_subtitles(write(tmp_path / "a.srt", SRT)) == CUES


def test_vtt_is_sorted_and_notes_and_styles_are_ignored(tmp_path):
    assert read_subtitles(write(tmp_path / "a.vtt", VTT)) == [
        Cue(0.25, 0.75, "<music>"), Cue(1.0, 2.5, "Hello there, old\xa0friend.")]


@pytest.mark.parametrize("data", [
    pytest.param(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(range(256)), id="mp4"),
    pytest.param(b"\x1aE\xdf\xa3\1\0\0\0" + bytes(99), id="matroska"),
    pytest.param(b"R\0\xff\xd8" * 90, id="zero-bytes")])
def test_binary_file_named_like_subtitles(tmp_path, data):
    (tmp_path / "v.srt").write_bytes(data)
    with pytest.raises(InputError, match="v.srt: is a binary file, not subtitles; specify an .srt, .vtt, .ass or .ssa file"):
        read_subtitles(tmp_path / "v.srt")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings(tmp_path, encoding):
    text = SRT.replace("Hello", "Grüße, 你好")
    assert read_subtitles(write(tmp_path / "a.srt", text, encoding))[0].text == "Grüße, 你好 there, old friend."


def test_a_byte_order_mark_before_a_time(tmp_path):
    text = "00:01,000 --> 00:02,000\nyes\n"
    assert read_subtitles(write(tmp_path / "a.srt", text, "utf-8-sig")) == [Cue(1, 2, "yes")]


def test_big_endian_with_byte_order_mark(tmp_path):
    data = codecs.BOM_UTF16_BE + SRT.encode("utf-16-be")
    assert read_subtitles(write(tmp_path / "a.srt", data)) == CUES


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends(tmp_path, end):
    assert read_subtitles(write(tmp_path / "a.srt", SRT.replace("\n", end))) == CUES


def test_cues_without_empty_lines_between_them(tmp_path):
    text = "1\n00:01,0 --> 00:02,0\nin 1999\n2\n00:03,0 --> 00:04,0\n2000\n3\n00:05,0 --> 00:06,0\n2001"
    assert [cue.text for cue in read_subtitles(write(tmp_path / "a.srt", text))] == ["in 1999", "2000", "2001"]


def test_empty_cues_are_dropped(tmp_path):
    text = "1\n00:01,000 --> 00:02,000\n<i></i>\n\n2\n00:03,000 --> 00:04,000\nyes\n"
    assert read_subtitles(write(tmp_path / "a.srt", text)) == [Cue(3, 4, "yes")]


@pytest.mark.parametrize(("content", "message"), [
    ("just a letter", "contains no subtitles, no line such as"),
    (b"", "contains no subtitles"),
    (bytes(range(128, 256)) * 9, "is not text in a known encoding; save the subtitles as UTF-8"),
    ("1\n00:00:05,000 --> 00:00:04,000\nback\n", r"line 2: the subtitle ends at 4.0 s before it starts at 5.0 s"),
    ("1\n00:00:05,000 --> 00:00:xx\nbroken\n",
     "line 2: '00:00:05,000 --> 00:00:xx' is not a pair of times; write times as 00:00:01,000 --> 00:00:02,500"),
    ("1\n-00:00:05,000 --> 00:00:06,xx\nearly\n", "line 2: .* is not a pair of times"),
    ("1\n00:00:05,000 --> 00:00:06,000\n\n", "its subtitles have times but no text after the start of the video; specify"),
])
def test_invalid_files(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_subtitles(write(tmp_path / "bad.srt", content))


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none.srt: cannot be read \(No such file"):
        read_subtitles(tmp_path / "none.srt")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory"):
        read_subtitles(tmp_path)


def test_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.media.subtitles.MAX_BYTES", 1 << 20)
    with pytest.raises(InputError, match="is over 1 MB, too large for subtitles"):
        read_subtitles(write(tmp_path / "a.srt", SRT * 9000))


def test_format_of_written_files(tmp_path):
    write_srt(tmp_path / "a.srt", [Cue(0, 59.9995, "one\n\ntwo"), Cue(3723.004, 3725, "three")])
    assert (tmp_path / "a.srt").read_text() == (
        "1\n00:00:00,000 --> 00:01:00,000\none\ntwo\n\n2\n01:02:03,004 --> 01:02:05,000\nthree\n")


def test_a_cue_must_not_end_before_it_starts(tmp_path):
    with pytest.raises(ValueError, match="a subtitle from 2 to 1 s cannot be written"):
        write_srt(tmp_path / "a.srt", [Cue(2, 1, "no")])
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**6),
                          st.from_regex(r"[A-Za-z0-9é你!]+", fullmatch=True)), min_size=1))
def test_write_and_read_round_trip(tmp_path_factory, rows):
    cues = [Cue(start / 1000, (start + length) / 1000, text) for start, length, text in rows]
    path = tmp_path_factory.mktemp("subtitles") / "a.srt"
    write_srt(path, cues)
    assert read_subtitles(path) == sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))


LINES = [(100, 700, "Hello <i>there</i>,\nold friend."), (700, 1300, "I &lt;3 {you}"), (1500, 1900, "Übel, 某人")]
SPOKEN = ["Hello there, old friend.", "I <3", "Übel, 某人"]


@pytest.mark.parametrize("suffix, codec", [(".mkv", "subrip"), (".mp4", "mov_text"), (".mkv", "webvtt")])
def test_embedded_subtitles(tmp_path, suffix, codec):
    found = embedded_subtitles(write_subtitled_video(tmp_path / f"a{suffix}", LINES, codec))
    assert [(c.start_s, c.end_s) for c in found] == [(0.1, 0.7), (0.7, 1.3), (1.5, 1.9)]
    assert [c.text for c in found][::2] == SPOKEN[::2]
    assert found[1].text.startswith("I ")


def test_embedded_subtitles_count_from_the_first_frame_and_come_from_the_first_track(tmp_path):
    found = embedded_subtitles(write_subtitled_video(tmp_path / "a.mkv", LINES, first_ms=500, tracks=2))
    assert found == [Cue(0, 0.2, SPOKEN[0]), Cue(0.2, 0.8, found[1].text), Cue(1, 1.4, SPOKEN[2])]


def test_a_video_without_subtitles(tmp_path):
    assert embedded_subtitles(write_video(tmp_path / "a.mp4", 5)) == []
    with pytest.raises(InputError, match="is not a readable video"):
        embedded_subtitles(write(tmp_path / "b.mp4", "no"))


def test_subtitles_of_joined_intervals():
    cues = [Cue(0, 3, "a"), Cue(2, 2.1, "blink"), Cue(4, 6, "b"), Cue(9, 9.5, "c"), Cue(9.9, 20, "d")]
    intervals = [(Fraction(2), Fraction(5)), (Fraction(59, 10), Fraction(10))]
    assert cut_cues(cues, intervals) == [
        Cue(0, 0.1, "blink"), Cue(0, 1, "a"), Cue(2, 3, "b"), Cue(6.1, 6.6, "c")]   # 0.1 s of b and of d is too short.
    assert cut_cues(cues, [(Fraction(0), Fraction(20))]) == cues
    assert cut_cues(cues, [(Fraction(7), Fraction(8))]) == []
