"""Synthetic audio events and their mix."""

import numpy as np
import pytest

from sample_set.audio_events import AUDIO_CLASSES, mix, synthesize
from sample_set.script import AudioEvent

RATE_HZ = 32000


def spectrum(wave):
    power = np.abs(np.fft.rfft(wave)) ** 2
    return np.fft.rfftfreq(len(wave), 1 / RATE_HZ), power / power.sum()


def share(wave, low_hz, high_hz):
    freq, power = spectrum(wave)
    return power[(freq >= low_hz) & (freq < high_hz)].sum()


@pytest.mark.parametrize("kind", AUDIO_CLASSES)
def test_events_are_normalized_and_follow_the_seed(kind):
    wave = synthesize(kind, 3 * RATE_HZ, RATE_HZ, np.random.default_rng(5))
    assert wave.shape == (3 * RATE_HZ,)
    assert wave.dtype == np.float32
    peak, loudness = np.abs(wave).max(), np.sqrt((wave**2).mean())
    assert peak <= 0.9 + 1e-6
    assert loudness <= 0.12 + 1e-6
    assert peak == pytest.approx(0.9, rel=1e-4) or loudness == pytest.approx(0.12, rel=1e-4)
    assert np.array_equal(wave, synthesize(kind, 3 * RATE_HZ, RATE_HZ, np.random.default_rng(5)))
    assert not np.array_equal(wave, synthesize(kind, 3 * RATE_HZ, RATE_HZ, np.random.default_rng(6)))


@pytest.mark.parametrize("kind", AUDIO_CLASSES)
def test_every_second_of_an_event_is_audible(kind):
    for seed in range(5):
        wave = synthesize(kind, 6 * RATE_HZ, RATE_HZ, np.random.default_rng(seed))
        assert np.abs(wave.reshape(6, -1)).max(1).min() > 0.05, seed


@pytest.mark.parametrize(("kind", "low_hz", "high_hz"), [
    ("alarm", 1600, 8000), ("siren", 400, 2600), ("engine", 20, 800), ("wind", 50, 1500), ("rain", 2000, 13000),
    ("birds", 2000, 7000), ("heartbeat", 20, 150), ("voice", 60, 4000), ("bell", 100, 1300)])
def test_energy_is_in_the_frequency_band_of_the_class(kind, low_hz, high_hz):
    wave = synthesize(kind, 4 * RATE_HZ, RATE_HZ, np.random.default_rng(1))
    assert share(wave, low_hz, high_hz) > 0.85


def test_alarm_beeps_and_pauses():
    wave = synthesize("alarm", 4 * RATE_HZ, RATE_HZ, np.random.default_rng(2))
    loud = np.sqrt((wave.reshape(-1, RATE_HZ // 100) ** 2).mean(1)) > 0.02     # Per hundredth of a second.
    assert 0.3 < loud.mean() < 0.5
    assert 6 <= np.diff(loud.astype(int)).clip(0).sum() <= 20                  # Beeps in four seconds.


def test_a_mix_has_each_event_at_its_time_and_level():
    spans = [AudioEvent("siren", 2.0, 6.0, (0.0, -12.0), seed=9)]
    track = mix(spans, 10, RATE_HZ, np.random.default_rng(0))
    assert track.shape == (10 * RATE_HZ,)
    level = np.sqrt((track.reshape(10, -1) ** 2).mean(1))                      # Per second.
    assert level[[0, 1, 6, 7, 8, 9]].max() < 0.003                             # Room noise only.
    assert level[2:6].min() > 0.02
    # The gain falls by 12 dB, of which 3/4 are between the centers of both seconds.
    assert 20 * np.log10(level[2] / level[5]) == pytest.approx(9, abs=1.5)
