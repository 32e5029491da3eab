"""The default audio encoder: statistics of the log-mel spectrogram of PANNs, without weights."""

from __future__ import annotations

import math

import numpy as np
import torch
from nncore.nn import MODELS
from torch import Tensor

from .base import AudioEncoder, check_clip_options

# The front-end of PANNs; lengths in samples at 32 kHz.
WINDOW, HOP = 1024, 320
MELS, LOW_HZ, HIGH_HZ = 64, 50, 14000
MIN_POWER = 1e-10                   # Equals -100 dB.
CENTER_DB, SPREAD_DB = -40.0, 30.0   # Map typical levels to the order of 1.
# Slaney's mel scale is linear below 1000 Hz and logarithmic above.
LINEAR_UP_TO_HZ, HZ_PER_MEL = 1000.0, 200 / 3
LOG_STEP = math.log(6.4) / 27


@MODELS.register()
class LogMelStatistics(AudioEncoder):
    """Mean, standard deviation, maximum and mean absolute change of 64 log-mel bins per clip, in this order.

    The spectrogram is that of PANNs (Kong et al., TASLP 2020): 32 kHz mono, a Hann window of 1024 samples every 320
    samples, and 64 bins of Slaney's mel scale from 50 to 14,000 Hz, in decibels. 40 is added to the decibels, and they
    are divided by 30. Silence is -100 dB throughout, which gives the statistics -2, 0, -2, 0.

    Args:
        clip_len_s: see `AudioEncoder`.
    """

    name = "logmel"
    dims = 4 * MELS

    def __init__(self, clip_len_s: float = 2):
        super().__init__()
        self.clip_len_s, _ = check_clip_options(clip_len_s)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.register_buffer("filters", torch.from_numpy(mel_filters(self.rate_hz)), persistent=False)

    def log_mel(self, clips: Tensor) -> Tensor:
        """Return the log-mel spectrogram of clips in dB: (N, samples) -> (N, frames, 64)."""
        spectrum = torch.stft(clips, WINDOW, HOP, window=self.window, center=True, pad_mode="reflect",
                              return_complex=True)                      # (N, 513, frames)
        power = spectrum.real**2 + spectrum.imag**2
        return 10 * torch.log10((power.transpose(1, 2) @ self.filters).clamp(min=MIN_POWER))

    def forward(self, clips: Tensor) -> Tensor:
        """See `AudioEncoder.forward`."""
        level = (self.log_mel(clips) - CENTER_DB) / SPREAD_DB           # (N, frames, 64)
        change = (level[:, 1:] - level[:, :-1]).abs().mean(dim=1)
        return torch.cat([level.mean(1), level.std(1, correction=0), level.amax(1), change], dim=-1)


def mel_filters(rate_hz: int) -> np.ndarray:
    """Return (513, 64) triangular filters of equal area on Slaney's mel scale (Auditory Toolbox, 1998), as in PANNs."""
    edges = _mel_to_hz(np.linspace(_hz_to_mel(LOW_HZ), _hz_to_mel(HIGH_HZ), MELS + 2))
    bins = np.linspace(0, rate_hz / 2, WINDOW // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.clip(np.minimum(rising, falling), 0, None)
    return (filters * 2 / (edges[2:] - edges[:-2])).astype(np.float32)


def _hz_to_mel(hz: float) -> float:
    if hz < LINEAR_UP_TO_HZ:
        return hz / HZ_PER_MEL
    return LINEAR_UP_TO_HZ / HZ_PER_MEL + math.log(hz / LINEAR_UP_TO_HZ) / LOG_STEP


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    linear_up_to = LINEAR_UP_TO_HZ / HZ_PER_MEL
    return np.where(mel < linear_up_to, mel * HZ_PER_MEL, LINEAR_UP_TO_HZ * np.exp(LOG_STEP * (mel - linear_up_to)))
