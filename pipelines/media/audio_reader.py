"""Decoding of a video's audio, synchronized with its frames."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer

from .container import audio_stream, decode_packets, open_container, read_errors, read_packets, seek
from .frames import probe_first_frame

JUMP_S = Fraction(3, 100)   # A time stamp that deviates more than this is a gap or an overlap, not a rounding error.
SEEK_EARLIER_S = (1, 10, 60)   # Seconds before the requested time at which successive seeks aim.
WARM_UP_S = Fraction(1, 10)   # Decoders need some packets before their output is correct.


def read_audio(path: str | os.PathLike, *, rate_hz: int = 32000) -> Iterator[np.ndarray]:
    """Stream a video's audio as mono, from the time of its first frame on.

    Yields:
        (n,) float32 in [-1, 1]. Audio before the first frame is dropped, gaps are zeros. Yields nothing for a file
        without audio.

    Raises:
        InputError: the file is not a video, or none of its frames can be decoded.
    """
    zero_s, _ = probe_first_frame(path)
    if has_audio(path):
        yield from _mono(path, zero_s, rate_hz)


def has_audio(path: str | os.PathLike) -> bool:
    """Return True if there is an audio stream that can be decoded.

    Raises:
        InputError: as `open_container`.
    """
    with open_container(path) as container:
        return audio_stream(container) is not None


def _mono(path: str | os.PathLike, zero_s: Fraction, rate_hz: int) -> Iterator[np.ndarray]:
    for samples in read_samples(Path(path), zero_s, Fraction(0), rate_hz, "mono"):
        yield np.clip(samples[0], -1, 1)


def audio_clips(path: str | os.PathLike, n_clips: int, clip_len_s: float = 2, *,
                rate_hz: int = 32000, zero_s: Fraction | None = None) -> Iterator[np.ndarray]:
    """Stream a video's audio in clips; clip i begins at `i * clip_len_s`.

    Args:
        path: video file.
        n_clips: number of clips.
        clip_len_s: length of a clip in seconds.
        rate_hz: sampling rate to convert to.
        zero_s: time stamp of the first frame; None reads it from the file.

    Yields:
        Exactly `n_clips` arrays (round(clip_len_s * rate_hz),) float32, padded with zeros. Yields nothing for a file
        without audio.

    Raises:
        InputError: as `read_audio`.
    """
    if not has_audio(path):
        return
    zero_s = probe_first_frame(path)[0] if zero_s is None else zero_s
    length = Fraction(clip_len_s) * rate_hz
    chunks, held = _mono(path, zero_s, rate_hz), np.zeros(0, np.float32)
    for i in range(n_clips):
        size, step = round(length), round((i + 1) * length) - round(i * length)
        parts, n_samples = [held], len(held)
        while n_samples < max(size, step) and (chunk := next(chunks, None)) is not None:
            parts.append(chunk)
            n_samples += len(chunk)
        joined = np.concatenate(parts)
        held = joined[step:]
        yield np.pad(joined[:size], (0, max(0, size - len(joined))))


def read_samples(path: Path, zero_s: Fraction, from_s: Fraction, rate_hz: int, layout: str,
                 opened: InputContainer | None = None) -> Iterator[np.ndarray]:
    """Stream audio from a time on, accurate to the sample.

    Args:
        path: a file with audio.
        zero_s: time stamp of the first video frame, from which times count.
        from_s: time of the first sample.
        rate_hz: sampling rate to convert to.
        layout: `mono` or `stereo`.
        opened: result of `open_container`, which saves opening a long file for every call; a previous reading of it
            must have ended. None opens the file.

    Yields:
        (channels, n) float32 without interruption; gaps in the recording are zeros. Ends with the recording.

    Raises:
        InputError: as `open_container`.
    """
    done = 0   # Samples yielded so far.
    frames = _frames_from(path, zero_s, from_s, opened)
    for position, samples in _resample_at_positions(frames, zero_s + from_s, rate_hz, layout):
        while position > done:
            n_zeros = min(position - done, rate_hz)
            yield np.zeros((len(samples), n_zeros), np.float32)
            done += n_zeros
        unread = samples[:, done - position:]
        if unread.shape[1]:
            yield np.nan_to_num(unread)
            done += unread.shape[1]


def _frames_from(path: Path, zero_s: Fraction, from_s: Fraction,
                 opened: InputContainer | None = None) -> Iterator[AudioFrame]:
    """Yield decoded frames, from one that is early enough to contain all audio after `from_s`."""
    latest_s = zero_s + from_s - WARM_UP_S
    with nullcontext(opened) if opened is not None else open_container(path) as container, read_errors(path):
        stream = audio_stream(container)
        for earlier_s in SEEK_EARLIER_S:
            if from_s <= earlier_s or not seek(container, stream, zero_s + from_s - earlier_s):
                break
            frames = decode_packets(read_packets(container, stream), stream)
            first = next(frames, None)
            if first is not None and first.pts is not None and first.pts * first.time_base <= latest_s:
                yield first
                yield from frames
                return
    with open_container(path) as container:
        stream = audio_stream(container)
        yield from decode_packets(read_packets(container, stream), stream)


def _resample_at_positions(frames: Iterable[AudioFrame], zero_s: Fraction, rate_hz: int,
                           layout: str) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the position of the first sample, counted from the time stamp `zero_s`, and samples (channels, n)."""
    position, expected_s = 0, None
    kind, resampler = None, _create_resampler(rate_hz, layout)
    for frame in frames:
        start_s = expected_s or Fraction(0) if frame.pts is None else frame.pts * frame.time_base
        jumps = expected_s is None or abs(start_s - expected_s) > JUMP_S
        if jumps or kind != (frame.format.name, frame.layout.name, frame.sample_rate):
            for samples in _resample(resampler, None):
                yield position, samples
                position += samples.shape[1]
            resampler = _create_resampler(rate_hz, layout)
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if jumps:
                position = round((start_s - zero_s) * rate_hz)
        begin_s = start_s if jumps or expected_s is None else expected_s
        expected_s = begin_s + Fraction(frame.samples, frame.sample_rate)
        for samples in _resample(resampler, frame):
            yield position, samples
            position += samples.shape[1]
    for samples in _resample(resampler, None):
        yield position, samples
        position += samples.shape[1]


def _create_resampler(rate_hz: int, layout: str) -> AudioResampler:
    """Return a resampler to planar float32; it mixes channels with weights that sum to at most 1, to avoid clipping."""
    return AudioResampler("fltp", layout, rate_hz, options=dict(rematrix_maxval="1"))


def _resample(resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[np.ndarray]:
    """Yield samples (channels, n) for a frame; None flushes the resampler."""
    yield from (out.to_ndarray() for out in resampler.resample(frame))
