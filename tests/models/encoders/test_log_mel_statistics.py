"""LogMelStatistics equals torchlibrosa's log-mel spectrogram and naive statistics."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torchlibrosa.stft import LogmelFilterBank, Spectrogram

from models.encoders import LogMelStatistics

RATE_HZ = 32000


@pytest.fixture(scope="module")
def encoder():
    return LogMelStatistics().eval()


@pytest.fixture(scope="module")
def clips():
    """Noise, a quiet chirp, a click, and silence."""
    rng = np.random.default_rng(11)
    t = np.arange(2 * RATE_HZ) / RATE_HZ
    click = np.zeros_like(t)
    click[RATE_HZ] = 1
    signals = [rng.normal(0, 0.1, t.size), 0.01 * np.sin(2 * np.pi * (100 + 3000 * t) * t), click, 0 * t]
    return torch.from_numpy(np.stack(signals).astype(np.float32))


def test_the_spectrogram_equals_that_of_panns(encoder, clips):
    spectrogram = Spectrogram(n_fft=1024, hop_length=320, win_length=1024, window="hann", center=True,
                              pad_mode="reflect", freeze_parameters=True)
    log_mel = LogmelFilterBank(sr=RATE_HZ, n_fft=1024, n_mels=64, fmin=50, fmax=14000, ref=1.0, amin=1e-10,
                               top_db=None, freeze_parameters=True)
    loud = clips[[0, 2, 3]]
    expected = log_mel(spectrogram(loud))[:, 0]
    spectrum = encoder.log_mel(loud)
    assert spectrum.shape == expected.shape == (3, 201, 64)
    both = 10 ** (spectrum / 10), 10 ** (expected / 10)   # The decibels of zero power are rounding errors.
    torch.testing.assert_close(*both, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(spectrum[0], expected[0], rtol=0, atol=1e-3)
    torch.testing.assert_close(encoder.filters, log_mel.melW, rtol=1e-4, atol=1e-7)


def naive_statistics(log_mel):
    """Compute 256 statistics of (frames, 64) in dB, one bin at a time."""
    means, spreads, peaks, changes = [], [], [], []
    for column in ((log_mel + 40) / 30).T.tolist():
        mean = sum(column) / len(column)
        means.append(mean)
        spreads.append((sum((x - mean) ** 2 for x in column) / len(column)) ** 0.5)
        peaks.append(max(column))
        changes.append(sum(abs(b - a) for a, b in pairwise(column)) / (len(column) - 1))
    return means + spreads + peaks + changes


def test_the_statistics_equal_naive_ones(encoder, clips):
    statistics = encoder(clips)
    assert statistics.shape == (4, encoder.dims) == (4, 256)
    for row, clip in zip(statistics, clips, strict=True):
        np.testing.assert_allclose(row, naive_statistics(encoder.log_mel(clip[None])[0]), atol=1e-4)


def test_silence_has_the_minimum_level_and_all_statistics_are_of_order_one(encoder, clips):
    statistics = encoder(clips)
    np.testing.assert_allclose(statistics[3], np.repeat([-2, 0, -2, 0], 64), atol=1e-6)
    assert torch.isfinite(statistics).all()
    assert statistics.abs().max() < 5


def test_a_tone_is_loudest_in_its_bin(encoder):
    t = np.arange(2 * RATE_HZ) / RATE_HZ
    tones = np.stack([0.5 * np.sin(2 * np.pi * hz * t) for hz in (200, 1000, 5000, 12000)]).astype(np.float32)
    bins = encoder(torch.from_numpy(tones))[:, :64].argmax(dim=1)
    centers = encoder.filters.argmax(dim=0) * RATE_HZ / 1024
    for hz, index in zip((200, 1000, 5000, 12000), bins, strict=True):
        assert abs(centers[index] - hz) < max(35, 0.05 * hz)


def test_half_the_amplitude_is_six_decibels_less(encoder, clips):
    difference = encoder(clips[:1])[0, :64] - encoder(clips[:1] / 2)[0, :64]
    np.testing.assert_allclose(difference, 20 * np.log10(2) / 30, atol=1e-3)
