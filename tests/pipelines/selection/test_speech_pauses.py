"""pipelines/selection/speech_pauses.py: gaps between subtitles, and pauses in the speech band of the audio."""

from fractions import Fraction

import numpy as np
import pytest

from pipelines.media.probe import probe
from pipelines.media.subtitles import Cue
from pipelines.selection.speech_pauses import RATE_HZ, find_speech_pauses, quiet_runs
from tests.media import write_video


def gaps(times_s):
    """Return the gaps between subtitles at (start, end) within the first ten seconds."""
    return find_speech_pauses(None, Fraction(0), Fraction(10), [Cue(start, end, "x") for start, end in times_s])


@pytest.mark.parametrize(("times_s", "expected"), [
    pytest.param([(1, 2.5), (4, 6)], [(0, 1), (Fraction(5, 2), 4), (6, 10)], id="separate"),
    pytest.param([(1, 3), (2, 4), (4, 5)], [(0, 1), (4, 4), (5, 10)], id="overlapping-and-adjacent"),
    pytest.param([(-1, 2), (9, 12)], [(2, 9)], id="across-both-ends"),
    pytest.param([(20, 30)], [(0, 10)], id="outside-the-range"),
    pytest.param([(-1, 11)], [], id="covering-the-range"),
    pytest.param([(0.1, 0.2)], [(0, Fraction(1, 10)), (Fraction(1, 5), 10)], id="floats-become-exact"),
])
def test_gaps_between_subtitles(times_s, expected):
    assert gaps(times_s) == expected


def tone(hz, duration_s, amplitude):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(int(duration_s * RATE_HZ)) / RATE_HZ)


def test_pauses_in_the_speech_band():
    word = tone(800, 0.6, 0.3)
    hum = tone(60, 0.3, 0.3)          # Below the speech band, therefore a pause.
    short_gap = np.zeros(800)         # 0.1 s, too short for a pause.
    pauses = quiet_runs(np.concatenate([word, hum, word, short_gap, word]))
    assert len(pauses) == 1
    assert pauses[0] == pytest.approx((60, 90), abs=2)


def test_no_pause_in_a_continuous_tone_or_too_few_samples():
    assert quiet_runs(tone(800, 0.6, 0.3)) == []
    assert quiet_runs(np.zeros(3)) == []


def test_silence_is_one_pause():
    assert quiet_runs(np.zeros(RATE_HZ)) == [(0, 100)]


def test_pauses_are_unknown_without_audio_and_subtitles(tmp_path):
    silent = probe(write_video(tmp_path / "a.mp4", 30))
    assert find_speech_pauses(silent, Fraction(0), Fraction(1), []) is None
