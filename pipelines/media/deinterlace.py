"""Deinterlacing, which removes the comb artifacts of moving objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.filter import Graph
from av.video.frame import VideoFrame

TICK_S = Fraction(1, 1000)   # Time base inside the filter graph; the filter uses the order of the frames only.


def deinterlace(frames: Iterable[tuple[Fraction, VideoFrame]]) -> Iterator[tuple[Fraction, VideoFrame]]:
    """Yield the same frames at the same times, with interlaced ones converted to progressive.

    Progressive frames pass through unchanged at no cost. From the first interlaced frame on, the output is one frame
    late.

    Args:
        frames: times in seconds, and frames.
    """
    bwdif: _Bwdif | None = None
    for time_s, frame in frames:
        if bwdif is None and not frame.interlaced_frame:
            yield time_s, frame
            continue
        if bwdif is not None and bwdif.shape != _shape(frame):
            yield from bwdif.flush()
            bwdif = None
        bwdif = bwdif or _Bwdif(frame)
        yield from bwdif.push(time_s, frame)
    if bwdif is not None:
        yield from bwdif.flush()


class _Bwdif:
    """FFmpeg's bwdif filter, which outputs one frame per input frame, one frame later."""

    def __init__(self, frame: VideoFrame):
        self.shape, self.times_s, self.count = _shape(frame), deque[Fraction](), 0
        self.graph = Graph()
        source = self.graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=TICK_S)
        bwdif = self.graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        sink = self.graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        self.graph.configure()

    def push(self, time_s: Fraction, frame: VideoFrame) -> Iterator[tuple[Fraction, VideoFrame]]:
        frame.pts, frame.time_base = self.count, TICK_S
        self.count += 1
        self.times_s.append(time_s)
        self.graph.push(frame)
        yield from self._pull()

    def flush(self) -> Iterator[tuple[Fraction, VideoFrame]]:
        self.graph.push(None)
        yield from self._pull()

    def _pull(self) -> Iterator[tuple[Fraction, VideoFrame]]:
        while True:
            try:
                frame = self.graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield self.times_s.popleft(), frame


def _shape(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
