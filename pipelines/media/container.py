"""Opening of media files, reading and decoding of their packets, and seeking."""

from __future__ import annotations

import io
import os
import stat
import threading
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

from .presentation_times import FrameStamper, PresentationClock, lacks_presentation_times, with_presentation_times
from .timeline import TICKS_PER_S, PacketTable, Timeline, find_timeline, unusual_parts, without_inferred_times

IMAGE_FORMATS = ("image2", "_pipe", "ico", "fits")   # Suffixes of FFmpeg's names of still-image formats.
IMAGE_BRANDS = {"heic", "heix", "heim", "heis", "mif1", "avif"}   # Major brands of still images in an mp4 container.
TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}   # FFmpeg would render such a text file as a video.
LOCAL_PROTOCOLS = dict(protocol_whitelist="file,crypto,data")   # A playlist must not load anything over the network.
SEEKABLE_FORMATS = ("mov,", "matroska,", "mpegts", "avi", "flv", "asf")   # Time stamps stay exact after a seek.
COLOR_TAGS = ("color_trc", "color_primaries", "colorspace")   # As AVCodecContext and AVFrame name them.
UNSPECIFIED = 2                                               # The value of a tag that is not set.
MIN_LARGE_INDEX = 50_000   # Packets from which a container's index occupies megabytes of memory.
MPEG_FORMATS = {"mpegts", "mpeg"}   # Transport and program streams, whose time stamps may restart.
MAX_TIMELINES = 64       # Files whose timelines are remembered.

_container_colors: dict[int, dict[str, int]] = {}   # Color tags in the containers of open streams, by the stream's id.


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
        stream = _main_video(container)
        if stream is None:
            only_audio = ", only audio" if container.streams.audio else ""
            raise InputError(path, f"contains no video stream{only_audio}", "specify a video file")
        if stream.codec_context is None:
            raise InputError(path, "its video codec cannot be decoded", "convert the file to H.264")
        if device is not None and not stream.codec_context.is_hwaccel:
            raise DeviceError(f"it does not decode {stream.codec_context.codec.canonical_name}")
        stream.thread_type = "AUTO" if device is None else "SLICE"   # Frame threads are of no use to a device.
        with _remembered_colors(stream):
            yield container, stream


@contextmanager
def _remembered_colors(stream: VideoStream) -> Iterator[None]:
    """Remember the color tags of the container within the block, because some decoders (HEVC) overwrite them."""
    tags = {name: int(getattr(stream.codec_context, name)) for name in COLOR_TAGS}
    _container_colors[id(stream)] = {name: tag for name, tag in tags.items() if tag != UNSPECIFIED}
    try:
        yield
    finally:
        del _container_colors[id(stream)]


def _main_video(container: InputContainer) -> VideoStream | None:
    """Return the main video stream of the first program that has one; cover art and thumbnails do not count."""
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams:
        return None
    best = container.streams.best("video", streams[0])
    return best if best in streams else streams[0]


def audio_stream(container: InputContainer) -> AudioStream | None:
    """Return the main audio stream of the main video's program, or None if there is none that can be decoded."""
    video = _main_video(container)
    stream = container.streams.best("audio", video)
    if stream is None or stream.codec_context is None or not stream.codec_context.sample_rate:
        return None
    # FFmpeg finds a stream of another program if this one has none; that one belongs to another video.
    best = container.streams.best
    return stream if video is None or best("video", stream) == best("video", video) else None


def is_concatenated(container: InputContainer) -> bool:
    """Return True if a file consists of several MPEG streams, each with its own time stamps."""
    return _timeline_of(container) is not None


def frame_rate(stream: VideoStream) -> Fraction:
    """Return the frames per second that the file states, or 25 if it states none."""
    return Fraction(stream.average_rate or stream.guessed_rate or 25)


def read_packets(container: InputContainer, stream: Stream) -> Iterator[Packet]:
    """Yield a stream's packets with continuous, complete time stamps, then an empty one that flushes the decoder.

    A truncated file ends at its last readable packet. The time stamps of concatenated MPEG streams are shifted, so
    that time continues across the parts (`timeline`); presentation times that the container does not store are derived
    from the order of the frames (`presentation_times`).
    """
    packets, timeline = _demux(container, stream), _timeline_of(container)
    if timeline is not None:
        yield from timeline.apply(packets)
    elif isinstance(stream, VideoStream):
        yield from with_presentation_times(packets, stream, _clock(stream), container.format.name)
    else:
        yield from packets


def _demux(container: InputContainer, *streams: Stream) -> Iterator[Packet]:
    """Yield the streams' packets with their own time stamps; see `read_packets`."""
    try:
        if container.format.name in MPEG_FORMATS:
            yield from without_inferred_times(container.demux(*streams))
        else:
            yield from container.demux(*streams)
    except av.error.FFmpegError as err:
        if isinstance(err, OSError) and not isinstance(err, EOFError):
            raise   # The disk failed; the file is not truncated.
        yield Packet()
    except IndexError:   # At the end, PyAV fails on streams that appeared in the middle of the file.
        yield Packet()


class FileTail(io.FileIO):
    """A file from a byte position on."""

    def __init__(self, path: str, begin: int):
        super().__init__(path)
        self.begin = begin
        self.seek(0)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return super().seek(offset + (self.begin if whence == os.SEEK_SET else 0), whence) - self.begin

    def tell(self) -> int:
        return super().tell() - self.begin


_timelines: dict[tuple[str, int, int], Timeline | None] = {}   # By path, size, and time of modification.
_timelines_lock = threading.Lock()


def _timeline_of(container: InputContainer) -> Timeline | None:
    """Return the timeline of a concatenated MPEG stream; None for other files.

    Raises:
        InputError: as `_scan_timeline`.
    """
    if container.format.name not in MPEG_FORMATS:
        return None
    status = Path(container.name).stat()
    key = container.name, status.st_size, status.st_mtime_ns
    with _timelines_lock:
        if key not in _timelines:
            while len(_timelines) >= MAX_TIMELINES:
                del _timelines[next(iter(_timelines))]
            _timelines[key] = _scan_timeline(container.name)
        return _timelines[key]


def _scan_timeline(path: str) -> Timeline | None:
    """Find the timeline of an MPEG stream from all its packets, without decoding them.

    This takes 0.7 s for 300 MB, 2 % of the time in which the frames of such a file are encoded.

    Raises:
        InputError: the codec changes in the middle, or the video continues as another stream.
    """
    with open_container(path) as container:
        video, audio, expected = _main_video(container), audio_stream(container), _stream_keys(container)
        tables = {stream: PacketTable(_clock(stream)) for stream in (video, audio) if stream is not None}
        for packet in _demux(container, *tables):
            if packet.size:
                tables[packet.stream].add(packet)
        timeline = find_timeline(tables.get(video), tables.get(audio))
        for position, time_s in unusual_parts(timeline, [*tables.values()], container.size):
            _check_part(container, expected, position, time_s)
    return timeline


_StreamKey = tuple[str, str, int]   # Type, codec, and id of a stream.


def _stream_keys(container: InputContainer) -> list[_StreamKey]:
    """Return the keys of the main video stream and its audio stream, as far as they exist and can be decoded."""
    streams = _main_video(container), audio_stream(container)
    return [(stream.type, stream.codec_context.name, stream.id) for stream in streams
            if stream is not None and stream.codec_context is not None]


def _check_part(container: InputContainer, expected: list[_StreamKey], position: int, time_s: float) -> None:
    """Check that the part of a concatenated stream that begins at a byte position continues the expected streams."""
    try:
        with FileTail(container.name, position) as file, \
                av.open(file, format=container.format.name, metadata_errors="replace") as part:
            found = {kind: (codec, number) for kind, codec, number in _stream_keys(part)}
    except (av.error.FFmpegError, ValueError):
        return   # The part is too short to tell.
    for kind, codec, number in expected:
        new_codec, new_number = found.get(kind, (codec, number))
        change = f"codec changes from {codec} to {new_codec}" if new_codec != codec else \
            f"moves from stream {number:#x} to {new_number:#x}"
        if (new_codec, new_number) != (codec, number):
            raise InputError(container.name, f"its {kind} {change} at {time_s:.1f} s",
                             "split the file there, or convert it first")


def decode_packets(packets: Iterable[Packet], stream: Stream, strict: bool = False) -> Iterator:
    """Yield the frames (or subtitles) that packets decode to; color tags missing in the bitstream are the container's.

    Args:
        packets: packets of the stream.
        stream: the stream whose decoder is used.
        strict: raise FFmpeg's error at a damaged packet instead of skipping the packet.
    """
    stamper = None
    if isinstance(stream, VideoStream):
        stream.codec_context.copy_opaque = True   # Frames then tell which packet they come from.
        stamper = FrameStamper(_clock(stream))
    colors = _container_colors.get(id(stream), {})
    for packet in packets:
        if stamper is not None and packet.size:
            stamper.send(packet)
        try:
            frames = stream.decode(packet)
        except av.error.FFmpegError:
            if strict:
                raise
            continue
        for frame in frames if stamper is None else map(stamper.stamp, frames):
            for name, tag in colors.items():
                if getattr(frame, name) == UNSPECIFIED:
                    setattr(frame, name, tag)
            yield frame


def _clock(stream: Stream) -> PresentationClock:
    return PresentationClock(stream.time_base, frame_rate(stream) if isinstance(stream, VideoStream) else Fraction(50))


def supports_exact_seek(container: InputContainer) -> bool:
    """Return True if time stamps stay exact after a seek.

    Those of an MPEG program stream are estimated. Those of B-frames in AVI are counted from the start.
    """
    video = _main_video(container)
    return container.format.name.startswith(SEEKABLE_FORMATS) and (
        video is None or not lacks_presentation_times(video, container.format.name))


def seek(container: InputContainer, stream: Stream, time_s: Fraction) -> bool:
    """Seek to a key frame at or before a time stamp in seconds, according to the file's index.

    Returns:
        False if the container cannot seek exactly.
    """
    if not supports_exact_seek(container):
        return False
    timeline = _timeline_of(container)
    try:
        if timeline is None:
            container.seek(int(time_s // stream.time_base), stream=stream, backward=True)
        else:
            container.seek(timeline.position_before(int(time_s * TICKS_PER_S)), unsupported_byte_offset=True)
    except av.error.FFmpegError:
        return False
    return True
