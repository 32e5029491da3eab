"""Arguments that all cuts share: intervals, output file and chapters."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from common.errors import InputError
from common.temporal import Interval
from common.timecode import exact_s
from pipelines.media.probe import VideoInfo, probe

from .mp4_writer import Chapter

MIN_STILL_S = Fraction(1, 5)   # A frame that is shown for longer than this is a still, as in a slide show.


def as_video_info(path: str | os.PathLike | VideoInfo) -> VideoInfo:
    """Return the argument if it is a `VideoInfo`; probe the file if it is a path."""
    return path if isinstance(path, VideoInfo) else probe(Path(path).absolute())


def check_intervals(info: VideoInfo,
                    intervals_s: Sequence[tuple[float | Fraction, float | Fraction]]) -> list[Interval]:
    """Return the intervals as exact times, clipped to the end of the video.

    Raises:
        InputError: no interval, or one that is empty, not in ascending order, or entirely beyond the end.
    """
    intervals, last_end_s = [], Fraction(0)
    for start, end in intervals_s:
        if not 0 <= start < end:   # This is also true if either is NaN.
            raise InputError(info.path, f"cannot cut from {start} to {end} s",
                             "start a piece at 0 s or later, and end it after its start")
        start, end = exact_s(start), exact_s(min(end, info.duration_s))
        if start < last_end_s:
            raise InputError(info.path, f"cannot cut from {float(start)} s after {float(last_end_s)} s",
                             "give disjoint pieces in ascending order")
        if start >= info.duration_s:
            raise InputError(info.path, f"cannot cut from {float(start)} s, because the video ends at "
                             f"{float(info.duration_s):.3f} s", "start the piece before the end")
        intervals.append((start, end))
        last_end_s = end
    if not intervals:
        raise InputError(info.path, "no interval to cut", "give at least one")
    return intervals


def check_output(path: Path, out: Path) -> None:
    """Check that a cut of the video at `path` can be written to `out`.

    Raises:
        InputError: `out` is a folder, not an .mp4, or the video itself.
    """
    if out.is_dir():
        raise InputError(out, "is a folder", "specify a file in it")
    if out.suffix.lower() != ".mp4":
        raise InputError(out, "is not an .mp4 file", "choose a name that ends in .mp4")
    if out.exists() and out.samefile(path):
        raise InputError(out, "is the video itself", "choose another output file")


def piece_starts_s(intervals: Sequence[Interval]) -> list[Fraction]:
    """Return the start of each piece in the result, in seconds."""
    return list(itertools.accumulate((end_s - start_s for start_s, end_s in intervals[:-1]), initial=Fraction(0)))


def make_chapters(intervals: Sequence[Interval], titles: Sequence[str]) -> list[Chapter]:
    """Return one chapter per piece, in the time of the result; none without titles.

    Raises:
        ValueError: there are titles, but not one per piece.
    """
    if not titles:
        return []
    return [(piece_s, piece_s + end_s - start_s, title)
            for piece_s, (start_s, end_s), title in zip(piece_starts_s(intervals), intervals, titles, strict=True)]
