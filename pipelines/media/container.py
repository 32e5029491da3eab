"""Opening of media files, reading and decoding of their packets, and seeking."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from common.errors import InputError
from common.memory import trim_heap

IMAGE_FORMATS = ("image2", "_pipe", "ico", "fits")   # Suffixes of FFmpeg's names of still-image formats.
IMAGE_BRANDS = {"heic", "heix", "heim", "heis", "mif1", "avif"}   # Major brands of still images in an mp4 container.
TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}   # FFmpeg would render such a text file as a video.
LOCAL_PROTOCOLS = dict(protocol_whitelist="file,crypto,data")   # A playlist must not load anything over the network.
SEEKABLE_FORMATS = ("mov,", "matroska,", "mpegts", "avi", "flv", "asf")   # Time stamps stay exact after a seek.
MIN_LARGE_INDEX = 50_000   # Packets from which a container's index occupies megabytes of memory.


class DeviceError(RuntimeError):
    """A hardware decoder cannot decode a file; the file itself may be intact."""


@contextmanager
def open_container(path: str | os.PathLike, device: str | None = None) -> Iterator[InputContainer]:
    """Open a media file for reading.

    Args:
        path: file to open.
        device: hardware device that decodes the video, see `pipelines.media.hwaccel`; None for the CPU.

    Raises:
        InputError: the file is missing, empty, unreadable, not a regular file, or not a media file; or reading it
            fails within the block.
        DeviceError: the device cannot be used.
    """
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            problem = "is a folder" if path.is_dir() else "is not a regular file"
            raise InputError(path, problem, "specify a video file")
        if status.st_size == 0:
            raise InputError(path, "is empty (0 bytes)", "copy it again")
        # An absolute path cannot be mistaken for an option (-x) or a URL (a:b).
        container = _open(str(path.absolute()), device)
    except InputError:
        raise
    except (FileNotFoundError, NotADirectoryError) as err:
        raise InputError(path, "no such file", "check the name") from err
    except PermissionError as err:
        raise InputError(path, "cannot be read (permission denied)", "change its permissions or copy it") from err
    except (av.error.FFmpegError, OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or err
        raise InputError(path, f"is not a readable video ({reason})",
                         "if it is a video, it is damaged or incomplete: copy or convert it again") from err
    if sum(stream.frames for stream in container.streams) > MIN_LARGE_INDEX:
        trim_heap()   # Sorting a large index needs twice its memory.
    with container, read_errors(path):
        yield container


def _open(name: str, device: str | None) -> InputContainer:
    if device is None:
        return av.open(name, metadata_errors="replace", container_options=LOCAL_PROTOCOLS)
    try:
        # Without this fallback, a device that fails raises an error; FFmpeg would silently continue on the CPU.
        return av.open(name, metadata_errors="replace", container_options=LOCAL_PROTOCOLS,
                       hwaccel=HWAccel(device, allow_software_fallback=False))
    except (av.error.FFmpegError, OSError, ValueError, NotImplementedError) as err:
        raise DeviceError(getattr(err, "strerror", None) or str(err)) from err


@contextmanager
def read_errors(path: str | os.PathLike) -> Iterator[None]:
    """Translate FFmpeg's errors within the block into an InputError that names the file."""
    try:
        yield
    except av.error.FFmpegError as err:
        raise InputError(path, f"reading failed ({err.strerror})", "copy or convert the file again") from err


@contextmanager
def open_video(path: str | os.PathLike,
               device: str | None = None) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and select its main video stream; cover art and thumbnails do not count.

    Args:
        path: file to open.
        device: see `open_container`.

    Raises:
        InputError: as `open_container`; or the file is an image or a text file, or has no video stream that can be
            decoded.
        DeviceError: the device cannot be used, or does not decode this codec.
    """
    with open_container(path, device) as container:
        name = container.format.name
        if name.endswith(IMAGE_FORMATS) or container.metadata.get("major_brand", "").strip() in IMAGE_BRANDS:
            raise InputError(path, "is an image, not a video", "specify a video file")
        if name in TEXT_FORMATS:
            raise InputError(path, "is a text file, not a video", "specify a video file")
        covers = Disposition.attached_pic | Disposition.timed_thumbnails
        streams = [stream for stream in container.streams.video if not stream.disposition & covers]
        if not streams:
            only_audio = ", only audio" if container.streams.audio else ""
            raise InputError(path, f"contains no video stream{only_audio}", "specify a video file")
        best = container.streams.best("video")
        stream = best if best in streams else streams[0]
        if stream.codec_context is None:
            raise InputError(path, "its video codec cannot be decoded", "convert the file to H.264")
        if device is not None and not stream.codec_context.is_hwaccel:
            raise DeviceError(f"it does not decode {stream.codec_context.codec.canonical_name}")
        stream.thread_type = "AUTO" if device is None else "SLICE"   # Frame threads are of no use to a device.
        yield container, stream


def audio_stream(container: InputContainer) -> AudioStream | None:
    """Return the main audio stream, or None if there is none that can be decoded."""
    stream = container.streams.best("audio")
    usable = stream is not None and stream.codec_context is not None and stream.codec_context.sample_rate
    return stream if usable else None


def frame_rate(stream: VideoStream) -> Fraction:
    """Return the frames per second that the file states, or 25 if it states none."""
    return Fraction(stream.average_rate or stream.guessed_rate or 25)


def read_packets(container: InputContainer, stream: Stream) -> Iterator[Packet]:
    """Yield a stream's packets, then an empty one that flushes the decoder.

    A truncated file ends at its last readable packet.
    """
    try:
        yield from container.demux(stream)
    except av.error.FFmpegError as err:
        if isinstance(err, OSError) and not isinstance(err, EOFError):
            raise   # The disk failed; the file is not truncated.
        yield Packet()


def decode_packets(packets: Iterable[Packet], stream: Stream, strict: bool = False) -> Iterator:
    """Yield the frames (or subtitles) that packets decode to.

    Args:
        packets: packets of the stream.
        stream: the stream whose decoder is used.
        strict: raise FFmpeg's error at a damaged packet instead of skipping the packet.
    """
    for packet in packets:
        try:
            frames = stream.decode(packet)
        except av.error.FFmpegError:
            if strict:
                raise
            continue
        yield from frames


def supports_exact_seek(container: InputContainer) -> bool:
    """Return True if time stamps stay exact after a seek; those of an MPEG program stream, e.g., are estimated."""
    return container.format.name.startswith(SEEKABLE_FORMATS)


def seek(container: InputContainer, stream: Stream, time_s: Fraction) -> bool:
    """Seek to a key frame at or before a time stamp in seconds, according to the file's index.

    Returns:
        False if the container cannot seek exactly.
    """
    if not supports_exact_seek(container):
        return False
    try:
        container.seek(int(time_s // stream.time_base), stream=stream, backward=True)
    except av.error.FFmpegError:
        return False
    return True
