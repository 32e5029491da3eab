"""Reading videos: what a file holds, and the pictures shown at given times."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.frame import Frame
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from common.errors import InputError

READ_WHOLE_BYTES = 64 << 20     # smaller files have all their packets counted, larger ones their end
PICTURE_FORMATS = ("image2", "_pipe")
TAIL_S = 10                     # how much of a large file's end is read to learn when it ends


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds. Times of the whole package count from its first picture.

    Attributes:
        path: of the file, absolute.
        duration_s: end of the last picture.
        fps: pictures a second, on average.
        n_frames: pictures; of large files as their header says.
        width: of the picture as displayed, after rotation and sample aspect ratio.
        height: likewise.
        start_s: the first picture's own time stamp.
        has_audio: whether there is a sound stream.
        rotation_deg: anticlockwise turn to be applied for display, 0, 90, 180 or 270.
        codec: of the pictures.
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


def probe(path: str | os.PathLike) -> VideoInfo:
    """Reads what a video file holds; the ends of its pictures are measured, not believed.

    Raises:
        InputError: no such file, not a video, a picture, without a picture stream, or none of its
            pictures can be decoded.
    """
    with open_video(path) as (container, stream):
        frame = next(decode_frames(container, stream), None)
        if frame is None:
            raise InputError(f"{path}: none of its pictures can be decoded; the file is damaged or cut off, copy or "
                             "convert it again")
        rotation = round(frame.rotation / 90) * 90 % 360
        aspect = stream.sample_aspect_ratio or Fraction(1)
        width, height = max(1, round(frame.width * (aspect or 1))), frame.height
        if rotation in (90, 270):
            width, height = height, width
        has_audio, codec = bool(container.streams.audio), stream.codec_context.name
        fps = stream.average_rate or stream.guessed_rate or Fraction(25)
        first = frame_time(frame)
    start_s, end_s, n_frames = _measure(Path(path), Fraction(fps), first)
    return VideoInfo(path=Path(path).resolve(), duration_s=end_s - start_s, fps=Fraction(fps), n_frames=n_frames,
                     width=width, height=height, start_s=start_s, has_audio=has_audio, rotation_deg=rotation,
                     codec=codec)


def frames_at(path: str | os.PathLike, times_s: Iterable[float | Fraction], *,
              short_side_px: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Gives the pictures shown at given times, in one streamed pass.

    Args:
        path: of a video.
        times_s: ascending, from the first picture's time; the picture shown is the last one that
            began by then, before the first the first, after the end the last.
        short_side_px: scale to it; None keeps the displayed size.

    Yields:
        Index into `times_s` and the picture (H, W, 3) uint8 RGB, turned as displayed. Only the
        pictures asked for are converted; one picture is held at a time.

    Raises:
        InputError: as `probe`.
    """
    times = [Fraction(t) for t in times_s]
    if any(b < a for a, b in zip(times, times[1:], strict=False)):
        raise ValueError("times_s must ascend")
    k, shown, start = 0, None, Fraction(0)
    with open_video(path) as (container, stream):
        aspect = stream.sample_aspect_ratio or Fraction(1)
        for frame in decode_frames(container, stream):
            if shown is None:
                start = frame_time(frame)
            elif times[k] < frame_time(frame) - start:
                picture = to_rgb(shown, aspect, short_side_px)
                while k < len(times) and times[k] < frame_time(frame) - start:
                    yield k, picture
                    k += 1
            if k == len(times):
                return
            shown = frame
        if shown is None:
            raise InputError(f"{path}: none of its pictures can be decoded; copy or convert it again")
        picture = to_rgb(shown, aspect, short_side_px)
        for index in range(k, len(times)):
            yield index, picture


@contextmanager
def open_container(path: str | os.PathLike) -> Iterator[InputContainer]:
    """Opens a media file for reading.

    Raises:
        InputError: no such file, a folder, empty, not to be read, or not media.
    """
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path}: a folder, not a video file")
        if status.st_size == 0:
            raise InputError(f"{path}: empty, 0 bytes; copy it again")
        container = av.open(str(path.resolve()))   # absolute: a name like -x or a:b is no option or address
    except FileNotFoundError as err:
        raise InputError(f"{path}: no such file") from err
    except PermissionError as err:
        raise InputError(f"{path}: may not be read; change its rights or copy it") from err
    except (av.error.FFmpegError, OSError, ValueError) as err:
        if isinstance(err, InputError):
            raise
        raise InputError(f"{path}: not a video that can be read ({getattr(err, 'strerror', None) or err}); if it is one, "
                         "it is damaged or cut off: copy or convert it again") from err
    with container:
        yield container


@contextmanager
def open_video(path: str | os.PathLike) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Opens a file and its first stream of moving pictures, cover art not counted.

    Raises:
        InputError: as `open_container`; or a picture, or without such a stream.
    """
    with open_container(path) as container:
        if container.format.name.endswith(PICTURE_FORMATS):
            raise InputError(f"{path}: a picture, not a video")
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            kind = "only sound" if container.streams.audio else "no pictures"
            raise InputError(f"{path}: {kind} in it, no video stream; name a video")
        if streams[0].codec_context is None:
            raise InputError(f"{path}: its pictures are in a format that cannot be decoded; convert it to H.264")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def decode_frames(container: InputContainer, stream: Stream) -> Iterator[Frame]:
    """A stream's frames with a time stamp, in order; damaged packets are passed over, the rest decodes."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError):   # the end, or cut off in the middle of a packet
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            continue
        yield from (frame for frame in frames if frame.pts is not None)


def frame_time(frame: VideoFrame) -> Fraction:
    """The frame's own time stamp in seconds."""
    return frame.pts * frame.time_base


def to_rgb(frame: VideoFrame, aspect: Fraction = Fraction(1), short_side_px: int | None = None) -> np.ndarray:
    """A frame as displayed, (H, W, 3) uint8 RGB.

    Args:
        aspect: width of a sample over its height.
        short_side_px: scale to it; None keeps the size.
    """
    width, height = max(1, round(frame.width * aspect)), frame.height
    if short_side_px is not None:
        scale = Fraction(short_side_px, min(width, height))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    picture = frame.to_ndarray(format="rgb24", width=width, height=height)
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _measure(path: Path, fps: Fraction, first: Fraction) -> tuple[Fraction, Fraction, int]:
    """Time stamp of the first picture, end of the last one, and how many there are."""
    with open_video(path) as (container, stream):
        whole = path.stat().st_size <= READ_WHOLE_BYTES
        if not whole and not _seek_to_end(container, stream):
            whole = True
        end, count = first, 0
        try:
            for packet in container.demux(stream):
                if packet.pts is None or packet.is_discard:
                    continue
                length = packet.duration * packet.time_base if packet.duration else 1 / fps
                end, count = max(end, packet.pts * packet.time_base + length), count + 1
        except av.error.FFmpegError:
            pass   # cut off: what was read counts
        end = end if end > first else first + 1 / fps
        n_frames = count if whole else stream.frames or round((end - first) * fps)
        return first, end, max(1, n_frames)


def _seek_to_end(container: InputContainer, stream: VideoStream) -> bool:
    """Goes to some seconds before the end that the header claims; False where that is not possible."""
    if stream.duration is not None:
        claimed = (stream.start_time or 0) + stream.duration
        at = claimed - round(TAIL_S / stream.time_base)
        target = dict(offset=max(at, 0), stream=stream)
    elif container.duration is not None:
        at = (container.start_time or 0) + container.duration - TAIL_S * av.time_base
        target = dict(offset=max(at, 0))
    else:
        return False
    try:
        container.seek(**target, backward=True)
    except av.error.FFmpegError:
        return False
    return True
