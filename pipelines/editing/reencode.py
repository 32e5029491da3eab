"""Cut a video by re-encoding: pieces are joined exactly to the frame and to the audio sample."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import av
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange

from common.errors import InputError
from common.files import atomic_path
from common.parallel import parallel_chain
from common.progress import Progress, progress_reporter
from common.temporal import Interval
from pipelines.media.container import open_video, supports_exact_seek
from pipelines.media.deinterlace import deinterlace
from pipelines.media.display import Display, to_yuv420p
from pipelines.media.frames import Frames, frames_from, probe_first_frame
from pipelines.media.probe import VideoInfo
from pipelines.media.subtitles import Cue, cut_cues
from pipelines.media.tone_mapping import is_hdr

from .mp4_writer import EncodingMp4Writer
from .piece_audio import read_piece_audio
from .pieces import MIN_STILL_S, as_video_info, check_intervals, check_output, make_chapters, piece_starts_s
from .reframe import Camera, plan_camera

MAX_ENCODERS = 4                # Pieces that are encoded at the same time, each with an encoder and a decoder.
MAX_BUFFERED_BYTES = 32 << 20   # Packets of later pieces that are held in memory; half a minute of 720p video.

FrameReader = Callable[[Fraction], Frames]   # Reads frames from some time before the given one.


def cut(path: str | os.PathLike | VideoInfo, intervals_s: Sequence[tuple[float | Fraction, float | Fraction]],
        out: str | os.PathLike, *, progress: Progress = None, titles: Sequence[str] = (), cues: Sequence[Cue] = (),
        aspect: Fraction | None = None) -> None:
    """Join pieces of a video into an mp4, re-encoded as H.264 and AAC.

    The result has the frames whose presentation time is in an interval, with their original spacing; the first frame
    of a piece is shown from the start of the piece. The audio is exact to the sample, and faded over 5 ms at the
    joins. Frames are rotated and scaled as displayed, and deinterlaced; an odd row or column is dropped. HDR is
    tone-mapped to SDR.

    In videos with few frames, such as slides, a frame that is already on display at the start of a piece, and stays
    for more than a fifth of a second, is included. A piece without any frame shows the frame on display.

    Args:
        path: path of a video, or the result of `probe`.
        intervals_s: [start, end) in seconds from the first frame, ascending and disjoint; clipped to the end of the
            video.
        out: path of the mp4 file, which is written atomically.
        progress: True shows a progress bar on stderr; a function is called with the finished share, from 0 to 1.
        titles: one per piece, which become chapters; empty for no chapters.
        cues: subtitles of the video, in its time; those within the pieces become a subtitle stream.
        aspect: width to height of a crop that follows the most salient region; None keeps complete frames.

    Raises:
        InputError: `path` is not a readable video; there is no interval, or one is empty, out of order or entirely
            beyond the end; `out` is not an .mp4, is the video itself, or cannot be written.
    """
    info, out = as_video_info(path), Path(out).absolute()
    intervals = check_intervals(info, intervals_s)
    check_output(info.path, out)
    chapters, piece_cues = make_chapters(intervals, titles), cut_cues(cues, intervals)
    with atomic_path(out) as temporary, progress_reporter(progress, "cutting") as report:
        with EncodingMp4Writer(temporary, out, info, chapters, piece_cues) as mp4:
            _write_pieces(mp4, info, intervals, aspect, report)
        report(1.0)


def _write_pieces(mp4: EncodingMp4Writer, info: VideoInfo, intervals: list[Interval], aspect: Fraction | None,
                  report: Callable[[float], None]) -> None:
    """Encode several pieces in parallel, and write their video and audio interleaved."""
    total_s = sum(end - start for start, end in intervals)
    audio = read_piece_audio(info, intervals, mp4.rate_hz, mp4.layout)
    with _open_readers(info, min(len(intervals), MAX_ENCODERS, os.cpu_count() or 1)) as readers:
        n_encoders = readers.qsize()
        pieces = _PieceEncoder(mp4, info, readers, aspect)
        mp4.threads = _threads_per_codec(n_encoders)
        producers = [partial(pieces.encode, interval, piece_s, interval == intervals[-1])
                     for interval, piece_s in zip(intervals, piece_starts_s(intervals), strict=True)]
        with closing(parallel_chain(producers, n_encoders, MAX_BUFFERED_BYTES, _buffered_bytes, pieces.stop)) as items:
            for item in items:
                mp4.add(item)
                mp4.add_audio_until(mp4.video_s, audio)
                report(float(mp4.video_s / total_s))
    for samples in audio:
        mp4.add_audio(samples)
    mp4.finish()


def _threads_per_codec(n_encoders: int) -> int:
    """Return the threads of each encoder and decoder: 1.5 times the number of cores in total, x264's own default."""
    return -(-3 * (os.cpu_count() or 1) // (2 * n_encoders))


def _buffered_bytes(item: VideoFrame | Packet) -> int:
    return item.size if isinstance(item, Packet) else 0   # Frames do not count: there is at most one per thread.


class _PieceEncoder:
    """An encoder of pieces; each piece runs in a thread.

    Args:
        mp4: encodes the frames.
        info: properties of the video.
        readers: one per thread.
        aspect: see `cut`.
    """

    def __init__(self, mp4: EncodingMp4Writer, info: VideoInfo, readers: SimpleQueue[FrameReader],
                 aspect: Fraction | None):
        self.mp4, self.info, self.readers, self.aspect = mp4, info, readers, aspect
        _, self.display = probe_first_frame(info.path)
        self.stopped = Event()

    def stop(self) -> None:
        """Let all threads end at the next frame that they read."""
        self.stopped.set()
        self.mp4.first_frame.cancel()

    def encode(self, interval: Interval, piece_s: Fraction, last: bool) -> Iterator[VideoFrame | Packet]:
        """Encode a piece with a free reader; yields what `EncodingMp4Writer.encode` does.

        Args:
            interval: the piece.
            piece_s: start of the piece in the result, in seconds.
            last: True for the last piece.
        """
        read = self.readers.get()
        try:
            frames = self._render(self._until_stopped(read(interval[0])), interval)
            shifted = ((piece_s + time_s, frame) for time_s, frame in frames)
            yield from self.mp4.encode(shifted, piece_s + interval[1] - interval[0], last)
        finally:
            self.readers.put(read)

    def _until_stopped(self, frames: Frames) -> Frames:
        return itertools.takewhile(lambda _: not self.stopped.is_set(), frames)

    def _render(self, frames: Frames, interval: Interval) -> Frames:
        """Yield the frames of a piece ready for encoding, with their times from its start."""
        camera = None if self.aspect is None else self._plan_camera(*interval, self.aspect)
        for time_s, decoded in deinterlace(_frames_of_piece(frames, *interval)):
            try:
                frame = decoded if _is_ready(decoded, self.display) else to_yuv420p(decoded, self.display)
            except av.error.FFmpegError as err:
                raise InputError(self.info.path, f"its pixel format ({decoded.format.name}) cannot be converted to "
                                 "4:2:0", "convert it to H.264") from err
            if camera is not None:
                frame = camera.crop(frame, float(interval[0] + time_s))
            frame.color_range, frame.pict_type = ColorRange.MPEG, PictureType.NONE
            yield time_s, frame

    def _plan_camera(self, start_s: Fraction, end_s: Fraction, aspect: Fraction) -> Camera:
        frames = self._until_stopped(frames_from(self.info.path, self.info.start_s, start_s))
        return plan_camera(frames, self.display, start_s, end_s, aspect)


def _is_ready(frame: VideoFrame, display: Display) -> bool:
    """Return True if a frame can be encoded without conversion, which saves a sixth of the time."""
    plain = Display(frame.width - frame.width % 2, frame.height - frame.height % 2)
    return (frame.format.name == "yuv420p" and frame.color_range != ColorRange.JPEG and display == plain
            and not is_hdr(frame))


@contextmanager
def _open_readers(info: VideoInfo, number: int) -> Iterator[SimpleQueue[FrameReader]]:
    """Open the video several times; each reader reads one piece at a time.

    A file without exact seeking has one reader, which must read the pieces in order.
    """
    readers: SimpleQueue[FrameReader] = SimpleQueue()
    with ExitStack() as files:
        opened = files.enter_context(open_video(info.path))
        if supports_exact_seek(opened[0]):
            for i in range(number):
                opened = files.enter_context(open_video(info.path)) if i else opened
                opened[1].codec_context.thread_count = _threads_per_codec(number)
                readers.put(partial(frames_from, info.path, info.start_s, opened=opened))
        else:
            readers.put(_sequential_reader(info))
        yield readers


def _sequential_reader(info: VideoInfo) -> FrameReader:
    """Return a reader that decodes the file once and ignores the requested time."""
    frames = frames_from(info.path, info.start_s, Fraction(0))
    recent: list[tuple[Fraction, VideoFrame]] = []

    def read(_: Fraction) -> Frames:
        nonlocal recent
        # The previous piece has read one frame too many, and the frame before may still be on display.
        yield from recent
        for pair in frames:
            recent = [*recent[-1:], pair]
            yield pair

    return read


def _frames_of_piece(frames: Frames, start_s: Fraction, end_s: Fraction) -> Frames:
    """Yield the frames of [start_s, end_s) with their times from `start_s`; the first one is at 0."""
    on_display, started = None, False
    for time_s, frame in frames:
        if time_s >= end_s:
            break
        if time_s < start_s:
            on_display = frame
            continue
        if not started and on_display is not None and time_s - start_s > MIN_STILL_S:
            yield Fraction(0), on_display
            started = True
        yield time_s - start_s if started else Fraction(0), frame
        started = True
    if not started and on_display is not None:
        yield Fraction(0), on_display
