"""Cutting: pieces of a video joined into a shorter one, exact to the frame and to the sample."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.codec.context import Flags
from av.video.frame import PictureType, VideoFrame
from tqdm import tqdm

from common.errors import InputError
from common.files import atomic_path

from .audio import read_samples
from .media import (
    Display,
    exact_s,
    first_picture,
    frames_from,
    no_pictures,
    open_container,
    open_video,
    seekable,
    sound_stream,
    to_yuv420p,
)
from .probe import VideoInfo, probe

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
            beyond the end of the video is left out; a piece in which no picture begins shows the
            one that stands.
        out: the mp4, which appears whole or not at all.
        progress: True draws a bar on stderr; a function is called with the share done, from 0 to 1.

    Raises:
        InputError: `path` is no readable video; no interval, or one that is empty, out of order or
            wholly beyond the end; `out` is no .mp4, the video itself, or cannot be written.
    """
    path, out = Path(path).absolute(), Path(out).absolute()
    info = probe(path)
    intervals = _checked(info, intervals_s)
    _check_output(path, out)
    with atomic_path(out) as temporary, _reporting(progress) as report:
        with _Mp4(temporary, out, info) as mp4:
            _join(mp4, info, intervals, report)
        report(1.0)


def _checked(info: VideoInfo, intervals_s: Sequence[tuple[float | Fraction, float | Fraction]]) -> list[Interval]:
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


def _check_output(path: Path, out: Path) -> None:
    if out.is_dir():
        raise InputError(f"{out}: a folder; name a file in it")
    if out.suffix.lower() != ".mp4":
        raise InputError(f"{out}: the cut is an mp4; give it a name that ends in .mp4")
    if out.exists() and out.samefile(path):
        raise InputError(f"{out}: is the video itself; name another output")


@contextmanager
def _reporting(progress: bool | Callable[[float], None] | None) -> Iterator[Callable[[float], None]]:
    if callable(progress):
        yield progress
        return
    with tqdm(total=100, desc="cutting", unit="%", file=sys.stderr, disable=not progress) as bar:
        yield lambda share: bar.update(int(100 * share) - bar.n)


def _join(mp4: _Mp4, info: VideoInfo, intervals: list[Interval], report: Callable[[float], None]) -> None:
    """Writes pictures and sound side by side, so that neither waits in memory for the other."""
    total_s = sum(end - start for start, end in intervals)
    _, display = first_picture(info.path)
    sound = _sound(info, intervals, mp4.rate_hz, mp4.layout) if info.has_audio else iter(())
    for at_s, frame in _pictures(info, display, intervals):
        mp4.show(frame, at_s)
        while mp4.heard_s < at_s and (samples := next(sound, None)) is not None:
            mp4.play(samples)
        report(float(at_s / total_s))
    for samples in sound:
        mp4.play(samples)
    mp4.finish(total_s)


def _pictures(info: VideoInfo, display: Display, intervals: list[Interval]) -> Iterator[tuple[Fraction, VideoFrame]]:
    """The pieces' pictures, ready to encode, with their times in the result."""
    joined_s = Fraction(0)
    for (start_s, end_s), frames in zip(intervals, _sources(info, intervals), strict=True):
        kind = PictureType.I
        for time_s, frame in _piece(frames, start_s, end_s):
            try:
                picture = to_yuv420p(frame, display)
            except av.error.FFmpegError as err:
                raise InputError(f"{info.path}: its pictures ({frame.format.name}) cannot be converted to 4:2:0; "
                                 "convert it to H.264") from err
            picture.pict_type, kind = kind, PictureType.NONE   # a player can jump to the joins
            yield joined_s + time_s, picture
        joined_s += end_s - start_s


def _sources(info: VideoInfo, intervals: list[Interval]) -> Iterator[Iterator[tuple[Fraction, VideoFrame]]]:
    """Frames with their times for each interval, from some time before it to its end or beyond."""
    with open_container(info.path) as container:
        jump = seekable(container)
    if jump:
        yield from (frames_from(info.path, info.start_s, start_s) for start_s, _ in intervals)
        return
    frames, recent = frames_from(info.path, info.start_s, Fraction(0)), []

    def one_pass() -> Iterator[tuple[Fraction, VideoFrame]]:
        nonlocal recent
        yield from recent   # what the piece before has read: its last picture may stand, the next begin this one
        for pair in frames:
            recent = [*recent[-1:], pair]
            yield pair

    yield from (one_pass() for _ in intervals)


def _piece(frames: Iterator[tuple[Fraction, VideoFrame]], start_s: Fraction,
           end_s: Fraction) -> Iterator[tuple[Fraction, VideoFrame]]:
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


def _sound(info: VideoInfo, intervals: list[Interval], rate_hz: int, layout: str) -> Iterator[np.ndarray]:
    """The pieces' sound, (channels, n), faded at both ends of each piece, silence where there is none.

    A piece has the samples between its borders in the result, so that rounding does not add up.
    """
    joined_s = Fraction(0)
    for start_s, end_s in intervals:
        size = round((joined_s + end_s - start_s) * rate_hz) - round(joined_s * rate_hz)
        fade, done = max(1, min(round(FADE_S * rate_hz), size // 2)), 0
        for samples in read_samples(info.path, info.start_s, start_s, rate_hz, layout):
            samples = samples[:, :size - done]
            at = done + np.arange(samples.shape[1])
            gain = np.minimum(1, np.minimum(at + 0.5, size - at - 0.5) / fade)
            yield samples * gain.astype(np.float32)
            done += samples.shape[1]
            if done == size:
                break
        while done < size:
            n_zeros = min(size - done, rate_hz)
            yield np.zeros((1 if layout == "mono" else 2, n_zeros), np.float32)
            done += n_zeros
        joined_s += end_s - start_s


class _Mp4:
    """An mp4 being written: pictures and sound at their times; what goes wrong names the output."""

    def __init__(self, temporary: Path, out: Path, info: VideoInfo):
        self.temporary, self.out, self.info = temporary, out, info
        self.rate_hz, self.layout, self.heard = 0, "mono", 0
        self.video, self.waiting = None, None

    def __enter__(self) -> _Mp4:
        with open_video(self.info.path) as (source, pictures):
            self.tick_s = _tick_s(pictures.time_base)
            kept = {key: value for key, value in source.metadata.items() if key in KEPT_METADATA}
            stream = sound_stream(source)
            if stream is not None:
                context = stream.codec_context
                self.rate_hz = min((r for r in AAC_RATES_HZ if r >= context.sample_rate), default=AAC_RATES_HZ[-1])
                self.layout = "mono" if context.channels == 1 else "stereo"
        with self._writing():
            self.container = av.open(str(self.temporary), "w", format="mp4", options=dict(movflags="+faststart"))
            self.container.metadata.update(kept)
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            with self._writing():
                self.container.close()
            return
        with suppress(av.error.FFmpegError, OSError):   # the first error counts
            self.container.close()

    @property
    def heard_s(self) -> Fraction:
        return Fraction(self.heard, self.rate_hz) if self.rate_hz else Fraction(0)

    def show(self, frame: VideoFrame, at_s: Fraction) -> None:
        """Adds a picture, which stands until the next one or the end."""
        if self.video is None:
            self._add_streams(frame)
        at = round(at_s / self.tick_s)
        if self.waiting is not None:
            if at <= self.waiting[0]:
                return   # closer than time stamps can tell apart
            self._encode(at)
        self.waiting = (at, frame)

    def play(self, samples: np.ndarray) -> None:
        """Adds sound (channels, n) after what was added before."""
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.rate_hz, self.heard, Fraction(1, self.rate_hz)
        with self._writing():
            self.container.mux(self.audio.encode(frame))
        self.heard += samples.shape[1]

    def finish(self, end_s: Fraction) -> None:
        """Ends the last picture at a time and writes what the encoders still hold."""
        if self.waiting is None:
            raise no_pictures(self.info.path)
        self.waiting[1].pict_type = PictureType.I   # what is shown last is stored last: only then readers see its end
        self._encode(round(end_s / self.tick_s))
        with self._writing():
            self.container.mux(self.video.encode(None))
            if self.rate_hz:
                self.container.mux(self.audio.encode(None))

    def _add_streams(self, frame: VideoFrame) -> None:
        with self._writing():
            rate = self.info.fps.limit_denominator(100_000)
            self.video = self.container.add_stream("libx264", rate=rate, options=H264)
            self.video.width, self.video.height, self.video.pix_fmt = frame.width, frame.height, "yuv420p"
            self.video.codec_context.time_base = self.tick_s
            self.video.codec_context.flags |= Flags.frame_duration
            for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
                setattr(self.video.codec_context, name, getattr(frame, name))
            if self.rate_hz:
                self.audio = self.container.add_stream("aac", rate=self.rate_hz, layout=self.layout)
                self.audio.bit_rate = AAC_BITS_PER_S[self.layout]

    def _encode(self, until: int) -> None:
        at, frame = self.waiting
        frame.pts, frame.time_base, frame.duration = at, self.tick_s, max(1, until - at)
        with self._writing():
            self.container.mux(self.video.encode(frame))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError, ValueError) as err:
            reason = getattr(err, "strerror", None) or err
            raise InputError(f"{self.out}: could not be written ({reason}); make room on the disk or name another "
                             "place") from err


def _tick_s(source: Fraction) -> Fraction:
    """A time base for the result in which the source's time stamps are exact, if it is neither coarse nor too fine."""
    per_s = source.denominator * -(-TICKS[0] // source.denominator)
    return Fraction(1, per_s if per_s <= TICKS[1] else 90_000)
