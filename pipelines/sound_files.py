"""Files of sound alone: read in clips, turned into mono WAV."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.files import atomic_path
from models.encoders.base import num_clips

from .audio import read_samples
from .media import open_container, sound_stream

RATE_HZ = 32000   # of the sound that PANNs was trained on


def read_sound(path: str | os.PathLike, rate_hz: int = RATE_HZ) -> Iterator[np.ndarray]:
    """Streams a file's sound as mono, from its first sample.

    Yields:
        (n,) float32 in [-1, 1].

    Raises:
        InputError: no such file, not a sound or video file, or one without sound.
    """
    with open_container(path) as container:
        stream = sound_stream(container)
        if stream is None:
            raise InputError(f"{path}: holds no sound; name a file that does")
        zero_s = (stream.start_time or 0) * stream.time_base
    for samples in read_samples(Path(path), zero_s, Fraction(0), rate_hz, "mono"):
        yield np.clip(samples[0], -1, 1)


def sound_clips(path: str | os.PathLike, clip_len_s: float = 2, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A file's sound in clips.

    Args:
        path: see `read_sound`.
        clip_len_s: seconds in a clip; a rest of a quarter clip or less belongs to the last one.
        rate_hz: to convert to.

    Returns:
        (T, clip_len_s * rate_hz) float32, the last one filled up with zeros.

    Raises:
        InputError: as `read_sound`, or it holds no sample.
    """
    chunks = list(read_sound(path, rate_hz))
    samples = np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
    if not len(samples):
        raise InputError(f"{path}: holds no sample of sound; name a file that does")
    size = round(clip_len_s * rate_hz)
    clips = num_clips(Fraction(len(samples), rate_hz), clip_len_s)
    return np.pad(samples[:clips * size], (0, max(0, clips * size - len(samples)))).reshape(clips, size)


def write_wav(source: str | os.PathLike, target: str | os.PathLike, rate_hz: int = RATE_HZ) -> None:
    """Writes a file's sound as mono WAV of 16 bits, whole or not at all.

    Raises:
        InputError: as `read_sound`.
    """
    with atomic_path(target) as temporary, wave.open(str(temporary), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        for samples in read_sound(source, rate_hz):
            out.writeframes((samples * 32767).round().astype("<i2").tobytes())


def is_unified(path: str | os.PathLike, rate_hz: int = RATE_HZ) -> bool:
    """Whether a file is mono WAV of 16 bits at the rate already."""
    try:
        with wave.open(str(path), "rb") as file:
            return (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, rate_hz)
    except (wave.Error, EOFError, OSError):
        return False
