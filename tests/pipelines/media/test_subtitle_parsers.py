"""Deviations from the formats SubRip, WebVTT, and SubStation Alpha that subtitle files of other programs have."""

import pytest

from common.errors import InputError
from pipelines.media.subtitles import Cue, read_subtitles


def read(tmp_path, text, name="a.srt"):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    return read_subtitles(tmp_path / name)


def spoken(tmp_path, text, name="a.srt"):
    return [cue.text for cue in read(tmp_path, text, name)]


SRT = """\
1
00:00:01,000 --> 00:00:02,000

Alpha

2
00:00:03,000 --> 00:00:04,000
Beta,

gamma

3
00:00:05,000 --> 00:00:06,000
Delta
"""


@pytest.mark.parametrize("text", [
    pytest.param(SRT, id="as-is"), pytest.param(SRT.replace("\n", "\r\n"), id="crlf"),
    pytest.param(SRT.replace("\n", "\r\r\n"), id="crcrlf"), pytest.param(SRT.replace("\n", "\n\n"), id="double-spaced"),
    pytest.param(SRT.replace("\n\n", "\n \t\n"), id="spaces"), pytest.param(SRT.rstrip(), id="no-final-newline"),
    pytest.param(SRT.replace("\n2\n", "\n"), id="missing-index"),
    pytest.param(SRT.replace("3\n00:", "00:").replace("2\n00:", "00:").replace("1\n00:", "00:"), id="no-index"),
    pytest.param(SRT.replace(",0", ".0"), id="dots"), pytest.param(SRT.replace(",000", ""), id="complete-seconds"),
    pytest.param(SRT.replace(",000", ",000000"), id="microseconds"), pytest.param(SRT.replace(" --> ", "-->"), id="tight"),
    pytest.param(SRT.replace("-->", "->"), id="short-arrow"), pytest.param(SRT.replace("\n00:", "\n\u200e00:"), id="mark"),
    pytest.param(SRT.replace("\n\n2", "\n\n\ufeff2"), id="joined-files"),
    pytest.param("WEBVTT\n\n" + SRT.replace(",0", ".0"), id="webvtt")])
def test_blank_lines_in_cues(tmp_path, text):
    assert read(tmp_path, text) == [Cue(1, 2, "Alpha"), Cue(3, 4, "Beta, gamma"), Cue(5, 6, "Delta")]


def test_blank_lines_in_webvtt_without_identifiers(tmp_path):
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\n\nAlpha\n\n00:03.000 --> 00:04.000\nBeta,\n\ngamma\n"
    assert spoken(tmp_path, text, "a.vtt") == ["Alpha", "Beta, gamma"]


def test_numbers_in_the_text_are_not_indices(tmp_path):
    text = ("1\n00:01,0 --> 00:02,0\nHow many?\n\n12\n\n2\n00:03,0 --> 00:04,0\n1999\n\n"
            "3\n00:05,0 --> 00:06,0\n2001\n\n00:07,0 --> 00:08,0\n42")
    assert spoken(tmp_path, text) == ["How many? 12", "1999", "2001", "42"]
    unnumbered = "00:01,0 --> 00:02,0\nHow many?\n12\n00:03,0 --> 00:04,0\n1999\n"
    assert spoken(tmp_path, unnumbered) == ["How many? 12", "1999"]


def test_times_before_the_start_of_the_video(tmp_path):
    text = ("1\n-00:00:05,000 --> -00:00:03,000\ngone\n\n2\n-00:00:01,500 --> 00:00:01,000\nearly\n\n"
            "3\n-00:00:01,000 --> 00:00:00,000\ngone, too\n\n4\n00:00:02,000 --> 00:00:03,000\nlater\n")
    assert read(tmp_path, text) == [Cue(0, 1, "early"), Cue(2, 3, "later")]
    with pytest.raises(InputError, match="no text after the start of the video"):
        read(tmp_path, "1\n-00:00:05,000 --> -00:00:03,000\ngone\n")


def test_times_over_99_hours(tmp_path):
    assert read(tmp_path, "1\n100:00:01,000 --> 100:00:02,000\nlate\n") == [Cue(360_001, 360_002, "late")]


@pytest.mark.parametrize("line", [
    "a --> b", "--> here", "x-->y", "1 --> 2", "from 10:30 --> 11:45", "5 --> 10 points", "10:30 --> 11:45",
    "00:00:01,000 --> 00:00:02,000 is how times look", "press -> now"])
def test_an_arrow_in_the_text(tmp_path, line):
    before = f"1\n00:00:01,000 --> 00:00:02,000\n{line}\nend\n\n2\n00:00:03,000 --> 00:00:04,000\nyes\n"
    assert spoken(tmp_path, before) == [f"{line} end", "yes"]
    after = f"1\n00:00:01,000 --> 00:00:02,000\nstart\n{line}\n\n2\n00:00:03,000 --> 00:00:04,000\nyes\n"
    assert spoken(tmp_path, after) == [f"start {line}", "yes"]


def test_text_on_the_line_of_the_times(tmp_path):
    assert spoken(tmp_path, "1\n00:01,000 --> 00:02,000 Hello\nthere\n") == ["Hello there"]


def test_overlapping_and_unsorted_cues(tmp_path):
    text = "1\n00:05,0 --> 00:09,0\nc\n\n2\n00:01,0 --> 00:09,0\na\n\n3\n00:02,0 --> 00:03,0\nb\n"
    assert read(tmp_path, text) == [Cue(1, 9, "a"), Cue(2, 3, "b"), Cue(5, 9, "c")]


@pytest.mark.parametrize("markup, text", [
    (r"{\an8}<i>Hello</i>\hthere", "Hello there"), (r"one\Ntwo", "one two"),
    ('<font color="#fff">white</font> <b>bold</b>', "white bold"), ("R&amp;B &lt;3 &#39;n&#39; 5 < 6", "R&B <3 'n' 5 < 6"),
    ("\u202bשלום\u202c", "\u202bשלום\u202c"), ("{\\pos(10,20)\\fad(1,2)}here", "here"),
    ("m 0 0 l 100 0 100 -7.5 b 0 1 2 3 4 5Sign", "Sign"), ("I'm 10 m 20 cm tall", "I'm 10 m 20 cm tall")])
def test_markup_in_srt(tmp_path, markup, text):
    assert spoken(tmp_path, f"1\n00:01,000 --> 00:02,000\n{markup}\n") == [text]


@pytest.mark.parametrize("markup, text", [
    ("<v Fred>Hi</v>, <v.loud Ann>hello", "Hi, hello"), ("<c.yellow.bg_blue>Hi</c> <lang en-GB>you</lang>", "Hi you"),
    ("<ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby>です", "漢字です"), ("<ruby>漢<rt>かん</ruby>", "漢"),
    ("<00:00:01.200><c>a</c><00:00:01.500><c> b</c>", "a b"), ("a&nbsp;b&lrm;", "a\xa0b\u200e"), ("<b><i></i></b>x", "x")])
def test_markup_in_webvtt(tmp_path, markup, text):
    assert spoken(tmp_path, f"WEBVTT\n\n00:01.000 --> 00:02.000\n{markup}\n", "a.vtt") == [text]


@pytest.mark.parametrize("text", ["\u200b", "\u200f\u200e", "&nbsp;", "<i></i>", "m 0 0 l 100 0 100 100 0 100", "\u0301", "\ufeff", "{\\an8}"])
def test_a_cue_without_visible_text_is_dropped(tmp_path, text):
    assert spoken(tmp_path, f"1\n00:01,000 --> 00:02,000\n{text}\n\n2\n00:03,000 --> 00:04,000\nyes\n") == ["yes"]


def test_other_blocks_and_identifiers_of_webvtt_are_not_spoken(tmp_path):
    text = ("\ufeffWEBVTT title\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\nSTYLE\n::cue(b) { color: red }\n\n"
            "REGION\nid:fred\nwidth:40%\n\nintro\n00:01.000 --> 00:02.000 align:start position:0%\nfirst\n \nstill first\n"
            "\nNOTE\nnot spoken --\n\nsecond-cue\n00:03.000 --> 00:04.000\nsecond\n\nNOTE not spoken\n\n3\n"
            "00:05.000 --> 00:06.000\nthird\n\nSTYLE\n::cue { color: red }\n\nNOTES are spoken\n\nWEBVTT\n\n"
            "00:07.000 --> 00:08.000\nfourth\n00:09.000 --> 00:10.000\nfifth")
    assert spoken(tmp_path, text, "a.vtt") == ["first still first", "second", "third NOTES are spoken", "fourth", "fifth"]


ASS = """\
[Script Info]
Title: a --> b
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,not spoken
Dialogue: 0,0:00:05.00,0:00:06.50,Default,Ann,0,0,0,,{\\an8\\fad(10,20)}Well,\\Nhello\\h {not spoken} there, you.
Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\p1}m 0 0 l 100 0 100 100 0 100{\\p0}
Dialogue: 0,0:00:02.00,0:00:03.00,Default,,0,0,0,,{\\p1}m 0 0 l 10 0{\\p0}Sign{\\pos(3,4)}post\\{1\\}{\\clip(m 0 0 l 9 9)}!
Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\\k20}ka{\\kf30}ra{\\ko10}oke {\\K15}song\\nline
Dialogue: 0,0:00:04.00,0:00:04.00,Default,,0,0,0,,never shown
Dialogue: 0,-0:00:01.00,0:00:00.50,Default,,0,0,0,,early
Dialogue: 0,1:00:00.00,101:00:00.00,Default,,0,0,0,,long
"""
ASS_CUES = [Cue(0, 0.5, "early"), Cue(2, 3, "Signpost{1}!"), Cue(3, 4, "karaoke song line"),
            Cue(5, 6.5, "Well, hello there, you."), Cue(3600, 363_600, "long")]


@pytest.mark.parametrize("name", ["a.ass", "a.ASS", "a.ssa", "a.srt", "subtitles"])
def test_ass(tmp_path, name):
    assert read(tmp_path, ASS, name) == ASS_CUES


def test_ass_with_byte_order_mark_and_crlf(tmp_path):
    assert read(tmp_path, "\ufeff" + ASS.replace("\n", "\r\n"), "a.ass") == ASS_CUES


def test_ssa(tmp_path):
    text = ("[Script Info]\nScriptType: v4.00\n\n[V4 Styles]\nFormat: Name, Fontname\nStyle: Default,Arial\n\n[Events]\n"
            "Format: Marked, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
            "Dialogue: Marked=0,0:00:01.00,0:00:02.50,Default,NTP,0000,0000,0000,,One, two\n")
    assert read(tmp_path, text, "a.ssa") == [Cue(1, 2.5, "One, two")]


def test_ass_with_fields_in_another_order(tmp_path):
    text = "[Events]\nFormat: Start, End, Style, Text\nDialogue: 0:00:01.00,0:00:02.00,Default,One, two\n"
    assert read(tmp_path, text, "a.ass") == [Cue(1, 2, "One, two")]


@pytest.mark.parametrize("text, message", [
    ("[Script Info]\nTitle: nothing\n", "contains no subtitles, no line such as Dialogue: 0,0:00:01.00"),
    ("[Events]\nDialogue: 0,0:00:xx,0:00:02.00,Default,,0,0,0,,One\n", "line 2: '0:00:xx' is not a time; write times as 0:00:01.00"),
    ("[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\p1}m 0 0\n", "have times but no text"),
    ("[Events]\nDialogue: 0,0:00:01.00\n", "line 2: '' is not a time")])
def test_invalid_ass(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text, "a.ass")


@pytest.mark.parametrize("text", ["{1}{25}MicroDVD", "<tt><p begin='1s' end='2s'>TTML</p></tt>", "[00:01.00]lyrics"])
def test_other_formats_are_refused_with_the_supported_ones(tmp_path, text):
    with pytest.raises(InputError, match=r"contains no subtitles, .*; specify an \.srt, \.vtt, \.ass or \.ssa file"):
        read(tmp_path, text)


@pytest.mark.parametrize("text", [
    pytest.param("[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,,,,,,," + "{" * 60_000, id="braces"),
    pytest.param("1\n00:01,000 --> 00:02,000\n" + "<a" * 30_000, id="tags"),
    pytest.param("1\n00:01,000 --> 00:02,000\nx" + "<rt>x" * 10_000, id="ruby"),
    pytest.param("1\n00:01,000 --> 00:02,000\nx" + "\r" * 200_000, id="carriage-returns"),
    pytest.param("\n" * 200_000 + "1\n00:01,000 --> 00:02,000\nx", id="empty-lines"),
    pytest.param("9" * 200_000 + "\n00:01,000 --> 00:02,000\n9" + "9" * 60_000 + " --> 9", id="digits")])
def test_unusual_text_takes_linear_time(tmp_path, text):
    """These would take minutes if a pattern tried every pair of positions."""
    assert len(read(tmp_path, text)) <= 1


def test_a_file_with_far_too_many_cues_is_refused_before_it_is_parsed(tmp_path):
    with pytest.raises(InputError, match="contains 80,001 subtitles, and the limit is 20,000"):
        read(tmp_path, "00:00:01,000 --> 00:00:xx\n" * 80_001)
