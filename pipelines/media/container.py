"""Opening media files: the errors a user sees, a file's pictures in order of time, and how they are displayed."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from common.errors import InputError
from common.memory import trim_heap

from .frame_skipping import spared_before

PICTURE_FORMATS = ("image2", "_pipe", "ico", "fits")         # single pictures, as FFmpeg names their formats
PICTURE_BRANDS = {"heic", "heix", "heim", "heis", "mif1", "avif"}   # single pictures in an mp4's clothes
TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}          # FFmpeg would type a text on a screen
PROTOCOLS = dict(protocol_whitelist="file,crypto,data")      # a playlist loads nothing from elsewhere
SEEKABLE_FORMATS = ("mov,", "matroska,", "mpegts", "avi", "flv", "asf")   # exact time stamps wherever one begins
WIDEST_SAMPLE = 8                                            # a stated sample aspect beyond it is a mistake
FINEST_PER_S = 1_000_000                                     # floats are times of at most a millionth's precision
LONG_INDEX = 50_000                                          # packets: MBs of memory
SEEK_EARLIER_S = (0, 1, 4, 16, 64)                           # tried in turn, then the file's start

Frames = Iterator[tuple[Fraction, VideoFrame]]               # with their times in seconds


def exact_s(time_s: float | Fraction) -> Fraction:
    """A time as the fraction that is meant: the float 0.04 is a bit more than 1/25, and means 1/25."""
    if isinstance(time_s, (int, Fraction)):
        return Fraction(time_s)
    return Fraction(float(time_s)).limit_denominator(FINEST_PER_S)


@dataclass(frozen=True)
class Display:
    """How decoded pictures are displayed.

    Attributes:
        stored_width: what a decoded picture is scaled to, so that its samples are square.
        stored_height: likewise.
        transposed: rows become columns.
        flip_x: left and right are exchanged, after that.
        flip_y: top and bottom are exchanged, after that.
    """

    stored_width: int
    stored_height: int
    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def width(self) -> int:
        return self.stored_height if self.transposed else self.stored_width

    @property
    def height(self) -> int:
        return self.stored_width if self.transposed else self.stored_height

    @property
    def rotation_deg(self) -> int:
        """Anticlockwise turn: 0, 90, 180 or 270; of a mirrored picture, before it is mirrored left and right."""
        return (90 if self.transposed else 0) + (180 if self.flip_y != self.transposed else 0)

    def turn(self, plane: np.ndarray) -> np.ndarray:
        """A view of a stored picture (H, W, ...) as displayed."""
        plane = plane.swapaxes(0, 1) if self.transposed else plane
        return plane[::-1 if self.flip_y else 1, ::-1 if self.flip_x else 1]


class DeviceError(RuntimeError):
    """Hardware does not decode a file; says why. The file may be sound."""


@contextmanager
def open_container(path: str | os.PathLike, device: str | None = None) -> Iterator[InputContainer]:
    """Opens a media file for reading.

    Args:
        device: hardware that decodes its pictures, see `pipelines.media.hwaccel`; None for the processor.

    Raises:
        InputError: no such file, a folder, no file at all, empty, not to be read, or not media.
        DeviceError: the device cannot be used.
    """
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path}: {'a folder' if path.is_dir() else 'no ordinary file'}; name a video file")
        if status.st_size == 0:
            raise InputError(f"{path}: empty, 0 bytes; copy it again")
        # absolute, so that a name like -x or a:b is neither an option nor an address
        container = _open(str(path.absolute()), device)
    except InputError:
        raise
    except (FileNotFoundError, NotADirectoryError) as err:
        raise InputError(f"{path}: no such file; check the name") from err
    except PermissionError as err:
        raise InputError(f"{path}: may not be read; change its rights or copy it") from err
    except (av.error.FFmpegError, OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or err
        raise InputError(f"{path}: not a video that can be read ({reason}); if it is one, it is damaged or cut "
                         "off: copy or convert it again") from err
    if sum(stream.frames for stream in container.streams) > LONG_INDEX:
        trim_heap()   # sorting a long file's index takes twice its size
    with container, reading(path):
        yield container


def _open(name: str, device: str | None) -> InputContainer:
    if device is None:
        return av.open(name, metadata_errors="replace", container_options=PROTOCOLS)
    try:   # where the device cannot, decoding is to fail: FFmpeg would go on by the processor and not tell
        return av.open(name, metadata_errors="replace", container_options=PROTOCOLS,
                       hwaccel=HWAccel(device, allow_software_fallback=False))
    except (av.error.FFmpegError, OSError, ValueError, NotImplementedError) as err:
        raise DeviceError(getattr(err, "strerror", None) or str(err)) from err


@contextmanager
def reading(path: str | os.PathLike) -> Iterator[None]:
    """Says of a file what fails while it is read."""
    try:
        yield
    except av.error.FFmpegError as err:
        raise InputError(f"{path}: reading it failed ({err.strerror}); copy or convert it again") from err


@contextmanager
def open_video(path: str | os.PathLike,
               device: str | None = None) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Opens a file and its main stream of moving pictures; cover art does not count.

    Args:
        device: see `open_container`.

    Raises:
        InputError: as `open_container`; or a picture, a text, or no such stream.
        DeviceError: the device cannot be used, or not for this format.
    """
    with open_container(path, device) as container:
        name = container.format.name
        if name.endswith(PICTURE_FORMATS) or container.metadata.get("major_brand", "").strip() in PICTURE_BRANDS:
            raise InputError(f"{path}: a picture, not a video; name a video file")
        if name in TEXT_FORMATS:
            raise InputError(f"{path}: a text, not a video; name a video file")
        covers = Disposition.attached_pic | Disposition.timed_thumbnails
        streams = [stream for stream in container.streams.video if not stream.disposition & covers]
        if not streams:
            kind = "only sound" if container.streams.audio else "no pictures"
            raise InputError(f"{path}: {kind} in it, no video stream; name a video file")
        best = container.streams.best("video")
        stream = best if best in streams else streams[0]
        if stream.codec_context is None:
            raise InputError(f"{path}: its pictures are in a format that cannot be decoded; convert it to H.264")
        if device is not None and not stream.codec_context.is_hwaccel:
            raise DeviceError(f"it does not decode {stream.codec_context.codec.canonical_name}")
        stream.thread_type = "AUTO" if device is None else "SLICE"   # a device has its own ways
        yield container, stream


def sound_stream(container: InputContainer) -> AudioStream | None:
    """The main stream of sound that can be decoded, if any."""
    stream = container.streams.best("audio")
    usable = stream is not None and stream.codec_context is not None and stream.codec_context.sample_rate
    return stream if usable else None


def read_packets(container: InputContainer, stream: Stream) -> Iterator[Packet]:
    """A stream's packets, and an empty one at the end; a file that is cut off ends where it is."""
    try:
        yield from container.demux(stream)
    except av.error.FFmpegError as err:
        if isinstance(err, OSError) and not isinstance(err, EOFError):
            raise   # the disk fails, not the file
        yield Packet()


def decode_packets(packets: Iterable[Packet], stream: Stream, strict: bool = False) -> Iterator:
    """The frames of packets; damaged packets are passed over, or if `strict` raise FFmpeg's error."""
    for packet in packets:
        try:
            frames = stream.decode(packet)
        except av.error.FFmpegError:
            if strict:
                raise
            continue
        yield from frames


def in_order(frames: Iterable[VideoFrame], stream: VideoStream) -> Frames:
    """Frames with their own time stamps in seconds, strictly rising.

    A frame without a stamp follows the one before it; one that steps back in time is left out.
    """
    step_s = 1 / frame_rate(stream)
    last_s = None
    for frame in frames:
        if frame.pts is not None:
            time_s = frame.pts * frame.time_base
        else:
            time_s = Fraction(0) if last_s is None else last_s + step_s
        if last_s is None or time_s > last_s:
            yield time_s, frame
            last_s = time_s


def frame_rate(stream: VideoStream) -> Fraction:
    """Pictures a second as the file states it, 25 where it does not."""
    return Fraction(stream.average_rate or stream.guessed_rate or 25)


def frames_from(path: Path, zero_s: Fraction, start_s: Fraction,
                opened: tuple[InputContainer, VideoStream] | None = None, *,
                sparing: bool = False) -> Frames:
    """Frames with their times since `zero_s`, from a key frame at or before `start_s` on.

    Starting points that a file offers can lie, so a seek counts only if a key frame comes of it that
    is early enough; else it is made earlier, at last from the file's start.

    Args:
        opened: of `open_video`, for reading from one time after another, since a long file takes long to open;
            what was read from it before ends. None opens the file.
        sparing: leaves out pictures before `start_s` that no other is made from, as far as the decoder can.

    Raises:
        InputError: as `open_video`.
    """
    with open_video(path) if opened is None else reading(path) as just_opened:
        container, stream = opened or just_opened
        needed_s = zero_s + start_s if sparing else None
        for earlier_s in SEEK_EARLIER_S:
            target_s = start_s - earlier_s
            if target_s <= 0 or not seek(container, stream, zero_s + target_s):
                break
            frames = _read_on(container, stream, needed_s)
            key_s, key = next(((time_s, frame) for time_s, frame in frames if frame.key_frame), (None, None))
            if key is not None and key.pts is not None and key_s - zero_s <= start_s:
                yield key_s - zero_s, key
                yield from ((time_s - zero_s, frame) for time_s, frame in frames)
                return
    with open_video(path) as (container, stream):
        yield from ((time_s - zero_s, frame) for time_s, frame in _read_on(container, stream, needed_s))


def _read_on(container: InputContainer, stream: VideoStream, needed_s: Fraction | None = None) -> Frames:
    """Frames from where the file is read; before an own time stamp only such as others are made from."""
    packets = read_packets(container, stream)
    if needed_s is not None:   # the first half of an interlaced picture may be a packet of its own
        packets = spared_before(packets, stream, needed_s - 1 / frame_rate(stream))
    return in_order(decode_packets(packets, stream), stream)


def seekable(container: InputContainer) -> bool:
    """Whether time stamps are exact after a seek; an MPEG program stream's, for one, are guessed."""
    return container.format.name.startswith(SEEKABLE_FORMATS)


def seek(container: InputContainer, stream: Stream, time_s: Fraction) -> bool:
    """Goes to a key frame before an own time stamp, as far as the file tells; False if it cannot."""
    if not seekable(container):
        return False
    try:
        container.seek(int(time_s // stream.time_base), stream=stream, backward=True)
    except av.error.FFmpegError:
        return False
    return True


def first_picture(path: str | os.PathLike) -> tuple[Fraction, Display]:
    """The first picture's own time stamp in seconds, from which all times count, and how it is displayed.

    Raises:
        InputError: as `open_video`, or none of its pictures can be decoded.
    """
    with open_video(path) as (container, stream):
        stream.thread_type = "SLICE"   # threads across frames would delay the first one
        for time_s, frame in _read_on(container, stream):
            return time_s, display_of(frame, stream)
    raise no_pictures(path)


def no_pictures(path: str | os.PathLike) -> InputError:
    return InputError(f"{path}: none of its pictures can be decoded; the file is damaged or cut off, copy or "
                      "convert it again")


def display_of(frame: VideoFrame, stream: VideoStream) -> Display:
    """How a stream is displayed, from its sample aspect ratio and its first frame's display matrix."""
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if not Fraction(1, WIDEST_SAMPLE) <= aspect <= WIDEST_SAMPLE:
        aspect = Fraction(1)
    width, height = frame.width, frame.height
    if aspect > 1:   # samples become square by enlarging, never by losing lines
        width = round(width * aspect)
    else:
        height = round(height / aspect)
    matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    if matrix is None:
        return Display(width, height)
    # (x, y) is shown at (a x + c y, b x + d y), each a signed 16.16 number
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Display(width, height, True, flip_x=c < 0, flip_y=b < 0)
    return Display(width, height, False, flip_x=a < 0, flip_y=d < 0)


def to_rgb(frame: VideoFrame, display: Display, short_side_px: int | None = None) -> np.ndarray:
    """A frame as displayed, (H, W, 3) uint8 RGB, C-contiguous.

    Args:
        short_side_px: the shorter side is scaled to it; None keeps the size.
    """
    width, height = display.stored_width, display.stored_height
    if short_side_px is not None:
        scale = Fraction(short_side_px, min(width, height))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    picture = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="BICUBIC")
    return np.ascontiguousarray(display.turn(picture))


def to_yuv420p(frame: VideoFrame, display: Display) -> VideoFrame:
    """A frame as displayed, 8 bit 4:2:0 of the usual (limited) range and even size.

    An odd line or column is left out; nothing is scaled unless samples are not square.
    """
    width, height = (size - size % 2 or 2 for size in (display.stored_width, display.stored_height))
    cropped = (width, height) == (frame.width // 2 * 2, frame.height // 2 * 2)
    size = (frame.width, frame.height) if cropped else (width, height)
    colorspace = Colorspace.ITU709 if frame.format.is_rgb else None
    plain = frame.reformat(*size, "yuv420p", dst_colorspace=colorspace, interpolation="BICUBIC",
                           dst_color_range=ColorRange.MPEG)
    if size == (width, height) and not (display.transposed or display.flip_x or display.flip_y):
        return plain
    return _rearranged(plain, display, width, height)


def _rearranged(frame: VideoFrame, display: Display, width: int, height: int) -> VideoFrame:
    """A yuv420p frame, its lower right cut off at an even (width, height), turned as displayed."""
    shown = (height, width) if display.transposed else (width, height)
    result = VideoFrame(*shown, "yuv420p")
    for plane, target, shrink in zip(frame.planes, result.planes, (1, 2, 2), strict=True):
        stored = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height // shrink, :width // shrink]
        lines = np.frombuffer(target, np.uint8).reshape(-1, target.line_size)
        lines[:shown[1] // shrink, :shown[0] // shrink] = display.turn(stored)
    for name in ("colorspace", "color_range", "color_primaries", "color_trc"):
        setattr(result, name, getattr(frame, name))
    return result
