"""What stands in an mp4 beside pictures and sound: chapters, subtitles, and times that are exact."""

from fractions import Fraction

import av
import pytest

from pipelines.editing.mp4_writer import tick_s
from pipelines.editing.reencode import cut
from pipelines.media.probe import probe
from pipelines.media.subtitles import Cue, embedded_subtitles
from tests.media import chapters, decoded, read_number, write_numbered_video

THIRDS = [(Fraction(1, 3), Fraction(1)), (Fraction(1), Fraction(4, 3)), (Fraction(29, 10), Fraction(71, 20))]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_numbered_video(tmp_path_factory.mktemp("cut") / "film.mp4")


def test_chapters_and_subtitles_go_along(tmp_path, film):
    cues = [Cue(0.5, 0.9, "eins <b>"), Cue(0.95, 2.95, "zwei\nZeilen"), Cue(3.5, 4, "vier")]
    cut(film, THIRDS, tmp_path / "out.mp4", titles=["Anfang", "Mitte & mehr", "某人"], cues=cues)
    assert chapters(tmp_path / "out.mp4") == [
        (0, Fraction(667, 1000), "Anfang"), (Fraction(667, 1000), 1, "Mitte & mehr"), (1, Fraction(33, 20), "某人")]
    first, *more = embedded_subtitles(tmp_path / "out.mp4")
    assert first == Cue(0.167, 0.567, "eins")                 # a reader takes <b> for a mark
    assert more == [Cue(0.667, 1.0, "zwei Zeilen")]           # 0.05 s of each at other joins would flash
    assert [read_number(picture) for _, picture in decoded(tmp_path / "out.mp4")] == [*range(9, 34), *range(73, 89)]
    assert abs(probe(tmp_path / "out.mp4").duration_s - Fraction(33, 20)) < Fraction(1, 5000)


def test_without_them_there_are_none(tmp_path, film):
    cut(film, THIRDS, tmp_path / "out.mp4", cues=[Cue(2, 2.5, "elsewhere")])
    assert chapters(tmp_path / "out.mp4") == []
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]


def test_titles_of_every_piece_or_none(tmp_path, film):
    with pytest.raises(ValueError):
        cut(film, THIRDS, tmp_path / "out.mp4", titles=["one"])
    assert not (tmp_path / "out.mp4").exists()


def test_a_line_longer_than_a_sample_is_cut_off_between_letters(tmp_path, film):
    cut(film, [(0, 1)], tmp_path / "out.mp4", cues=[Cue(0, 1, "某" * 30_000)])
    (cue,) = embedded_subtitles(tmp_path / "out.mp4")
    assert cue.text == "某" * (65_535 // 3)


@pytest.mark.parametrize("source", [Fraction(1, 25), Fraction(1001, 30000), Fraction(1, 1000), Fraction(1, 12800),
                                    Fraction(1, 10**9), Fraction(1, 1_200_000)])
def test_time_base_of_the_result(source):
    tick = tick_s(source)
    assert tick.numerator == 1
    assert 10_000 <= tick.denominator <= 1_000_000
    assert source.denominator > 1_000_000 or (source / tick).denominator == 1
