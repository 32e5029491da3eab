"""Reading of the frames at given times."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
from av.video.frame import VideoFrame

from common.build import suggest
from common.errors import InputError
from common.timecode import exact_s

from .container import decode_packets, open_video, read_packets
from .display import to_rgb
from .frame_skipping import REFRESH_TYPES, skip_unneeded
from .frames import in_presentation_order, no_frames_error, probe_first_frame

SAMPLINGS = ("exact", "keyframes")


@dataclass(frozen=True)
class DecodeSettings:
    """A request how to read frames.

    Attributes:
        sampling: `exact` for the frame shown at each time, or `keyframes` for the key frame nearest to it.
        device: hardware device that decodes, as `find_device` returns it; None for the CPU.
    """

    sampling: str = "exact"
    device: str | None = None


@dataclass
class DecodeReport:
    """The outcome of a reading, updated while frames are read.

    Attributes:
        sampling: the sampling that was used; `exact` also for a video without key frames.
        device: the hardware device that decoded; None for the CPU.
        device_error: the reason why the requested device failed and the CPU took over; None if it did not fail.
        max_frame_offset_s: greatest distance between a requested time and the key frame used for it; 0 for `exact`.
    """

    sampling: str = "exact"
    device: str | None = None
    device_error: str | None = None
    max_frame_offset_s: Fraction = Fraction(0)

    @property
    def decoder(self) -> str:
        """The decoder: the device, or `software` with the reason if a device failed."""
        return self.device or ("software" if self.device_error is None else f"software, since {self.device_error}")


def check_sampling(sampling: str) -> str:
    """Return `sampling`; raise InputError if it is unknown."""
    if sampling not in SAMPLINGS:
        raise InputError(None, f"sampling {sampling!r} does not exist", suggest(sampling, SAMPLINGS))
    return sampling


def frames_at(path: str | os.PathLike, times_s: Iterable[float | Fraction], *, short_side_px: int | None = None,
              settings: DecodeSettings | None = None,
              report: DecodeReport | None = None) -> Generator[tuple[int, np.ndarray], None, None]:
    """Yield the frames shown at given times, in one streaming pass.

    Of H.264 and HEVC, only the requested frames and the frames that they depend on are decoded. If a hardware device
    fails, the CPU takes over.

    Args:
        path: video file.
        times_s: ascending times in seconds since the first frame. The frame shown at a time is the last one that
            begins at or before it; the first frame for times before the video, the last one for times after it.
        short_side_px: length to which the shorter side is scaled; None keeps the displayed size.
        settings: decode settings; None for exact frames decoded by the CPU.
        report: filled in with what happened; None to discard it.

    Yields:
        Index into `times_s`, and the frame (H, W, 3) uint8 RGB in displayed orientation. All frames have the size of
        the first one. Only requested frames are converted, and only one is held at a time; times with the same frame
        share its array.

    Raises:
        InputError: as `open_video`, or no frame can be decoded.
    """
    times = [exact_s(t) for t in times_s]
    if any(b < a for a, b in pairwise(times)):
        raise ValueError("times_s must ascend")
    settings, report = settings or DecodeSettings(), report or DecodeReport()
    check_sampling(settings.sampling)
    report.sampling, report.device = settings.sampling, settings.device
    zero_s, display = probe_first_frame(path)
    done = 0
    while True:
        try:
            for first, last, frame in _select_frames(path, times[done:], zero_s, settings, report):
                pixels = to_rgb(frame, display, short_side_px)
                for _ in range(first, last):
                    yield done, pixels
                    done += 1
            return
        except (InputError, av.error.FFmpegError, RuntimeError) as err:
            if settings.device is not None:
                report.device_error, report.device = f"{settings.device} failed ({err})", None
                settings = replace(settings, device=None)
            elif settings.sampling == "keyframes" and not done:   # Some streams have no key frame at all.
                report.sampling = "exact"
                settings = replace(settings, sampling="exact")
            else:
                raise


def _select_frames(path: str | os.PathLike, times: list[Fraction], zero_s: Fraction, settings: DecodeSettings,
                   report: DecodeReport) -> Iterator[tuple[int, int, VideoFrame]]:
    """Yield (first, last, frame) such that `frame` is the one for `times[first:last]`; times count from `zero_s`."""
    with open_video(path, settings.device) as (container, stream):
        packets = read_packets(container, stream)
        if settings.sampling == "keyframes":
            stream.codec_context.skip_frame = "NONKEY"
            packets = (packet for packet in packets if packet.is_keyframe or not packet.size)
        elif stream.codec_context.codec.canonical_name in REFRESH_TYPES:
            packets = skip_unneeded(packets, stream, [(zero_s + t) // stream.time_base for t in times])
        decoded = decode_packets(packets, stream, strict=settings.device is not None)
        frames = in_presentation_order(decoded, stream)
        shown_s, shown = next(frames, (None, None))
        if shown is None or shown_s is None:
            raise no_frames_error(path)
        select_end = _nearest_end if settings.sampling == "keyframes" else _exact_end
        begins = 0
        for time_s, frame in frames:
            if begins == len(times):
                return
            ends = select_end(times, begins, shown_s - zero_s, time_s - zero_s, report)
            if ends > begins:
                yield begins, ends, shown
            begins, shown_s, shown = ends, time_s, frame
        if begins < len(times):
            select_end(times, begins, shown_s - zero_s, None, report)
            yield begins, len(times), shown


def _exact_end(times: list[Fraction], begins: int, shown_s: Fraction, next_s: Fraction | None,
               report: DecodeReport) -> int:
    """Return the index after the last of the times from `begins` on that are before the next frame."""
    ends = begins
    while ends < len(times) and (next_s is None or times[ends] < next_s):
        ends += 1
    return ends


def _nearest_end(times: list[Fraction], begins: int, shown_s: Fraction, next_s: Fraction | None,
                 report: DecodeReport) -> int:
    """Return the index after the last of the times from `begins` on that are nearer to this frame than to the next."""
    ends = begins
    while ends < len(times) and (next_s is None or (times[ends] < next_s and 2 * times[ends] <= shown_s + next_s)):
        report.max_frame_offset_s = max(report.max_frame_offset_s, abs(times[ends] - shown_s))
        ends += 1
    return ends
