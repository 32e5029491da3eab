"""Cutting: pieces of a video joined into a shorter one, exact to the frame and to the sample."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from math import ceil
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import PictureType, VideoFrame
from tqdm import tqdm

from common.errors import InputError
from common.files import atomic_path

from .audio import read_samples
from .media import Display, first_picture, frames_from, no_pictures, open_container, open_video, sound_stream, to_yuv420p

FADE_S = Fraction(5, 1000)         # of the sound at joins, against clicks
LONG_STANDING_S = Fraction(1, 5)   # a picture without a successor for so long is a still
AAC_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
AAC_BITS_PER_S = dict(mono=128_000, stereo=192_000)
H264 = dict(preset="veryfast", crf="20")
TICKS = (10_000, 1_000_000)        # a second in the result has at least and at most so many
KEPT_METADATA = ("title", "artist", "date", "creation_time", "copyright", "comment", "description")

Interval = tuple[Fraction, Fraction]


def cut(path: str | os.PathLike, intervals_s: Sequence[tuple[float | Fraction, float | Fraction]],
        out: str | os.PathLike, *, progress: bool | Callable[[float], None] | None = None) -> None:
    """Joins pieces of a video into an mp4 (H.264 and AAC), encoded anew.

    The result has the pictures whose time lies in an interval, at their own distances, and the sound
    of the intervals to the sample, faded over 5 ms at the joins. A piece begins with its first picture
    at once. In sparse videos, such as slides, one that has been standing when a piece begins, and
    goes on to for more than a fifth of a second, is shown too. Pictures are turned and shaped as
    displayed; an odd line or column is left out.

    Args:
        path: of a video.
        intervals_s: [start, end) in seconds from the first picture, ascending and apart; what lies
            beyond the end of the video is left out.
        out: the mp4, which appears whole or not at all.
        progress: True draws a bar on stderr; a function is called with the share done, from 0 to 1.

    Raises:
        InputError: `path` is no readable video; no interval, or one that is empty, out of order or
            wholly beyond the end; `out` is no .mp4, the video itself, or cannot be written.
    """
    path, out = Path(path).absolute(), Path(out).absolute()
    intervals = _checked(path, intervals_s)
    zero_s, display = first_picture(path)
    _check_output(path, out)
    with atomic_path(out) as temporary, _reporting(progress) as report:
        with _Mp4(temporary, out, _metadata(path)) as mp4:
            _join(mp4, path, zero_s, display, intervals, report)
        report(1.0)


def _checked(path: Path, intervals_s: Sequence[tuple[float | Fraction, float | Fraction]]) -> list[Interval]:
    try:
        intervals = [(Fraction(start), Fraction(end)) for start, end in intervals_s]
    except (ValueError, OverflowError, TypeError) as err:
        raise InputError(f"{path}: an interval to cut is not a pair of times: {intervals_s}") from err
    if not intervals:
        raise InputError(f"{path}: nothing to cut, no interval is given")
    earlier = Fraction(0)
    for start, end in intervals:
        if not earlier <= start < end:
            raise InputError(f"{path}: cannot cut [{float(start)}, {float(end)}) s; intervals must begin at "
                             f"{float(earlier)} s or later, ascend, and end after they begin")
        earlier = end
    return intervals


def _check_output(path: Path, out: Path) -> None:
    if out.suffix.lower() != ".mp4":
        raise InputError(f"{out}: the cut is an mp4; name it .mp4")
    if out.is_dir():
        raise InputError(f"{out}: a folder; name a file in it")
    if out.exists() and out.samefile(path):
        raise InputError(f"{out}: is the video itself; name another output")


def _metadata(path: Path) -> dict[str, str]:
    with open_container(path) as container:
        return {key: value for key, value in container.metadata.items() if key in KEPT_METADATA}


@contextmanager
def _reporting(progress: bool | Callable[[float], None] | None) -> Iterator[Callable[[float], None]]:
    if callable(progress):
        yield progress
        return
    with tqdm(total=100, desc="cutting", unit="%", file=sys.stderr, disable=not progress) as bar:
        yield lambda share: bar.update(int(100 * share) - bar.n)


def _join(mp4: _Mp4, path: Path, zero_s: Fraction, display: Display, intervals: list[Interval],
          report: Callable[[float], None]) -> None:
    """Writes pictures and sound side by side, so that neither waits in memory."""
    with open_video(path) as (container, stream):
        sound = sound_stream(container)
        duration_s = None
