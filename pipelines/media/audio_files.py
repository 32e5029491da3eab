"""Audio files: reading in clips, and conversion to mono WAV."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.files import atomic_path
from common.temporal import num_clips

from .audio_reader import read_samples
from .container import audio_stream, open_container

RATE_HZ = 32000   # The sampling rate that PANNs was trained on.


def read_audio_file(path: str | os.PathLike, rate_hz: int = RATE_HZ) -> Iterator[np.ndarray]:
    """Stream a file's audio as mono, from its first sample on.

    Yields:
        (n,) float32 in [-1, 1].

    Raises:
        InputError: the file is missing, not an audio or video file, or has no audio stream.
    """
    with open_container(path) as container:
        stream = audio_stream(container)
        if stream is None:
            raise InputError(path, "contains no audio stream", "specify an audio file")
        zero_s = (stream.start_time or 0) * stream.time_base
    for samples in read_samples(Path(path), zero_s, Fraction(0), rate_hz, "mono"):
        yield np.clip(samples[0], -1, 1)


def read_clips(path: str | os.PathLike, clip_len_s: float = 2, rate_hz: int = RATE_HZ) -> Iterator[np.ndarray]:
    """Stream a file's audio in clips; memory does not grow with the file's length.

    Args:
        path: see `read_audio_file`.
        clip_len_s: length of a clip in seconds; a remainder of a quarter clip or less is joined to the last one.
        rate_hz: sampling rate to convert to.

    Yields:
        (clip_len_s * rate_hz,) float32; the last one is padded with zeros.

    Raises:
        InputError: as `read_audio_file`, or the file contains no sample.
    """
    size, n_read, n_clips = round(clip_len_s * rate_hz), 0, 0   # Samples per clip, samples read, clips yielded.
    held: list[np.ndarray] = []
    for chunk in read_audio_file(path, rate_hz):
        held.append(chunk)
        n_read += len(chunk)
        if n_read < (n_clips + 1) * size:
            continue
        samples = np.concatenate(held)
        while len(samples) >= size and n_clips < num_clips(Fraction(n_read, rate_hz), clip_len_s):
            yield samples[:size].copy()
            samples, n_clips = samples[size:], n_clips + 1
        held = [samples.copy()]
    if not n_read:
        raise InputError(path, "its audio stream is empty", "specify another audio file")
    rest = np.concatenate(held)[:size]
    for _ in range(n_clips, num_clips(Fraction(n_read, rate_hz), clip_len_s)):
        yield np.pad(rest, (0, size - len(rest)))
        rest = rest[:0]


def write_wav(source: str | os.PathLike, target: str | os.PathLike, rate_hz: int = RATE_HZ) -> None:
    """Write a file's audio as 16-bit mono WAV, atomically.

    Raises:
        InputError: as `read_audio_file`.
    """
    with atomic_path(target) as temporary, wave.open(str(temporary), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        for samples in read_audio_file(source, rate_hz):
            out.writeframes((samples * 32767).round().astype("<i2").tobytes())


def is_mono_wav(path: str | os.PathLike, rate_hz: int = RATE_HZ) -> bool:
    """Return True if a file is a 16-bit mono WAV of the given sampling rate."""
    try:
        with wave.open(str(path), "rb") as file:
            return (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, rate_hz)
    except (wave.Error, EOFError, OSError):
        return False
