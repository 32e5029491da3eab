"""The limits on subtitles, whose text is compared with queries."""

import pytest

from common.errors import InputError
from pipelines.media.cues import Cue, check_cue_limits
from pipelines.media.subtitles import embedded_subtitles, read_subtitles
from tests.media import write_subtitled_video


def srt(texts):
    return "\n".join(f"{i}\n{i // 3600:02}:{i // 60 % 60:02}:{i % 60:02},000 --> {i // 3600:02}:{i // 60 % 60:02}:"
                     f"{i % 60:02},900\n{text}\n" for i, text in enumerate(texts))


def test_the_largest_permitted_subtitles():
    check_cue_limits([Cue(i, i + 1, "x" * 75) for i in range(20_000)])    # 20,000 cues and 1,500,000 bytes.
    check_cue_limits([Cue(0, 1, "é" * 32_767 + "x")])                     # 65,535 bytes.
    check_cue_limits([])


@pytest.mark.parametrize("cues, message", [
    pytest.param([Cue(0, 1, "x")] * 20_001, "contains 20,001 subtitles, and the limit is 20,000; specify the subtitles "
                 "of this video only", id="number"),
    pytest.param([Cue(0, 1, "x" * 50_000)] * 30 + [Cue(0, 1, "é")],
                 "contains 1,500,002 bytes of subtitle text, and the limit is 1,500,000; specify the subtitles of this "
                 "video only", id="total"),
    pytest.param([Cue(0, 1, "x"), Cue(61, 62, "é" * 32_768)], "the subtitle at 1:01 has 65,536 bytes of text, and the "
                 "limit is 65,535; split it into subtitles of a few seconds", id="one_cue")])
def test_too_much_text(cues, message):
    with pytest.raises(InputError) as found:
        check_cue_limits(cues)
    assert str(found.value) == message


def test_a_file_with_too_many_subtitles_is_refused_with_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.media.cues.MAX_CUES", 1000)
    (tmp_path / "a.srt").write_text(srt(["x"] * 1001))
    with pytest.raises(InputError, match=r"a\.srt: contains 1,001 subtitles, and the limit is 1,000"):
        read_subtitles(tmp_path / "a.srt")


def test_a_file_with_one_long_line_is_refused_with_its_size(tmp_path):
    (tmp_path / "a.srt").write_text(srt(["word " * 80_000]))
    with pytest.raises(InputError, match=r"a\.srt: the subtitle at 0:00 has 399,999 bytes of text, and the limit is"):
        read_subtitles(tmp_path / "a.srt")


def test_an_embedded_track_with_too_much_text_is_refused(tmp_path):
    lines = [(i, i + 1, "x" * 60_000) for i in range(26)]
    path = write_subtitled_video(tmp_path / "a.mkv", lines)
    with pytest.raises(InputError, match=r"a\.mkv: contains 1,560,000 bytes of subtitle text, and the limit is "
                                         r"1,500,000; remove the subtitle track, or specify a subtitle file"):
        embedded_subtitles(path)
