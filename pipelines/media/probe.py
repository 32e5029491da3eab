"""What a video file holds, measured."""

from __future__ import annotations

import os
import re
from array import array
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from common.errors import InputError

from .container import (
    Display,
    decode_packets,
    display_of,
    frame_rate,
    in_order,
    no_pictures,
    open_video,
    read_packets,
    sound_stream,
)

JUMP_BACK_S = 10                          # behind what was stored before the last ones,
REORDERED = 16                            # among which any order of decoding is possible, is more than it explains
MISSING_S = 1                             # at the end of a file is told
TIMECODE = re.compile(r"[01]\d:[0-5]\d:[0-5]\d[:;.]\d\d|2[0-3]:[0-5]\d:[0-5]\d[:;.]\d\d")
HOLE_S, UNUSUAL = 60, 100                 # so long, and so many times the usual distance, no picture begins in a hole
ANIMATIONS = {"gif", "apng", "webp"}      # a picture if they hold one frame


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds. Times of the whole package count from its first picture.

    Attributes:
        path: of the file, absolute.
        duration_s: end of the last picture.
        fps: pictures a second, on average.
        n_frames: how many pictures.
        width: of the picture as displayed, after rotation and with square samples.
        height: likewise.
        start_s: the first picture's own time stamp.
        has_audio: whether there is a stream of sound that can be decoded.
        rotation_deg: anticlockwise turn to be applied for display, 0, 90, 180 or 270.
        codec: of the pictures.
        timecode: of the first picture, as a camera or an editor wrote it, HH:MM:SS:FF, or HH:MM:SS;FF if it is
            counted with drop frames; "" if the file has none.
        holes_s: [start, end) in seconds in which no picture begins, though elsewhere they follow each other quickly, as
            where time stamps jump.
        stated_s: the end that the file states, where its pictures end more than a second earlier; else None.
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
    stated_s: Fraction | None = None
    holes_s: tuple[tuple[float, float], ...] = ()

    @property
    def lacking(self) -> str:
        """Says that the file states more than there is, as one does that was cut off; "" if not."""
        if self.stated_s is None:
            return ""
        return f"the file states {float(self.stated_s):.1f} s, its pictures end at {float(self.duration_s):.1f} s"


def probe(path: str | os.PathLike) -> VideoInfo:
    """Reads what a video file holds. Its pictures are counted and timed, not believed from the header.

    The file is read through once, only the beginning of it is decoded; what is missing at the end of
    a file that was cut off is not part of it.

    Raises:
        InputError: no such file, not a video, a picture, no picture stream, none of its pictures can
            be decoded, or time stamps that start again in the middle.
    """
    with open_video(path) as (container, stream):
        stream.thread_type = "SLICE"   # threads across frames would delay the first one
        times = _Times(frame_rate(stream), stream.time_base)
        first, display = None, Display(0, 0)
        for packet in read_packets(container, stream):
            times.add(packet, path)
            if first is None:
                for time_s, frame in in_order(decode_packets([packet], stream), stream):
                    first, display = time_s, display_of(frame, stream)
                    break
        if first is None:
            raise no_pictures(path)
        n_frames, end_s = times.since(first, _stated_end(container, stream))
        if n_frames == 1 and container.format.name in ANIMATIONS:
            raise InputError(f"{path}: a picture, not a video; name a video file")
        fps = _average_rate(n_frames, end_s - first, times.rate, stream.time_base)
        return VideoInfo(path=Path(path).absolute(), duration_s=end_s - first, fps=fps, n_frames=n_frames,
                         width=display.width, height=display.height, start_s=first,
                         has_audio=sound_stream(container) is not None, rotation_deg=display.rotation_deg,
                         codec=stream.codec_context.codec.canonical_name, timecode=_timecode(container, stream),
                         stated_s=_stated_s(container, stream, first, end_s), holes_s=times.holes(first))


class _Times:
    """When a stream's pictures are shown, gathered packet by packet, without decoding them."""

    def __init__(self, rate: Fraction, tick_s: Fraction):
        self.rate, self.tick_s = rate, tick_s
        self.usual, self.most_back = round(1 / rate / tick_s), JUMP_BACK_S // tick_s   # in ticks, as the others
        self.starts, self.lengths = array("q"), array("q")   # an hour has 108,000
        self.settled: int | None = None   # the latest of all but the last ones

    def add(self, packet: Packet, path: str | os.PathLike) -> None:
        if not packet.size or packet.is_discard or _hidden(packet):
            return
        length = packet.duration or self.usual
        start = packet.pts
        if start is None:
            start = self.starts[-1] + self.lengths[-1] if self.starts else 0
        if len(self.starts) > REORDERED:
            older = self.starts[-1 - REORDERED]
            self.settled = older if self.settled is None else max(older, self.settled)
        if self.settled is not None and self.settled - start > self.most_back:
            raise InputError(f"{path}: its time stamps step back from {float(self.settled * self.tick_s):.1f} to "
                             f"{float(start * self.tick_s):.1f} s, as in files that were strung together; "
                             "convert it first")
        self.starts.append(start)
        self.lengths.append(length)

    def holes(self, first_s: Fraction) -> tuple[tuple[float, float], ...]:
        """Times since the first picture's after which none begins for longer than a minute and most unusually."""
        tick_s = float(self.tick_s)
        starts = np.unique(np.array(self.starts)) * tick_s - float(first_s)
        starts = starts[starts >= 0]
        gaps_s = np.diff(starts)
        if not len(gaps_s):
            return ()
        longest_s = max(HOLE_S, UNUSUAL * float(np.median(gaps_s)))
        return tuple((float(starts[i]), float(starts[i + 1])) for i in np.flatnonzero(gaps_s > longest_s))

    def since(self, first_s: Fraction, stated_end: int | None) -> tuple[int, Fraction]:
        """How many pictures there are from a time stamp on, and the end of the last one in seconds.

        Args:
            first_s: the first picture's time stamp.
            stated_end: when the last one ends, in ticks, if a file's word on it is good; taken if no
                packet is missing.
        """
        first = round(first_s / self.tick_s)
        starts, lengths = np.array(self.starts), np.array(self.lengths)
        kept = starts >= first
        if not kept.any():
            return 1, (first + self.lengths[-1]) * self.tick_s
        starts, lengths = starts[kept], lengths[kept]
        last = int(starts.max())
        length = int(lengths[starts == last].max())
        reordered = (self.starts[-1], self.lengths[-1]) != (last, length)   # else its own length is that of showing
        if reordered and stated_end is not None and last < stated_end <= last + int(lengths.max()):
            length = stated_end - last
        return len(np.unique(starts)), (last + length) * self.tick_s


def _stated_end(container: InputContainer, stream: VideoStream) -> int | None:
    """An mp4's own word, since the lengths of its packets are those of decoding, not of showing."""
    if container.format.name.startswith("mov,") and None not in (stream.start_time, stream.duration):
        return stream.start_time + stream.duration
    return None


def _stated_s(container: InputContainer, stream: VideoStream, first_s: Fraction, end_s: Fraction) -> Fraction | None:
    """The end that the header tells of, since the first picture, if it is later than the pictures' by a second."""
    stated_s, track = None, re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
    if track is not None:   # Matroska's word on each track's end, where its header has the longest
        stated_s = int(track[1]) * 3600 + int(track[2]) * 60 + Fraction(track[3])
    elif None not in (stream.start_time, stream.duration):
        stated_s = (stream.start_time + stream.duration) * stream.time_base
    elif None not in (container.start_time, container.duration):
        stated_s = Fraction(container.start_time + container.duration, av.time_base)
    return stated_s - first_s if stated_s is not None and stated_s - end_s > MISSING_S else None


def _timecode(container: InputContainer, stream: VideoStream) -> str:
    """The one of the pictures' stream, else of a stream or the file that has one."""
    for place in (stream, container, *container.streams):
        for key, value in place.metadata.items():
            if key.lower() == "timecode" and TIMECODE.fullmatch(value.strip()):
                return value.strip().replace(".", ";")
    return ""


def _hidden(packet: Packet) -> bool:
    """Whether a packet is a VP8 frame that is decoded but not shown (RFC 6386, 9.1: `show_frame`)."""
    return packet.stream.codec_context.name == "vp8" and not memoryview(packet)[0] & 0x10


def _average_rate(n_frames: int, duration_s: Fraction, stated: Fraction, tick_s: Fraction) -> Fraction:
    """Pictures a second: as the file states it if its coarse time stamps agree, else as counted."""
    if abs(n_frames / stated - duration_s) <= 2 * tick_s:
        return stated
    return n_frames / duration_s
