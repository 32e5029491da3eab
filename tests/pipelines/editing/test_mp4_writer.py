"""pipelines/editing/mp4_writer.py: chapters, subtitles and the time base of the result."""

from fractions import Fraction

import av
import pytest

from pipelines.editing.mp4_writer import choose_time_base
from pipelines.editing.reencode import cut
from pipelines.media.probe import probe
from pipelines.media.subtitles import Cue, embedded_subtitles
from tests.media import chapters, decoded, read_number, write_numbered_video

# Two adjacent pieces and a separate one, none of which starts at a frame.
THIRDS = [(Fraction(1, 3), Fraction(1)), (Fraction(1), Fraction(4, 3)), (Fraction(29, 10), Fraction(71, 20))]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Return the path of a video of 4 s at 25 frames per second, whose frames show their number."""
    return write_numbered_video(tmp_path_factory.mktemp("cut") / "video.mp4")


def test_chapters_and_subtitles(tmp_path, video):
    out = tmp_path / "out.mp4"
    cues = [Cue(0.5, 0.9, "eins <b>"), Cue(0.95, 2.95, "zwei\nZeilen"), Cue(3.5, 4, "vier")]
    cut(video, THIRDS, out, titles=["Anfang", "Mitte & mehr", "某人"], cues=cues)
    assert chapters(out) == [
        (0, Fraction(667, 1000), "Anfang"), (Fraction(667, 1000), 1, "Mitte & mehr"), (1, Fraction(33, 20), "某人")]
    first, *others = embedded_subtitles(out)
    assert first == Cue(0.167, 0.567, "eins")           # Readers interpret <b> as markup.
    assert others == [Cue(0.667, 1.0, "zwei Zeilen")]   # 0.05 s of the cues at the other joins would only flash.
    assert [read_number(frame) for _, frame in decoded(out)] == [*range(9, 34), *range(73, 89)]
    assert abs(probe(out).duration_s - Fraction(33, 20)) < Fraction(1, 5000)


def test_no_chapters_without_titles_and_no_subtitle_stream_without_cues(tmp_path, video):
    cut(video, THIRDS, tmp_path / "out.mp4", cues=[Cue(2, 2.5, "outside the pieces")])
    assert chapters(tmp_path / "out.mp4") == []
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]


def test_the_number_of_titles_must_match(tmp_path, video):
    with pytest.raises(ValueError):
        cut(video, THIRDS, tmp_path / "out.mp4", titles=["one"])
    assert not (tmp_path / "out.mp4").exists()


def test_cues_longer_than_a_text_sample_are_truncated_between_characters(tmp_path, video):
    cut(video, [(0, 1)], tmp_path / "out.mp4", cues=[Cue(0, 1, "某" * 30_000)])   # 3 bytes per character.
    (cue,) = embedded_subtitles(tmp_path / "out.mp4")
    assert cue.text == "某" * (65_535 // 3)


@pytest.mark.parametrize("source", [Fraction(1, 25), Fraction(1001, 30000), Fraction(1, 1000), Fraction(1, 12800),
                                    Fraction(1, 10**9), Fraction(1, 1_200_000)])
def test_time_base(source):
    time_base = choose_time_base(source)
    assert time_base.numerator == 1
    assert 10_000 <= time_base.denominator <= 1_000_000
    assert source.denominator > 1_000_000 or (source / time_base).denominator == 1   # Source ticks are exact.
