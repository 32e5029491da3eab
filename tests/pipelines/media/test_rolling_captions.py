"""Rolling captions, such as YouTube's automatic ones, show each line once; other captions keep their repetitions."""

import pytest

from pipelines.media.subtitles import Cue, Word, cut_cues, embedded_subtitles, read_subtitles
from tests.media import write_subtitled_video

YOUTUBE = """\
WEBVTT
Kind: captions
Language: en

00:00:00.030 --> 00:00:03.720 align:start position:0%
~
good<00:00:00.719><c> morning</c><00:00:01.199><c> dear</c><00:00:02.000><c> viewers</c>

00:00:03.720 --> 00:00:03.730 align:start position:0%
good morning dear viewers
~

00:00:03.730 --> 00:00:07.500 align:start position:0%
good morning dear viewers
here<00:00:04.200><c> comes</c><00:00:05.000><c> the</c><00:00:05.500><c> plan</c>

00:00:07.500 --> 00:00:07.510 align:start position:0%
here comes the plan
~

00:00:07.510 --> 00:00:12.000 align:start position:0%
here comes the plan
we<00:00:08.000><c> paint</c><00:00:09.000><c> the</c><00:00:10.000><c> door</c>
""".replace("~", " ")   # A line with a single space does not end a cue.
SPOKEN = [(0.03, 3.72, "good morning dear viewers"), (3.73, 7.5, "here comes the plan"),
          (7.51, 12.0, "we paint the door")]
CUES = [Cue(*row) for row in SPOKEN]


def srt(rows):
    """Return a SubRip file from (start s, end s, text)."""
    def clock(time_s):
        ms = round(time_s * 1000)
        return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"
    return "\n".join(f"{i}\n{clock(a)} --> {clock(b)}\n{text}\n" for i, (a, b, text) in enumerate(rows, 1))


def read(tmp_path, text, name="a.srt"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_subtitles(tmp_path / name)


def test_youtube_captions(tmp_path):
    cues = read(tmp_path, YOUTUBE, "a.en.vtt")
    assert cues == CUES
    assert cues[0].words == (Word(0.03, 0.719, "good"), Word(0.719, 1.199, "morning"), Word(1.199, 2.0, "dear"),
                             Word(2.0, 3.72, "viewers"))
    assert [(w.start_s, w.text) for w in cues[2].words] == [(7.51, "we"), (8, "paint"), (9, "the"), (10, "door")]


ROLLING = {
    "two lines and cues of 10 ms": [
        (0.03, 3.72, "good morning dear viewers"), (3.72, 3.73, "good morning dear viewers"),
        (3.73, 7.5, "good morning dear viewers\nhere comes the plan"), (7.5, 7.51, "here comes the plan"),
        (7.51, 12, "here comes the plan\nwe paint the door")],
    "an empty line first": [
        (0.03, 3.72, " \ngood morning dear viewers"), (3.72, 3.73, "good morning dear viewers\n "),
        (3.73, 7.5, "good morning dear viewers\nhere comes the plan"), (7.5, 7.51, "here comes the plan\n "),
        (7.51, 12, "here comes the plan\nwe paint the door")],
    "two lines": [
        (0.03, 3.72, "good morning dear viewers"), (3.73, 7.5, "good morning dear viewers\nhere comes the plan"),
        (7.51, 12, "here comes the plan\nwe paint the door")],
    "three lines": [
        (0.03, 3.72, "good morning dear viewers"), (3.73, 7.5, "good morning dear viewers\nhere comes the plan"),
        (7.51, 12, "good morning dear viewers\nhere comes the plan\nwe paint the door")],
    "two lines from the start": [
        (0.03, 3.72, "good morning\ndear viewers"), (3.73, 7.5, "dear viewers\nhere comes the plan"),
        (7.51, 12, "here comes the plan\nwe paint the door")],
    "one line": [
        (0.03, 3.72, "good morning dear viewers"), (3.72, 3.73, "good morning dear viewers"),
        (3.73, 7.5, "here comes the plan"), (7.5, 7.51, "here comes the plan"), (7.51, 12, "we paint the door")],
    "lines joined by spaces": [
        (0.03, 3.72, "good morning dear viewers"), (3.72, 3.73, "good morning dear viewers"),
        (3.73, 7.5, "good morning dear viewers here comes the plan"), (7.5, 7.51, "here comes the plan"),
        (7.51, 12, "here comes the plan we paint the door")],
}


@pytest.mark.parametrize("rows", ROLLING.values(), ids=ROLLING)
def test_captions_that_roll_without_times_of_words(tmp_path, rows):
    assert read(tmp_path, srt(rows)) == CUES


def test_a_line_that_is_spoken_twice_while_the_captions_roll(tmp_path):
    rows = [(0, 2, "first of all"), (2, 2.01, "first of all"), (2.01, 4, "first of all\nno"), (4, 4.01, "no"),
            (4.01, 6, "no\nno"), (6, 6.01, "no"), (6.01, 8, "no\nI said so")]
    assert [cue.text for cue in read(tmp_path, srt(rows))] == ["first of all", "no", "no", "I said so"]


def test_a_pause_clears_rolling_captions(tmp_path):
    rows = [*ROLLING["two lines and cues of 10 ms"], (20, 22, "we paint the door"), (22, 22.01, "we paint the door"),
            (22.01, 25, "we paint the door\nonce more")]
    assert read(tmp_path, srt(rows)) == [*CUES, Cue(20, 22, "we paint the door"), Cue(22.01, 25, "once more")]


@pytest.mark.parametrize("n_blocks", [2, 3, 4, 5, 6])
def test_the_first_youtube_captions(tmp_path, n_blocks):
    text = "\n\n".join(YOUTUBE.split("\n\n")[:n_blocks])
    assert read(tmp_path, text, "a.vtt") == CUES[:n_blocks // 2]


def test_youtube_captions_without_the_spaces_at_the_ends_of_lines(tmp_path):
    assert read(tmp_path, YOUTUBE.replace("\n \n", "\n\n"), "a.vtt") == CUES


@pytest.mark.parametrize("rows", [
    pytest.param([(1, 2, "no"), (2, 3, "no"), (3, 4, "yes"), (4, 5, "no")], id="equal"),
    pytest.param([(1, 2, "no"), (2, 3, "no"), (3, 4, "no"), (4, 5, "no")], id="all equal"),
    pytest.param([(1, 2, "No."), (2, 3, "No. I will not."), (3, 4, "Why?"), (4, 5, "I am tired.")], id="one prefix"),
    pytest.param([(1, 2, "- Who is it?"), (2, 3, "- Who is it?\n- Me."), (3, 4, "Come in."), (4, 5, "Sit down."),
                  (5, 6, "Thanks.")], id="one dialog"),
    pytest.param([(1, 2, "la la la"), (2, 3, "la la la"), (3, 4, "hey"), (4, 5, "la la la")], id="song"),
    pytest.param([(1, 2, "again"), (1.5, 3, "again")], id="overlapping"),
    pytest.param([(1, 1.04, "bang"), (5, 5.04, "bang")], id="short")])
def test_repetitions_in_other_captions_are_kept(tmp_path, rows):
    assert read(tmp_path, srt(rows)) == [Cue(a, b, text.replace("\n", " ")) for a, b, text in rows]


@pytest.mark.parametrize("suffix, codec", [(".mp4", "mov_text"), (".mkv", "subrip"), (".mkv", "webvtt")])
def test_embedded_rolling_captions(tmp_path, suffix, codec):
    lines = [(round(1000 * a), round(1000 * b), text) for a, b, text in ROLLING["two lines and cues of 10 ms"]]
    path = write_subtitled_video(tmp_path / f"a{suffix}", lines, codec, n_frames=5)
    assert embedded_subtitles(path) == CUES


def test_embedded_webvtt_keeps_the_times_of_words(tmp_path):
    lines = [(0, 900, "hel<00:00:00.200>lo<00:00:00.500><c> you</c>"), (900, 1500, "bye")]
    first, second = embedded_subtitles(write_subtitled_video(tmp_path / "a.mkv", lines, "webvtt", n_frames=5))
    assert (first.text, first.words) == ("hello you", (Word(0, 0.5, "hello"), Word(0.5, 0.9, "you")))
    assert (second.text, second.words) == ("bye", ())


def test_words_are_cut_with_their_subtitle(tmp_path):
    cues = read(tmp_path, YOUTUBE, "a.vtt")
    first, second = cut_cues(cues, [(1, 3), (8, 9)])
    assert (first.start_s, first.end_s, first.text) == (0, 2, "good morning dear viewers")
    assert first.words == (Word(0, 0.199, "morning"), Word(0.199, 1, "dear"), Word(1, 2, "viewers"))
    assert second.words == (Word(2, 3, "paint"),)
