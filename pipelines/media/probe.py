"""Measurement of a video file's properties from its packets, without trusting its header."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from common.errors import InputError

from .container import audio_stream, decode_packets, frame_rate, is_concatenated, open_video, read_packets
from .display import display_of
from .frames import in_presentation_order, no_frames_error
from .presentation_times import PresentationClock

MAX_REORDER_S = 10      # A time stamp that steps back further than this is an error.
REORDER_PACKETS = 16    # The latest packets, which B-frames may reorder by any amount, are not compared.
MIN_MISSING_S = 1       # A video that ends this much before the end in its header is reported as truncated.
MIN_GAP_S = 60          # A gap in the time stamps is at least this long.
MIN_GAP_RATIO = 100     # A gap is also at least this many times the median distance between frames.
ANIMATION_FORMATS = {"gif", "apng", "webp"}   # A file of these formats with a single frame is an image.
TIMECODE = re.compile(r"[01]\d:[0-5]\d:[0-5]\d[:;.]\d\d|2[0-3]:[0-5]\d:[0-5]\d[:;.]\d\d")


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video file. In all of `pipelines`, times count from the first frame.

    Attributes:
        path: absolute path of the file.
        duration_s: end of the last frame.
        fps: average frames per second.
        n_frames: number of frames.
        width: width in pixels as displayed, after rotation and with square samples.
        height: height, likewise.
        start_s: time stamp of the first frame in the file.
        has_audio: True if there is an audio stream that can be decoded.
        rotation_deg: counterclockwise rotation to be applied for display: 0, 90, 180 or 270.
        codec: canonical name of the video codec.
        timecode: SMPTE timecode of the first frame as stored by a camera or an editor: HH:MM:SS:FF, or HH:MM:SS;FF
            for drop-frame timecode; "" if the file has none.
        header_duration_s: the end that the header states, if the frames end more than a second earlier; else None.
        timestamp_gaps_s: [start, end) of unusually long intervals in which no frame begins, as in files whose time
            stamps jump.
    """

    path: Path
    duration_s: Fraction
    fps: Fraction
    n_frames: int
    width: int
    height: int
    start_s: Fraction
    has_audio: bool
    rotation_deg: int
    codec: str
    timecode: str = ""
    header_duration_s: Fraction | None = None
    timestamp_gaps_s: tuple[tuple[float, float], ...] = ()

    @property
    def truncation_note(self) -> str:
        """A sentence that the frames end before the end in the header, as in a truncated file; "" if they do not."""
        if self.header_duration_s is None:
            return ""
        return (f"the file header states {float(self.header_duration_s):.1f} s, but the frames end at "
                f"{float(self.duration_s):.1f} s")


def probe(path: str | os.PathLike) -> VideoInfo:
    """Measure the properties of a video file.

    The complete file is read, to count frames and time stamps, but only its beginning is decoded. What is missing at
    the end of a truncated file does not count.

    Raises:
        InputError: the file is missing, not a video, or an image; it has no video stream; none of its frames can be
            decoded; or its time stamps restart in the middle, unless it consists of MPEG streams that can be joined.
    """
    with open_video(path) as (container, stream):
        stream.thread_type = "SLICE"   # Frame threads would delay the first frame.
        times = _PacketTimes(frame_rate(stream), stream.time_base)
        packets = times.record(read_packets(container, stream), path)
        first, frame = next(in_presentation_order(decode_packets(packets, stream), stream), (None, None))
        if first is None or frame is None:
            raise no_frames_error(path)
        display = display_of(frame, stream)
        for _ in packets:   # The rest is not decoded.
            pass
        times.complete()
        n_frames, end_s = times.count_from(first, _header_end(container, stream))
        if n_frames == 1 and container.format.name in ANIMATION_FORMATS:
            raise InputError(path, "is an image, not a video", "specify a video file")
        fps = _average_rate(n_frames, end_s - first, times.rate, stream.time_base)
        return VideoInfo(
            path=Path(path).absolute(), duration_s=end_s - first, fps=fps, n_frames=n_frames, width=display.width,
            height=display.height, start_s=first, has_audio=audio_stream(container) is not None,
            rotation_deg=display.rotation_deg, codec=stream.codec_context.codec.canonical_name,
            timecode=_timecode(container, stream),
            header_duration_s=_header_duration_s(container, stream, first, end_s),
            timestamp_gaps_s=times.gaps_s(first))


class _PacketTimes:
    """Presentation times of a stream's frames, collected from its packets without decoding them."""

    def __init__(self, rate: Fraction, tick_s: Fraction):
        self.rate, self.tick_s = rate, tick_s               # All lengths and times are in ticks, unless named `_s`.
        self.clock, self.is_complete = PresentationClock(tick_s, rate), True
        self.max_step_back = MAX_REORDER_S // tick_s
        self.starts, self.lengths = array("q"), array("q")   # Arrays, because a video has 100,000 frames per hour.
        self.estimates = array("q")                          # Starts that are used if some packets have none.
        self.settled: int | None = None                      # Latest start of all packets but REORDER_PACKETS.

    def record(self, packets: Iterable[Packet], path: str | os.PathLike) -> Iterator[Packet]:
        """Add packets as they are passed on."""
        for packet in packets:
            self.add(packet, path)
            yield packet

    def add(self, packet: Packet, path: str | os.PathLike) -> None:
        if not packet.size or packet.is_discard or _is_hidden(packet):
            return
        length = packet.duration or self.clock.default_duration
        estimate = self.clock.presentation_time(packet)
        start = estimate if packet.pts is None else packet.pts
        if len(self.starts) > REORDER_PACKETS:
            older = self.starts[-1 - REORDER_PACKETS]
            self.settled = older if self.settled is None else max(older, self.settled)
        if self.settled is not None and self.settled - start > self.max_step_back:
            raise InputError(
                path, f"its time stamps step back from {float(self.settled * self.tick_s):.1f} s to "
                f"{float(start * self.tick_s):.1f} s, as in files that were concatenated byte by byte",
                "convert it first")
        self.is_complete = self.is_complete and packet.pts is not None
        self.starts.append(start)
        self.estimates.append(estimate)
        self.lengths.append(length)

    def complete(self) -> None:
        """Replace all starts by estimates if some are missing; call it after the last packet."""
        if not self.is_complete:
            self.starts = self.estimates

    def gaps_s(self, first_s: Fraction) -> tuple[tuple[float, float], ...]:
        """Return [start, end) of the gaps in the time stamps, in seconds since the first frame."""
        tick_s = float(self.tick_s)
        starts = np.unique(np.array(self.starts)) * tick_s - float(first_s)
        starts = starts[starts >= 0]
        distances_s = np.diff(starts)
        if not len(distances_s):
            return ()
        min_gap_s = max(MIN_GAP_S, MIN_GAP_RATIO * float(np.median(distances_s)))
        return tuple((float(starts[i]), float(starts[i + 1])) for i in np.flatnonzero(distances_s > min_gap_s))

    def count_from(self, first_s: Fraction, header_end: int | None) -> tuple[int, Fraction]:
        """Return the number of frames from a time stamp on, and the end of the last one in seconds.

        Args:
            first_s: time stamp of the first frame that counts.
            header_end: end of the last frame in ticks according to a header that can be trusted, or None; it is used
                if no packet is missing.
        """
        first = round(first_s / self.tick_s)
        starts, lengths = np.array(self.starts), np.array(self.lengths)
        kept = starts >= first
        if not kept.any():
            return 1, (first + self.lengths[-1]) * self.tick_s
        starts, lengths = starts[kept], lengths[kept]
        last = int(starts.max())
        length = int(lengths[starts == last].max())
        # The last frame's packet states its display duration only if it is also the last packet in decoding order.
        reordered = (self.starts[-1], self.lengths[-1]) != (last, length)
        if reordered and header_end is not None and last < header_end <= last + int(lengths.max()):
            length = header_end - last
        return len(np.unique(starts)), (last + length) * self.tick_s


def _header_end(container: InputContainer, stream: VideoStream) -> int | None:
    """Return the end of an mp4's video stream in ticks, by its header; None for other formats.

    The durations of an mp4's packets are distances in decoding order, not in presentation order.
    """
    if container.format.name.startswith("mov,") and None not in (stream.start_time, stream.duration):
        return stream.start_time + stream.duration
    return None


def _header_duration_s(container: InputContainer, stream: VideoStream, first_s: Fraction,
                       end_s: Fraction) -> Fraction | None:
    """Return the end in the header, since the first frame, if the frames end more than MIN_MISSING_S earlier."""
    if is_concatenated(container):
        return None   # FFmpeg subtracts the time stamps of different parts.
    header_end_s, track = None, re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
    if track is not None:   # Matroska states the end per track in a tag; its header has that of the longest track.
        header_end_s = int(track[1]) * 3600 + int(track[2]) * 60 + Fraction(track[3])
    elif None not in (stream.start_time, stream.duration):
        header_end_s = (stream.start_time + stream.duration) * stream.time_base
    elif None not in (container.start_time, container.duration):
        header_end_s = Fraction(container.start_time + container.duration, av.time_base)
    if header_end_s is None or header_end_s - end_s <= MIN_MISSING_S:
        return None
    return header_end_s - first_s


def _timecode(container: InputContainer, stream: VideoStream) -> str:
    """Return the timecode of the video stream, else of the container, else of any stream; "" if there is none."""
    for source in (stream, container, *container.streams):
        for key, value in source.metadata.items():
            if key.lower() == "timecode" and TIMECODE.fullmatch(value.strip()):
                return value.strip().replace(".", ";")
    return ""


def _is_hidden(packet: Packet) -> bool:
    """Return True for a VP8 frame that is decoded but not shown (RFC 6386, section 9.1: `show_frame`)."""
    return packet.stream.codec_context.name == "vp8" and not memoryview(packet)[0] & 0x10


def _average_rate(n_frames: int, duration_s: Fraction, stated: Fraction, tick_s: Fraction) -> Fraction:
    """Return the stated frames per second if the time stamps agree within their resolution, else the measured ones."""
    if abs(n_frames / stated - duration_s) <= 2 * tick_s:
        return stated
    return n_frames / duration_s
