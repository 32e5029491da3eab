"""Reading and cutting videos: `probe`, `frames_at` and `cut` by one name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise

import numpy as np

from .cut import cut
from .media import decode_packets, display_of, exact_s, in_order, no_pictures, open_video, read_packets, to_rgb
from .probe import VideoInfo, probe

__all__ = ["VideoInfo", "cut", "frames_at", "probe"]


def frames_at(path: str | os.PathLike, times_s: Iterable[float | Fraction], *,
              short_side_px: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Gives the pictures shown at given times, in one streamed pass.

    Args:
        path: of a video.
        times_s: ascending, seconds from the first picture's time; the picture shown is the last one that
            began by then, before the first the first, after the end the last.
        short_side_px: the shorter side is scaled to it; None keeps the displayed size.

    Yields:
        Index into `times_s` and the picture (H, W, 3) uint8 RGB, turned as displayed, all of the size
        of the first. Only the pictures asked for are converted, and one is held at a time; times that
        fall into the same picture share its array.

    Raises:
        InputError: as `open_video`, or none of its pictures can be decoded.
    """
    times = [exact_s(t) for t in times_s]
    if any(b < a for a, b in pairwise(times)):
        raise ValueError("times_s must ascend")
    with open_video(path) as (container, stream):
        frames = in_order(decode_packets(read_packets(container, stream), stream), stream)
        zero_s, shown = next(frames, (None, None))
        if shown is None:
            raise no_pictures(path)
        display, k = display_of(shown, stream), 0
        for time_s, frame in frames:
            begins = k
            while k < len(times) and times[k] < time_s - zero_s:
                k += 1
            if k > begins:
                picture = to_rgb(shown, display, short_side_px)
                yield from ((index, picture) for index in range(begins, k))
            if k == len(times):
                return
            shown = frame
        if k < len(times):
            picture = to_rgb(shown, display, short_side_px)
            yield from ((index, picture) for index in range(k, len(times)))
