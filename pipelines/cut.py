"""Cutting: pieces of a video joined into a shorter one, exact to the frame and to the sample."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame
from tqdm import tqdm

from common.errors import InputError
from common.files import atomic_path

from .audio import read_samples
from .video import VideoInfo, decode_frames, frame_time, open_container, open_video, probe, to_rgb

TIME_BASE = Fraction(1, 90000)   # of the pictures, fine enough for every usual frame rate
FADE_S = Fraction(5, 1000)       # of the sound at joins, against clicks
AAC_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
AUDIO_CHUNK = 1024               # samples of an AAC frame
QUALITY = dict(crf="20", preset="veryfast")

Interval = tuple[Fraction, Fraction]


def cut(path: str | os.PathLike, intervals_s: Sequence[tuple[float | Fraction, float | Fraction]],
        out: str | os.PathLike, *, progress: bool = False) -> None:
    """Joins pieces of a video into an mp4 (H.264 and AAC), encoded anew.

    The result has exactly the pictures whose time lies in an interval, at their own distances, turned
    and shaped as displayed, sizes made even by cutting a line off; and exactly the sound of the
    intervals, faded over 5 ms at the joins.

    Args:
        path: of a video.
        intervals_s: [start, end), ascending and apart, counted from the first picture.
        out: the mp4, which appears whole or not at all.
        progress: whether a bar is drawn on stderr.

    Raises:
        InputError: as `probe`; no picture in the intervals; the output cannot be written.
    """
    intervals = [(Fraction(start), Fraction(end)) for start, end in intervals_s]
    bounds = [bound for interval in intervals for bound in interval]
    if not intervals or any(start >= end for start, end in intervals) or bounds != sorted(bounds):
        raise ValueError(f"intervals must ascend and lie apart, each with its end after its start: {intervals_s}")
    info = probe(path)
    intervals = [(start, min(end, info.duration_s)) for start, end in intervals if start < info.duration_s]
    if not intervals:
        raise InputError(f"{path}: nothing to cut, the intervals begin after its end at {float(info.duration_s):.2f} s")
    if os.path.exists(out) and os.path.samefile(path, out):
        raise InputError(f"{out}: is the video itself; name another output")
    with atomic_path(out) as temporary, _writing(out):
        with av.open(str(temporary), "w", format="mp4", options=dict(movflags="+faststart")) as container:
            _write(container, info, intervals, progress)


@contextmanager
def _writing(out: str | os.PathLike) -> Iterator[None]:
    try:
        yield
    except (av.error.FFmpegError, OSError) as err:
        raise InputError(f"{out}: could not be written ({getattr(err, 'strerror', None) or err}); is the disk full?") from err


def _write(container: OutputContainer, info: VideoInfo, intervals: list[Interval], progress: bool) -> None:
    total_s = sum(end - start for start, end in intervals)
    bar = tqdm(total=round(float(total_s), 1), desc="cutting", unit="s", file=sys.stderr, disable=not progress)
    video, sound = None, _Sound(container, info, intervals) if info.has_audio else None
    for at_s, frame in _frames(info, intervals):
        if video is None:
            video = container.add_stream("libx264", rate=info.fps, options=QUALITY)
            video.width, video.height, video.pix_fmt = frame.width, frame.height, "yuv420p"
            video.time_base = video.codec_context.time_base = TIME_BASE
            video.thread_type = "AUTO"
            for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
                setattr(video.codec_context, name, getattr(frame, name))
        frame.pts, frame.time_base, frame.pict_type = round(at_s / TIME_BASE), TIME_BASE, PictureType.NONE
        container.mux(video.encode(frame))
        if sound is not None:
            sound.write_until(at_s)
        bar.update(round(float(at_s), 1) - bar.n)
    if video is None:
        raise InputError(f"{info.path}: no picture lies in the intervals; choose longer ones")
    container.mux(video.encode(None))
    if sound is not None:
        sound.write_until(total_s)
        sound.close()
    bar.update(bar.total - bar.n)
    bar.close()


def _frames(info: VideoInfo, intervals: list[Interval]) -> Iterator[tuple[Fraction, VideoFrame]]:
    """The intervals' frames, ready to encode, with their times in the output; a piece's first one begins it."""
    before_s = Fraction(0)
    with open_video(info.path) as (container, stream):
        aspect = stream.sample_aspect_ratio or Fraction(1)
        for start_s, end_s in intervals:
            container.seek(int((info.start_s + start_s) / stream.time_base), stream=stream, backward=True)
            first = True
            for frame in decode_frames(container, stream):
                at_s = frame_time(frame) - info.start_s
                if at_s >= end_s:
                    break
                if at_s >= start_s:
                    yield before_s + (Fraction(0) if first else at_s - start_s), _displayed(frame, info, aspect)
                    first = False
            before_s += end_s - start_s


def _displayed(frame: VideoFrame, info: VideoInfo, aspect: Fraction) -> VideoFrame:
    """A yuv420p frame as displayed, of even size."""
    width, height = info.width - info.width % 2 or 2, info.height - info.height % 2 or 2
    plain = info.rotation_deg == 0 and aspect == 1 and (width, height) == (frame.width, frame.height)
    if plain:
        return frame.reformat(format="yuv420p")
    picture = to_rgb(frame, aspect)
    picture = np.pad(picture, ((0, max(0, height - len(picture))), (0, max(0, width - picture.shape[1])), (0, 0)), "edge")
    return VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24").reformat(format="yuv420p")


class _Sound:
    """Writes the sound of the intervals as far as the pictures have come, so that neither waits in memory."""

    def __init__(self, container: OutputContainer, info: VideoInfo, intervals: list[Interval]):
        with open_container(info.path) as source:
            context = source.streams.audio[0].codec_context
            rate_hz = min(AAC_RATES_HZ, key=lambda r: (r < min(context.sample_rate, 48000), abs(r - context.sample_rate)))
            self.layout = "mono" if context.channels == 1 else "stereo"
        self.container, self.rate_hz = container, rate_hz
        self.stream = container.add_stream("aac", rate=rate_hz, layout=self.layout)
        self.stream.bit_rate = 160_000 if self.layout == "stereo" else 96_000
        self.chunks = self._chunks(info, intervals)
        self.written = 0

    def write_until(self, time_s: Fraction) -> None:
        while self.written < time_s * self.rate_hz:
            chunk = next(self.chunks, None)
            if chunk is None:
                return
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(chunk), format="fltp", layout=self.layout)
            frame.sample_rate, frame.pts, frame.time_base = self.rate_hz, self.written, Fraction(1, self.rate_hz)
            self.container.mux(self.stream.encode(frame))
            self.written += chunk.shape[1]

    def close(self) -> None:
        self.container.mux(self.stream.encode(None))

    def _chunks(self, info: VideoInfo, intervals: list[Interval]) -> Iterator[np.ndarray]:
        """All pieces' samples (channels, AUDIO_CHUNK), the last one shorter."""
        held = np.zeros((1 if self.layout == "mono" else 2, 0), np.float32)
        before_s = Fraction(0)
        for start_s, end_s in intervals:
            size = round((before_s + end_s - start_s) * self.rate_hz) - round(before_s * self.rate_hz)
            for samples in self._piece(info, start_s, size):
                held = np.concatenate([held, samples], axis=1)
                while held.shape[1] >= AUDIO_CHUNK:
                    yield held[:, :AUDIO_CHUNK]
                    held = held[:, AUDIO_CHUNK:]
            before_s += end_s - start_s
        if held.shape[1]:
            yield held

    def _piece(self, info: VideoInfo, start_s: Fraction, size: int) -> Iterator[np.ndarray]:
        """One interval's samples (channels, n), `size` in all, faded at both ends."""
        fade = max(1, min(round(FADE_S * self.rate_hz), size // 2))
        done = 0
        for samples in read_samples(info.path, info.start_s, start_s, self.rate_hz, self.layout):
            samples = samples[:, :size - done]
            if not samples.shape[1]:
                break
            at = done + np.arange(samples.shape[1])
            gain = np.minimum(1, np.minimum((at + 1) / fade, (size - at) / fade)).astype(np.float32)
            yield samples * gain
            done += samples.shape[1]
        while done < size:   # the sound ends before the pictures
            n = min(size - done, AUDIO_CHUNK)
            yield np.zeros((1 if self.layout == "mono" else 2, n), np.float32)
            done += n
