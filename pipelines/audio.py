"""Reading sound, aligned with the pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from av.audio.resampler import AudioResampler
from av.container import InputContainer

from .video import decode_frames, open_container, probe

JUMP_S = Fraction(1, 50)   # time stamps off by more than this are a gap or an overlap, not rounding
SEEK_EARLIER_S = 1         # decoders need some packets before the first one that counts


def read_audio(path: str | os.PathLike, *, rate_hz: int = 32000) -> Iterator[np.ndarray]:
    """Streams a video's sound as mono, from the time of its first picture.

    Yields:
        (n,) float32 in [-1, 1]; sound before the first picture is left out, gaps are zeros. Nothing
        for a file without sound.

    Raises:
        InputError: as `pipelines.video.probe`.
    """
    info = probe(path)
    if info.has_audio:
        for chunk in read_samples(path, info.start_s, Fraction(0), rate_hz, "mono"):
            yield chunk[0]


def audio_clips(path: str | os.PathLike, n_clips: int, clip_len_s: float = 2, *,
                rate_hz: int = 32000) -> Iterator[np.ndarray]:
    """A video's sound, clip by clip.

    Yields:
        Exactly `n_clips` arrays (clip_len_s * rate_hz,) float32, filled up with zeros; nothing for a
        file without sound.
    """
    size = round(clip_len_s * rate_hz)
    chunks = read_audio(path, rate_hz=rate_hz)
    held = next(chunks, None)
    if held is None:
        if probe(path).has_audio:   # a stream, but nothing in it after the first picture
            yield from (np.zeros(size, np.float32) for _ in range(n_clips))
        return
    for _ in range(n_clips):
        parts = [held]
        length = len(held)
        while length < size:
            chunk = next(chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            length += len(chunk)
        joined = np.concatenate(parts)
        held = joined[size:]
        yield np.pad(joined[:size], (0, max(0, size - len(joined))))


def read_samples(path: str | os.PathLike, video_start_s: Fraction, from_s: Fraction, rate_hz: int,
                 layout: str) -> Iterator[np.ndarray]:
    """Streams sound from a time on, exact to the sample.

    Args:
        path: a file with sound.
        video_start_s: the first picture's own time stamp, which is time 0.
        from_s: where to begin, counted from there.
        rate_hz: sampling rate to convert to.
        layout: `mono` or `stereo`.

    Yields:
        (channels, n) float32; where nothing was recorded, zeros.
    """
    done = 0   # samples given so far
    with open_container(path) as container:
        stream = container.streams.audio[0]
        if from_s > SEEK_EARLIER_S:
            target_s = from_s + video_start_s - SEEK_EARLIER_S
            container.seek(int(target_s / stream.time_base), stream=stream, backward=True)
        for position, samples in _placed(container, video_start_s + from_s, rate_hz, layout):
            if position > done:
                yield np.zeros((len(samples), position - done), np.float32)
                done = position
            fresh = samples[:, max(0, done - position):]
            if fresh.shape[1]:
                yield fresh
                done += fresh.shape[1]


def _placed(container: InputContainer, zero_s: Fraction, rate_hz: int,
            layout: str) -> Iterator[tuple[int, np.ndarray]]:
    """Resampled sound (channels, n) and the sample, counted from the time stamp `zero_s`, at which it begins."""
    position, expected_s, resampler = 0, None, None
    for frame in decode_frames(container, container.streams.audio[0]):
        start_s = frame.pts * frame.time_base
        if expected_s is None or abs(start_s - expected_s) > JUMP_S:
            if resampler is not None:
                for out in resampler.resample(None):
                    yield position, out.to_ndarray()
            position, resampler = round((start_s - zero_s) * rate_hz), AudioResampler("fltp", layout, rate_hz)
            expected_s = start_s
        expected_s += Fraction(frame.samples, frame.sample_rate)
        for out in resampler.resample(frame):
            yield position, out.to_ndarray()
            position += out.samples
    if resampler is not None:
        for out in resampler.resample(None):
            yield position, out.to_ndarray()
            position += out.samples
