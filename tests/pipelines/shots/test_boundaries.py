from fractions import Fraction

import numpy as np
import pytest

from pipelines.media.subtitles import Cue
from pipelines.media.video_reader import probe
from pipelines.shots.boundaries import RATE_HZ, calm_spans, cut_places, hard_cuts, quiet_steps
from tests.media import numbered_picture, write_video


def spans(cues, from_s=0, until_s=10):
    return calm_spans(None, Fraction(from_s), Fraction(until_s), [Cue(a, b, "x") for a, b in cues])


def test_between_subtitles():
    assert spans([(1, 2.5), (4, 6)]) == [(0, 1), (Fraction(5, 2), 4), (6, 10)]
    assert spans([(1, 3), (2, 4), (4, 5)]) == [(0, 1), (4, 4), (5, 10)]     # lines that touch can be parted
    assert spans([(-1, 2), (9, 12)]) == [(2, 9)] and spans([(20, 30)]) == [(0, 10)]
    assert spans([(-1, 11)]) == [] and spans([(0.1, 0.2)]) == [(0, Fraction(1, 10)), (Fraction(1, 5), 10)]


def tone(hz, seconds, level):
    return level * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)


def test_pauses_in_the_band_of_speech():
    word, hum = tone(800, 0.6, 0.3), tone(60, 0.3, 0.3)      # a hum is no speech
    found = quiet_steps(np.concatenate([word, hum, word, np.zeros(800), word]))     # 0.1 s is no pause
    assert len(found) == 1
    assert found[0] == pytest.approx((60, 90), abs=2)
    assert quiet_steps(word) == [] and quiet_steps(np.zeros(3)) == []
    assert quiet_steps(np.zeros(RATE_HZ)) == [(0, 100)]


def test_hard_cuts_are_found_to_the_frame_and_movement_is_none(tmp_path):
    def picture(index, size):
        moving = np.roll(numbered_picture(0b1100110011, size), 3 * index, axis=1)
        return moving if index < 37 else 255 - moving // 2

    info = probe(write_video(tmp_path / "a.mp4", 100, picture=picture))
    assert hard_cuts(info, Fraction(0), Fraction(3)) == [Fraction(37, 25)]
    assert hard_cuts(info, Fraction(2), Fraction(4)) == []
    assert hard_cuts(info, Fraction(4), Fraction(4)) == []
    still = probe(write_video(tmp_path / "b.mp4", 30, picture=lambda _, size: numbered_picture(5, size)))
    assert hard_cuts(still, Fraction(0), Fraction(2)) == []


@pytest.mark.parametrize("differences, cuts", [
    ([1, 1, 40, 1, 1, 30, 2], [2, 5]), ([0, 0, 15, 16, 15, 0, 0], []), ([40], [0]), ([11, 1, 1], []), ([20] * 9, []),
    ([0, 25, 60, 0, 0], [2])])
def test_what_sweeps_through_the_picture_is_no_cut(differences, cuts):
    assert cut_places(np.array(differences, dtype=float)) == cuts


def test_no_word_is_known_without_sound_or_subtitles(tmp_path):
    assert calm_spans(probe(write_video(tmp_path / "a.mp4", 30)), Fraction(0), Fraction(1), []) is None
