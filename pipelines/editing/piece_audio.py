"""Read the audio of pieces, exact to the sample and faded at the joins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from common.temporal import Interval
from pipelines.media.audio_reader import read_samples
from pipelines.media.container import open_container
from pipelines.media.probe import VideoInfo

FADE_S = Fraction(5, 1000)   # Length of the fades at the joins, which prevent clicks.


def read_piece_audio(info: VideoInfo, intervals: Sequence[Interval], rate_hz: int,
                     layout: str) -> Iterator[np.ndarray]:
    """Yield the audio of all pieces, (channels, n) float32; silence where the video has no audio.

    Each piece's number of samples is the difference of its rounded ends in the result, so that rounding errors do not
    accumulate.

    Args:
        info: properties of the video; nothing is yielded if it has no audio.
        intervals: the pieces.
        rate_hz: sampling rate of the result.
        layout: "mono" or "stereo".
    """
    if not info.has_audio:
        return
    piece_s = Fraction(0)
    with open_container(info.path) as opened:
        for start_s, end_s in intervals:
            n_samples = round((piece_s + end_s - start_s) * rate_hz) - round(piece_s * rate_hz)
            samples = read_samples(info.path, info.start_s, start_s, rate_hz, layout, opened)
            yield from _fade(samples, n_samples, rate_hz, 1 if layout == "mono" else 2)
            piece_s += end_s - start_s


def _fade(blocks: Iterator[np.ndarray], n_samples: int, rate_hz: int, channels: int) -> Iterator[np.ndarray]:
    """Yield exactly `n_samples` samples, faded in and out, and padded with silence."""
    n_fade, n_done = max(1, min(round(FADE_S * rate_hz), n_samples // 2)), 0
    for block in blocks:
        block = block[:, :n_samples - n_done]
        position = n_done + np.arange(block.shape[1])
        gain = np.minimum(1, np.minimum(position + 0.5, n_samples - position - 0.5) / n_fade)
        yield block * gain.astype(np.float32)
        n_done += block.shape[1]
        if n_done == n_samples:
            break
    while n_done < n_samples:
        n_zeros = min(n_samples - n_done, rate_hz)
        yield np.zeros((channels, n_zeros), np.float32)
        n_done += n_zeros
