"""Reading sound, aligned with the pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer

from .container import decode_packets, first_picture, open_container, read_packets, reading, seek, sound_stream

JUMP_S = Fraction(3, 100)      # time stamps off by more than this are a gap or an overlap, not rounding
EARLIER_S = (1, 10, 60)        # before the first sample that counts; a seek that comes too late is made anew
WARM_UP_S = Fraction(1, 10)    # decoders need some packets before it


def read_audio(path: str | os.PathLike, *, rate_hz: int = 32000) -> Iterator[np.ndarray]:
    """Streams a video's sound as mono, from the time of its first picture.

    Yields:
        (n,) float32 in [-1, 1]; sound before the first picture is left out, gaps are zeros. Nothing
        for a file without sound.

    Raises:
        InputError: not a video, or none of its pictures can be decoded.
    """
    zero_s, _ = first_picture(path)
    if has_sound(path):
        yield from _mono(path, zero_s, rate_hz)


def has_sound(path: str | os.PathLike) -> bool:
    """Whether there is a stream of sound that can be decoded.

    Raises:
        InputError: as `open_container`.
    """
    with open_container(path) as container:
        return sound_stream(container) is not None


def _mono(path: str | os.PathLike, zero_s: Fraction, rate_hz: int) -> Iterator[np.ndarray]:
    for samples in read_samples(Path(path), zero_s, Fraction(0), rate_hz, "mono"):
        yield np.clip(samples[0], -1, 1)


def audio_clips(path: str | os.PathLike, n_clips: int, clip_len_s: float = 2, *,
                rate_hz: int = 32000, zero_s: Fraction | None = None) -> Iterator[np.ndarray]:
    """A video's sound, clip by clip: clip i begins at `i * clip_len_s`.

    Args:
        zero_s: the first picture's own time stamp, if it is known.

    Yields:
        Exactly `n_clips` arrays (round(clip_len_s * rate_hz),) float32, filled up with zeros; nothing
        for a file without sound.

    Raises:
        InputError: as `read_audio`.
    """
    if not has_sound(path):
        return
    zero_s = first_picture(path)[0] if zero_s is None else zero_s
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
    """Streams sound from a time on, exact to the sample.

    Args:
        path: a file with sound.
        zero_s: the first picture's own time stamp, which is time 0.
        from_s: where to begin, counted from there.
        rate_hz: sampling rate to convert to.
        layout: `mono` or `stereo`.
        opened: of `open_container`, as for `pipelines.media.container.frames_from`.

    Yields:
        (channels, n) float32 without a break; where nothing was recorded, zeros. It ends where the
        recording ends.

    Raises:
        InputError: as `open_container`.
    """
    done = 0   # samples given so far
    for position, samples in _placed(_frames_from(path, zero_s, from_s, opened), zero_s + from_s, rate_hz, layout):
        while position > done:
            n_zeros = min(position - done, rate_hz)
            yield np.zeros((len(samples), n_zeros), np.float32)
            done += n_zeros
        fresh = samples[:, done - position:]
        if fresh.shape[1]:
            yield np.nan_to_num(fresh)
            done += fresh.shape[1]


def _frames_from(path: Path, zero_s: Fraction, from_s: Fraction,
                 opened: InputContainer | None = None) -> Iterator[AudioFrame]:
    """Decoded frames, from one early enough to have all the sound after `from_s`, if need be the first."""
    latest_s = zero_s + from_s - WARM_UP_S
    with open_container(path) if opened is None else reading(path) as just_opened:
        container = opened or just_opened
        stream = sound_stream(container)
        for earlier_s in EARLIER_S:
            if from_s <= earlier_s or not seek(container, stream, zero_s + from_s - earlier_s):
                break
            frames = decode_packets(read_packets(container, stream), stream)
            first = next(frames, None)
            if first is not None and first.pts is not None and first.pts * first.time_base <= latest_s:
                yield first
                yield from frames
                return
    with open_container(path) as container:
        stream = sound_stream(container)
        yield from decode_packets(read_packets(container, stream), stream)


def _placed(frames: Iterable[AudioFrame], zero_s: Fraction, rate_hz: int,
            layout: str) -> Iterator[tuple[int, np.ndarray]]:
    """Resampled sound (channels, n) and the sample, counted from the time stamp `zero_s`, at which it begins."""
    position, expected_s = 0, None
    kind, resampler = None, _resampler(rate_hz, layout)
    for frame in frames:
        start_s = expected_s or Fraction(0) if frame.pts is None else frame.pts * frame.time_base
        jumps = expected_s is None or abs(start_s - expected_s) > JUMP_S
        if jumps or kind != (frame.format.name, frame.layout.name, frame.sample_rate):
            for samples in _resampled(resampler, None):
                yield position, samples
                position += samples.shape[1]
            resampler = _resampler(rate_hz, layout)
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if jumps:
                position, expected_s = round((start_s - zero_s) * rate_hz), start_s
        expected_s += Fraction(frame.samples, frame.sample_rate)
        for samples in _resampled(resampler, frame):
            yield position, samples
            position += samples.shape[1]
    for samples in _resampled(resampler, None):
        yield position, samples
        position += samples.shape[1]


def _resampler(rate_hz: int, layout: str) -> AudioResampler:
    """To float; channels are mixed by weights that sum to 1 at most, so that nothing is clipped."""
    return AudioResampler("fltp", layout, rate_hz, options=dict(rematrix_maxval="1"))


def _resampled(resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[np.ndarray]:
    """What comes out, (channels, n), when a frame goes in; None for what is left inside."""
    yield from (out.to_ndarray() for out in resampler.resample(frame))
