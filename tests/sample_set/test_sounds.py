import numpy as np
import pytest

from sample_set.script import SoundSpan
from sample_set.sounds import SOUNDS, mix, synthesise

RATE_HZ = 32000


def spectrum(wave):
    power = np.abs(np.fft.rfft(wave)) ** 2
    return np.fft.rfftfreq(len(wave), 1 / RATE_HZ), power / power.sum()


def share(wave, low_hz, high_hz):
    freq, power = spectrum(wave)
    return power[(freq >= low_hz) & (freq < high_hz)].sum()


@pytest.mark.parametrize("kind", SOUNDS)
def test_sounds_are_loud_but_never_clip_and_follow_the_seed(kind):
    wave = synthesise(kind, 3 * RATE_HZ, RATE_HZ, np.random.default_rng(5))
    assert wave.shape == (3 * RATE_HZ,) and wave.dtype == np.float32
    peak, loudness = np.abs(wave).max(), np.sqrt((wave**2).mean())
    assert peak <= 0.9 + 1e-6 and loudness <= 0.12 + 1e-6
    assert peak == pytest.approx(0.9, rel=1e-4) or loudness == pytest.approx(0.12, rel=1e-4)
    assert np.array_equal(wave, synthesise(kind, 3 * RATE_HZ, RATE_HZ, np.random.default_rng(5)))
    assert not np.array_equal(wave, synthesise(kind, 3 * RATE_HZ, RATE_HZ, np.random.default_rng(6)))


@pytest.mark.parametrize("kind", SOUNDS)
def test_every_second_of_a_sound_is_heard(kind):
    for seed in range(5):
        wave = synthesise(kind, 6 * RATE_HZ, RATE_HZ, np.random.default_rng(seed))
        assert np.abs(wave.reshape(6, -1)).max(1).min() > 0.05, seed


@pytest.mark.parametrize(("kind", "low_hz", "high_hz"), [
    ("alarm", 1600, 8000), ("siren", 400, 2600), ("engine", 20, 800), ("wind", 50, 1500), ("rain", 2000, 13000),
    ("birds", 2000, 7000), ("heartbeat", 20, 150), ("voice", 60, 4000), ("bell", 100, 1300)])
def test_sounds_lie_where_such_sounds_lie(kind, low_hz, high_hz):
    wave = synthesise(kind, 4 * RATE_HZ, RATE_HZ, np.random.default_rng(1))
    assert share(wave, low_hz, high_hz) > 0.85


def test_alarm_beeps_and_pauses():
    wave = synthesise("alarm", 4 * RATE_HZ, RATE_HZ, np.random.default_rng(2))
    loud = np.sqrt((wave.reshape(-1, RATE_HZ // 100) ** 2).mean(1)) > 0.02     # per hundredth of a second
    assert 0.3 < loud.mean() < 0.5
    assert 6 <= np.diff(loud.astype(int)).clip(0).sum() <= 20                  # so many beeps in four seconds


def test_mix_lays_a_sound_where_its_span_says_and_as_loud():
    spans = [SoundSpan("siren", 2.0, 6.0, (0.0, -12.0), seed=9)]
    track = mix(spans, 10, RATE_HZ, np.random.default_rng(0))
    assert track.shape == (10 * RATE_HZ,)
    level = np.sqrt((track.reshape(10, -1) ** 2).mean(1))                      # per second
    assert level[[0, 1, 6, 7, 8, 9]].max() < 0.003                             # room noise only
    assert level[2:6].min() > 0.02
    assert 20 * np.log10(level[2] / level[5]) == pytest.approx(9, abs=1.5)     # from middle to middle: 3/4 of 12 dB
