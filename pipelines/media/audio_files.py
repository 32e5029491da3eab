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
from common.temporal import num_clips

from .audio_reader import read_samples
from .container import open_container, sound_stream

RATE_HZ = 32000   # of the sound that PANNs was trained on
SUFFIXES = frozenset(   # of files that hold sound
    ".wav .w64 .rf64 .mp3 .mp2 .mpga .m4a .m4b .aac .flac .ogg .oga .opus .spx .wma .aif .aiff .aifc .au .snd .caf "
    ".ac3 .eac3 .dts .wv .ape .tta .amr .mka .mp4 .m4v .mkv .webm .mov .avi .ts .mpg .mpeg .3gp .flv .wmv".split())


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


def read_clips(path: str | os.PathLike, clip_len_s: float = 2, rate_hz: int = RATE_HZ) -> Iterator[np.ndarray]:
    """Streams a file's sound in clips; memory stays flat with its length.

    Args:
        path: see `read_sound`.
        clip_len_s: seconds in a clip; a rest of a quarter clip or less belongs to the last one.
        rate_hz: to convert to.

    Yields:
        (clip_len_s * rate_hz,) float32, the last one filled up with zeros.

    Raises:
        InputError: as `read_sound`, or it holds no sample.
    """
    size, read, given = round(clip_len_s * rate_hz), 0, 0   # samples in a clip, samples, clips
    held: list[np.ndarray] = []
    for chunk in read_sound(path, rate_hz):
        held.append(chunk)
        read += len(chunk)
        if read < (given + 1) * size:
            continue
        samples = np.concatenate(held)
        while len(samples) >= size and given < num_clips(Fraction(read, rate_hz), clip_len_s):
            yield samples[:size].copy()
            samples, given = samples[size:], given + 1
        held = [samples.copy()]
    if not read:
        raise InputError(f"{path}: holds no sample of sound; name a file that does")
    rest = np.concatenate(held)[:size]
    for _ in range(given, num_clips(Fraction(read, rate_hz), clip_len_s)):
        yield np.pad(rest, (0, size - len(rest)))
        rest = rest[:0]


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
