"""Reading and cutting videos: `probe`, `frames_at` and `cut` by one name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
from av.video.frame import VideoFrame

from common.build import suggest
from common.errors import InputError
from pipelines.editing.reencode import cut

from .container import (
    decode_packets,
    exact_s,
    first_picture,
    in_order,
    no_pictures,
    open_video,
    read_packets,
    to_rgb,
)
from .frame_skipping import FRESH_STARTS, spared
from .probe import VideoInfo, probe

__all__ = ["SAMPLINGS", "Reading", "VideoInfo", "check_sampling", "cut", "frames_at", "probe"]

SAMPLINGS = ("exact", "keyframes")


@dataclass
class Reading:
    """How pictures are to be read, and after it, how they were.

    Attributes:
        sampling: `exact`, the picture shown at each time, or `keyframes`, the key frame nearest to it.
        device: hardware that decodes; None for the processor, also once a device has failed.
        failure: why the device failed, if it did.
        farthest_s: how far from its time the farthest key frame was.
    """

    sampling: str = "exact"
    device: str | None = None
    failure: str | None = None
    farthest_s: Fraction = Fraction(0)


def check_sampling(sampling: str) -> str:
    """Gives it back; an InputError when there is no such sampling."""
    if sampling not in SAMPLINGS:
        raise InputError(f"sampling {sampling!r} does not exist; {suggest(sampling, SAMPLINGS)}")
    return sampling


def frames_at(path: str | os.PathLike, times_s: Iterable[float | Fraction], *, short_side_px: int | None = None,
              reading: Reading | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Gives the pictures shown at given times, in one streamed pass.

    Of H.264 and HEVC only the pictures asked for, and those that they are made from, are decoded.
    Where a device fails, the processor takes over.

    Args:
        path: of a video.
        times_s: ascending, seconds from the first picture's time; the picture shown is the last one that
            began by then, before the first the first, after the end the last.
        short_side_px: the shorter side is scaled to it; None keeps the displayed size.
        reading: how; None for exact pictures and no device.

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
    reading = reading or Reading()
    check_sampling(reading.sampling)
    zero_s, display = first_picture(path)
    done = 0
    while True:
        try:
            for first, last, frame in _chosen(path, times[done:], zero_s, reading):
                picture = to_rgb(frame, display, short_side_px)
                for _ in range(first, last):
                    yield done, picture
                    done += 1
            return
        except (InputError, av.error.FFmpegError, RuntimeError) as err:
            if reading.device is not None:
                reading.failure, reading.device = f"{reading.device} failed ({err})", None
            elif reading.sampling == "keyframes" and not done:   # some streams never have one
                reading.sampling = "exact"
            else:
                raise


def _chosen(path: str | os.PathLike, times: list[Fraction], zero_s: Fraction,
            reading: Reading) -> Iterator[tuple[int, int, VideoFrame]]:
    """The frames that times get: the times are [first, last), counted from `zero_s`."""
    with open_video(path, reading.device) as (_, stream):
        packets = read_packets(stream.container, stream)
        if reading.sampling == "keyframes":
            stream.codec_context.skip_frame = "NONKEY"
            packets = (packet for packet in packets if packet.is_keyframe or not packet.size)
        elif stream.codec_context.codec.canonical_name in FRESH_STARTS:
            packets = spared(packets, stream, [(zero_s + t) // stream.time_base for t in times])
        frames = in_order(decode_packets(packets, stream, strict=reading.device is not None), stream)
        shown_s, shown = next(frames, (None, None))
        if shown is None:
            raise no_pictures(path)
        begins = 0
        for time_s, frame in frames:
            if begins == len(times):
                return
            ends = _until(times, begins, shown_s - zero_s, time_s - zero_s, reading)
            if ends > begins:
                yield begins, ends, shown
            begins, shown_s, shown = ends, time_s, frame
        if begins < len(times):
            _until(times, begins, shown_s - zero_s, None, reading)
            yield begins, len(times), shown


def _until(times: list[Fraction], begins: int, shown_s: Fraction, next_s: Fraction | None, reading: Reading) -> int:
    """The first of the times from `begins` on that gets the next frame, not the one shown."""
    ends, by_distance = begins, reading.sampling == "keyframes"
    while ends < len(times) and (next_s is None or times[ends] < next_s):
        if by_distance:
            if next_s is not None and 2 * times[ends] > shown_s + next_s:
                break
            reading.farthest_s = max(reading.farthest_s, abs(times[ends] - shown_s))
        ends += 1
    return ends
