"""Cutting: pieces of a video joined into a shorter one, exact to the frame and to the sample."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import av
import numpy as np
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange
from tqdm import tqdm

from common.errors import InputError
from common.files import atomic_path
from common.parallel import parallel_chain
from common.temporal import Interval
from common.timecode import exact_s
from pipelines.media.audio_reader import read_samples
from pipelines.media.container import open_container, open_video, supports_exact_seek
from pipelines.media.deinterlace import deinterlace
from pipelines.media.display import Display, to_yuv420p
from pipelines.media.frames import Frames, frames_from, probe_first_frame
from pipelines.media.probe import VideoInfo, probe
from pipelines.media.subtitles import Cue, cut_cues

from .mp4_writer import Chapter, EncodingMp4Writer
from .reframe import Camera, plan_camera

FADE_S = Fraction(5, 1000)         # of the sound at joins, against clicks
LONG_STANDING_S = Fraction(1, 5)   # a picture without a successor for so long is a still

AT_ONCE = 4                        # pieces that are encoded side by side; each has an encoder and a decoder
HELD_BYTES = 32 << 20              # of pieces whose turn has not come; half a minute of 720p

Source = Callable[[Fraction], Frames]   # from some time before


def cut(path: str | os.PathLike | VideoInfo, intervals_s: Sequence[tuple[float | Fraction, float | Fraction]],
        out: str | os.PathLike, *, progress: bool | Callable[[float], None] | None = None,
        titles: Sequence[str] = (), cues: Sequence[Cue] = (), aspect: Fraction | None = None) -> None:
    """Joins pieces of a video into an mp4 (H.264 and AAC), encoded anew.

    The result has the pictures whose time lies in an interval, at their own distances, and the sound
    of the intervals to the sample, faded over 5 ms at the joins. A piece begins with its first picture
    at once. In sparse videos, such as slides, one that has been standing when a piece begins, and
    goes on to for more than a fifth of a second, is shown too. Pictures are turned and shaped as
    displayed; an odd line or column is left out. Interlaced ones become progressive, one for one.

    Args:
        path: of a video, or what `probe` said of it.
        intervals_s: [start, end) in seconds from the first picture, ascending and apart; what lies
            beyond the end of the video is left out; a piece in which no picture begins shows the
            one that stands.
        out: the mp4, which appears whole or not at all.
        progress: True draws a bar on stderr; a function is called with the share done, from 0 to 1.
        titles: of the pieces, as many as there are; they become the chapters. None without.
        cues: subtitles of the video, in its time; those spoken in the pieces become a subtitle track.
        aspect: width to height, to which pictures are cropped around what draws the eye; None keeps them whole.

    Raises:
        InputError: `path` is no readable video; no interval, or one that is empty, out of order or
            wholly beyond the end; `out` is no .mp4, the video itself, or cannot be written.
    """
    info, out = known(path), Path(out).absolute()
    intervals = checked(info, intervals_s)
    check_output(info.path, out)
    with atomic_path(out) as temporary, reporting(progress) as report:
        with EncodingMp4Writer(temporary, out, info, chapters(intervals, titles), cut_cues(cues, intervals)) as mp4:
            _join(mp4, info, intervals, aspect, report)
        report(1.0)


def known(path: str | os.PathLike | VideoInfo) -> VideoInfo:
    """What a video file holds, measured if that was not done before."""
    return path if isinstance(path, VideoInfo) else probe(Path(path).absolute())


def chapters(intervals: Sequence[Interval], titles: Sequence[str]) -> list[Chapter]:
    """The pieces' places in the result, with their titles; none without titles."""
    if not titles:
        return []
    return [(begin_s, begin_s + end_s - start_s, title)
            for begin_s, (start_s, end_s), title in zip(starts_s(intervals), intervals, titles, strict=True)]


def starts_s(intervals: Sequence[Interval]) -> list[Fraction]:
    """Where each piece begins in the result."""
    return list(itertools.accumulate((end_s - start_s for start_s, end_s in intervals[:-1]), initial=Fraction(0)))


def checked(info: VideoInfo, intervals_s: Sequence[tuple[float | Fraction, float | Fraction]]) -> list[Interval]:
    """The intervals as exact times within the video."""
    intervals, earlier = [], Fraction(0)
    for start, end in intervals_s:
        if not 0 <= start < end:   # also what is no number
            raise InputError(f"{info.path}: cannot cut from {start} to {end} s; a piece begins at 0 or later and "
                             "ends after that")
        start, end = exact_s(start), exact_s(min(end, info.duration_s))
        if start < earlier:
            raise InputError(f"{info.path}: cannot cut from {float(start)} s after {float(earlier)} s; give the pieces "
                             "in their order and apart")
        if start >= info.duration_s:
            raise InputError(f"{info.path}: cannot cut from {float(start)} s, the video ends at "
                             f"{float(info.duration_s):.3f} s")
        intervals.append((start, end))
        earlier = end
    if not intervals:
        raise InputError(f"{info.path}: nothing to cut, no interval is given")
    return intervals


def check_output(path: Path, out: Path) -> None:
    """Checks that a cut of the video at `path` can be written to `out`.

    Raises:
        InputError: `out` is a folder, no .mp4, or the video itself.
    """
    if out.is_dir():
        raise InputError(f"{out}: a folder; name a file in it")
    if out.suffix.lower() != ".mp4":
        raise InputError(f"{out}: the cut is an mp4; give it a name that ends in .mp4")
    if out.exists() and out.samefile(path):
        raise InputError(f"{out}: is the video itself; name another output")


@contextmanager
def reporting(progress: bool | Callable[[float], None] | None) -> Iterator[Callable[[float], None]]:
    """Gives what is called with the share done, from 0 to 1: the caller's own function, or a bar on stderr if asked."""
    if callable(progress):
        yield progress
        return
    with tqdm(total=100, desc="cutting", unit="%", file=sys.stderr, disable=not progress) as bar:
        yield lambda share: bar.update(int(100 * share) - bar.n)


def _join(mp4: EncodingMp4Writer, info: VideoInfo, intervals: list[Interval], aspect: Fraction | None,
          report: Callable[[float], None]) -> None:
    """Encodes several pieces at once, and writes their pictures and sound side by side."""
    total_s = sum(end - start for start, end in intervals)
    sound = sound_of(info, intervals, mp4.rate_hz, mp4.layout) if info.has_audio else iter(())
    with _sources(info, min(len(intervals), AT_ONCE, os.cpu_count() or 1)) as sources:
        pieces = _Pieces(mp4, info, sources, aspect)
        mp4.threads = _share(sources.qsize())
        works = [partial(pieces.encode, interval, joined_s, interval == intervals[-1])
                 for interval, joined_s in zip(intervals, starts_s(intervals), strict=True)]
        with closing(parallel_chain(works, sources.qsize(), HELD_BYTES, _bytes_of, pieces.stop)) as packets:
            for packet in packets:
                mp4.add(packet)
                while mp4.heard_s < mp4.seen_s and (samples := next(sound, None)) is not None:
                    mp4.play(samples)
                report(float(mp4.seen_s / total_s))
    for samples in sound:
        mp4.play(samples)
    mp4.finish()


def _share(at_once: int) -> int:
    """Threads of each encoder and decoder: for all of them half as many again as cores, as x264 has it for one."""
    return -(-3 * (os.cpu_count() or 1) // (2 * at_once))


def _bytes_of(item: VideoFrame | Packet) -> int:
    return item.size if isinstance(item, Packet) else 0   # a picture comes from each thread at most


class _Pieces:
    """Encodes pieces, each in a thread of its own.

    Args:
        sources: as many as threads.
        aspect: as for `cut`.
    """

    def __init__(self, mp4: EncodingMp4Writer, info: VideoInfo, sources: SimpleQueue[Source], aspect: Fraction | None):
        self.mp4, self.info, self.sources, self.aspect = mp4, info, sources, aspect
        _, self.display = probe_first_frame(info.path)
        self.stopped = Event()

    def stop(self) -> None:
        """Ends all threads at the next frame they read."""
        self.stopped.set()
        self.mp4.look.cancel()

    def encode(self, interval: Interval, joined_s: Fraction, last: bool) -> Iterator[VideoFrame | Packet]:
        """A piece as `EncodingMp4Writer.encode` gives it, read by a source that is free."""
        source = self.sources.get()
        try:
            pictures = self._pictures(self._until_stopped(source(interval[0])), interval)
            placed = ((joined_s + time_s, picture) for time_s, picture in pictures)
            yield from self.mp4.encode(placed, joined_s + interval[1] - interval[0], last)
        finally:
            self.sources.put(source)

    def _until_stopped(self, frames: Frames) -> Frames:
        return itertools.takewhile(lambda _: not self.stopped.is_set(), frames)

    def _pictures(self, frames: Frames, interval: Interval) -> Frames:
        """A piece's pictures, ready to encode, with their times since its start."""
        camera = None if self.aspect is None else self._camera(*interval)
        for time_s, frame in deinterlace(_piece(frames, *interval)):
            try:
                picture = frame if _is_ready(frame, self.display) else to_yuv420p(frame, self.display)
            except av.error.FFmpegError as err:
                raise InputError(f"{self.info.path}: its pictures ({frame.format.name}) cannot be converted to 4:2:0; "
                                 "convert it to H.264") from err
            if camera is not None:
                picture = camera.take(picture, float(interval[0] + time_s))
            picture.color_range, picture.pict_type = ColorRange.MPEG, PictureType.NONE
            yield time_s, picture

    def _camera(self, start_s: Fraction, end_s: Fraction) -> Camera:
        frames = self._until_stopped(frames_from(self.info.path, self.info.start_s, start_s))
        return plan_camera(frames, self.display, start_s, end_s, self.aspect)


def _is_ready(frame: VideoFrame, display: Display) -> bool:
    """Whether a frame can be encoded as it is, which saves a sixth of the time."""
    plain = Display(frame.width - frame.width % 2, frame.height - frame.height % 2)
    return frame.format.name == "yuv420p" and frame.color_range != ColorRange.JPEG and display == plain


@contextmanager
def _sources(info: VideoInfo, number: int) -> Iterator[SimpleQueue[Source]]:
    """What reads the video from a time on, each for one piece at a time.

    Of a file in which times cannot be sought it is one alone, for pieces in their order.
    """
    sources: SimpleQueue[Source] = SimpleQueue()
    with ExitStack() as files:
        opened = files.enter_context(open_video(info.path))
        if supports_exact_seek(opened[0]):
            for more in range(number):
                opened = files.enter_context(open_video(info.path)) if more else opened
                opened[1].codec_context.thread_count = _share(number)
                sources.put(partial(frames_from, info.path, info.start_s, opened=opened))
        else:
            sources.put(_one_pass(info))
        yield sources


def _one_pass(info: VideoInfo) -> Source:
    frames, recent = frames_from(info.path, info.start_s, Fraction(0)), []

    def read(_: Fraction) -> Frames:
        nonlocal recent
        yield from recent   # what the piece before has read: its last picture may stand, the next begin this one
        for pair in frames:
            recent = [*recent[-1:], pair]
            yield pair

    return read


def _piece(frames: Frames, start_s: Fraction, end_s: Fraction) -> Frames:
    """The frames of [start_s, end_s) with their times since `start_s`; the first is at 0."""
    standing, begun = None, False
    for time_s, frame in frames:
        if time_s >= end_s:
            break
        if time_s < start_s:
            standing = frame
            continue
        if not begun and standing is not None and time_s - start_s > LONG_STANDING_S:
            yield Fraction(0), standing
            begun = True
        yield time_s - start_s if begun else Fraction(0), frame
        begun = True
    if not begun and standing is not None:
        yield Fraction(0), standing


def sound_of(info: VideoInfo, intervals: list[Interval], rate_hz: int, layout: str) -> Iterator[np.ndarray]:
    """The pieces' sound, (channels, n), faded at both ends of each piece, silence where there is none.

    A piece has the samples between its borders in the result, so that rounding does not add up.
    """
    joined_s = Fraction(0)
    with open_container(info.path) as opened:
        for start_s, end_s in intervals:
            size = round((joined_s + end_s - start_s) * rate_hz) - round(joined_s * rate_hz)
            sound = read_samples(info.path, info.start_s, start_s, rate_hz, layout, opened)
            yield from _faded(sound, size, rate_hz, 1 if layout == "mono" else 2)
            joined_s += end_s - start_s


def _faded(sound: Iterator[np.ndarray], size: int, rate_hz: int, channels: int) -> Iterator[np.ndarray]:
    """The first `size` samples, faded at both ends; silence where the sound is shorter."""
    fade, done = max(1, min(round(FADE_S * rate_hz), size // 2)), 0
    for samples in sound:
        samples = samples[:, :size - done]
        at = done + np.arange(samples.shape[1])
        gain = np.minimum(1, np.minimum(at + 0.5, size - at - 0.5) / fade)
        yield samples * gain.astype(np.float32)
        done += samples.shape[1]
        if done == size:
            break
    while done < size:
        n_zeros = min(size - done, rate_hz)
        yield np.zeros((channels, n_zeros), np.float32)
        done += n_zeros
