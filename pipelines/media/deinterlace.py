"""Interlaced pictures made whole, so that nothing that moves is combed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.filter import Graph
from av.video.frame import VideoFrame

TICK_S = Fraction(1, 1000)   # any will do: the filter asks for the order alone


def progressive(frames: Iterable[tuple[Fraction, VideoFrame]]) -> Iterator[tuple[Fraction, VideoFrame]]:
    """The same frames at the same times, those marked as interlaced made whole from one of their fields.

    A frame in which nothing is interlaced passes through as it is and costs nothing; one frame is held back
    from the first interlaced one on.

    Args:
        frames: with their times.
    """
    filtering: _Filter | None = None
    for time_s, frame in frames:
        if filtering is None and not frame.interlaced_frame:
            yield time_s, frame
            continue
        if filtering is not None and filtering.shape != _shape(frame):
            yield from filtering.end()
            filtering = None
        filtering = filtering or _Filter(frame)
        yield from filtering.add(time_s, frame)
    if filtering is not None:
        yield from filtering.end()


class _Filter:
    """FFmpeg's bwdif, which gives a frame for every frame, one later."""

    def __init__(self, frame: VideoFrame):
        self.shape, self.times_s, self.count = _shape(frame), deque[Fraction](), 0
        self.graph = Graph()
        source = self.graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=TICK_S)
        bwdif = self.graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        sink = self.graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        self.graph.configure()

    def add(self, time_s: Fraction, frame: VideoFrame) -> Iterator[tuple[Fraction, VideoFrame]]:
        frame.pts, frame.time_base = self.count, TICK_S
        self.count += 1
        self.times_s.append(time_s)
        self.graph.push(frame)
        yield from self._done()

    def end(self) -> Iterator[tuple[Fraction, VideoFrame]]:
        self.graph.push(None)
        yield from self._done()

    def _done(self) -> Iterator[tuple[Fraction, VideoFrame]]:
        while True:
            try:
                frame = self.graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield self.times_s.popleft(), frame


def _shape(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
