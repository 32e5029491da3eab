"""Tiny media whose content tells where it is from: numbered pictures, clicks at known times."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import ColorRange

BITS = 10
RATE_HZ = 48000
LOSSLESS = dict(crf="0", preset="ultrafast")   # of libx264
B_FRAMES = dict(crf="1", preset="ultrafast", bf="2", g="12")   # what is lossless has none
MARKS = dict(red=(255, 0, 0), green=(0, 255, 0), blue=(0, 0, 255), white=(255, 255, 255))


def numbered_picture(index: int, size: tuple[int, int] = (80, 48)) -> np.ndarray:
    """A picture (H, W, 3) uint8 whose vertical bars spell `index` in binary, the highest bit leftmost."""
    width, height = size
    bits = [(index >> (BITS - 1 - column * BITS // width)) & 1 for column in range(width)]
    row = np.where(np.array(bits, dtype=bool), 220, 30).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def grainy_picture(index: int, size: tuple[int, int] = (80, 48)) -> np.ndarray:
    """A numbered picture with grain of its own, which does not compress well."""
    grain = np.random.default_rng(index).integers(0, 25, (size[1], size[0], 3), dtype=np.uint8)
    return numbered_picture(index, size) + grain


def read_number(picture: np.ndarray) -> int:
    """The index that a picture's bars spell, whatever its size and however it was compressed."""
    height, width, _ = picture.shape
    middle = picture[height // 4:height - height // 4].mean(axis=(0, 2))
    columns = [int((bit + 0.5) * width / BITS) for bit in range(BITS)]
    return sum(int(middle[column] > 125) << (BITS - 1 - bit) for bit, column in enumerate(columns))


def corner_picture(_index: int, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    """A picture with a coloured quarter in each corner: red, green / blue, white, as one reads."""
    width, height = size
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    half_y, half_x = height // 2, width // 2
    picture[:half_y, :half_x], picture[:half_y, half_x:] = MARKS["red"], MARKS["green"]
    picture[half_y:, :half_x], picture[half_y:, half_x:] = MARKS["blue"], MARKS["white"]
    return picture


def corner_names(picture: np.ndarray) -> list[str]:
    """The names of the colours in a picture's corners, as one reads."""
    height, width, _ = picture.shape
    spots = [picture[y, x].astype(int) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    return [min(MARKS, key=lambda name: np.abs(spot - MARKS[name]).sum()) for spot in spots]


def write_video(path: Path, n_frames: int = 50, *, fps: Fraction | int = 25, size: tuple[int, int] = (80, 48),
                picture: Callable[[int, tuple[int, int]], np.ndarray] = numbered_picture,
                pts: Sequence[int] | None = None, time_base: Fraction | None = None, codec: str = "libx264",
                pix_fmt: str = "yuv420p", options: dict[str, str] | None = None, rotation_deg: int = 0,
                mirrored: bool = False, sample_aspect: Fraction | None = None, sound: np.ndarray | None = None,
                sound_start_s: Fraction = Fraction(0), sound_codec: str = "aac", rate_hz: int = RATE_HZ,
                container_options: dict[str, str] | None = None, metadata: dict[str, str] | None = None,
                cover_art: bool = False, full_range: bool = False) -> Path:
    """Writes a small video; the suffix chooses the container.

    Args:
        picture: makes the picture (H, W, 3) of an index and a size; the index is the frame's number.
        pts: the frames' time stamps in units of `time_base`; None for 0, 1, 2 ... at `fps`.
        rotation_deg: anticlockwise turn that a player is told to make.
        mirrored: whether it is told to mirror left and right after it.
        sound: (n,) or (channels, n) float32; None for a video without.
        sound_start_s: the first sample's own time stamp.
        full_range: whether black is 0 and white 255, and the file says so.
        cover_art: whether the pictures are marked as the cover of the sound.
    """
    base = time_base or 1 / Fraction(fps)
    with av.open(str(path), "w", options=container_options or {}) as container:
        container.metadata.update(metadata or {})
        video = container.add_stream(codec, rate=fps, options=LOSSLESS if options is None else options)
        video.width, video.height, video.pix_fmt = *size, pix_fmt
        video.codec_context.time_base = base
        if sample_aspect is not None:
            video.codec_context.sample_aspect_ratio = sample_aspect
        if rotation_deg or mirrored:
            video.set_display_rotation(rotation_deg, hflip=mirrored)
        if full_range:
            video.codec_context.color_range = ColorRange.JPEG
        if cover_art:
            video.disposition = Disposition.attached_pic
        audio = None if sound is None else _sound_stream(container, sound_codec, sound, rate_hz)
        if audio is not None:
            _write_sound(container, audio, sound, sound_start_s, rate_hz)
        for index in range(n_frames):
            frame = av.VideoFrame.from_ndarray(picture(index, size), format="rgb24").reformat(
                format=pix_fmt, dst_color_range=ColorRange.JPEG if full_range else None)
            frame.pts, frame.time_base = index if pts is None else pts[index], base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def write_film(path: Path) -> Path:
    """Four seconds, pictures that say their number, a click every half second and a tone behind it."""
    tone = (0.1 * np.sin(2 * np.pi * 300 * np.arange(4 * RATE_HZ) / RATE_HZ)).astype(np.float32)
    return write_video(path, 100, options=B_FRAMES, sound=tone + clicks(np.arange(0.25, 4, 0.5), 4),
                       metadata=dict(title="Film", location="+48+11/"))


def hide_beginning(path: Path, hidden_s: Fraction) -> Path:
    """Moves the beginning that the edit list of an mp4's first track names, so that players skip what is before."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12                       # version, flags and count of entries; then the first
    length, begin, rate = struct.unpack(">IiI", data[at:at + 12])
    with av.open(str(path)) as container:
        tick_s = container.streams.video[0].time_base
    data[at:at + 12] = struct.pack(">IiI", length, begin + round(hidden_s / tick_s), rate)
    path.write_bytes(data)
    return path


def _sound_stream(container, codec: str, sound: np.ndarray, rate_hz: int):
    channels = 1 if sound.ndim == 1 else len(sound)
    return container.add_stream(codec, rate=rate_hz, layout={1: "mono", 2: "stereo", 6: "5.1"}[channels])


def _write_sound(container, stream, sound: np.ndarray, start_s: Fraction, rate_hz: int) -> None:
    sound = np.atleast_2d(sound).astype(np.float32)
    layout = stream.codec_context.layout.name
    for at in range(0, sound.shape[1], rate_hz // 10):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[:, at:at + rate_hz // 10]), "fltp", layout)
        frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), round(start_s * rate_hz) + at
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def clicks(times_s: Sequence[float | Fraction], duration_s: float | Fraction, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Silence (n,) float32 with a click, 2 ms of a 2 kHz tone, that begins at each time."""
    samples = np.zeros(round(duration_s * rate_hz), dtype=np.float32)
    burst = 0.9 * np.sin(2 * np.pi * 2000 * (np.arange(rate_hz // 500) + 0.5) / rate_hz)
    for time_s in times_s:
        at = round(time_s * rate_hz)
        part = samples[at:at + len(burst)]
        part += burst[:len(part)].astype(np.float32)
    return samples


def click_times(samples: np.ndarray, rate_hz: int = RATE_HZ) -> list[float]:
    """When the clicks in sound (n,) begin, in seconds."""
    loud = np.flatnonzero(np.abs(samples) > 0.3)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-rate_hz) > rate_hz // 50)]
    return [int(start) / rate_hz for start in starts]


def decoded(path: Path) -> list[tuple[Fraction, np.ndarray]]:
    """All the frames of a file as (own time stamp in seconds, stored picture), the plain way."""
    with av.open(str(path)) as container:
        return [(frame.pts * frame.time_base, frame.to_ndarray(format="rgb24"))
                for frame in container.decode(container.streams.video[0])]


def write_subtitled(path: Path, lines: Sequence[tuple[int, int, str]], codec: str = "subrip", n_frames: int = 50,
                    first_ms: int = 0, tracks: int = 1) -> Path:
    """A small video with subtitle tracks of (start ms, end ms, text); the second track's lines end in " 2".

    Args:
        codec: `subrip`, `webvtt` or `mov_text`.
        first_ms: the first picture's own time stamp; the lines' count from 0.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options=LOSSLESS)
        video.width, video.height, video.pix_fmt = 80, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        streams = [container.add_mux_stream(codec) for _ in range(tracks)]
        for stream in streams:
            stream.time_base = Fraction(1, 1000)
        for index in range(n_frames):
            frame = av.VideoFrame.from_ndarray(numbered_picture(index), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = first_ms + 40 * index, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for number, stream in enumerate(streams):
            for start_ms, end_ms, text in lines:
                data = (text + " 2" * number).encode()
                packet = av.Packet(len(data).to_bytes(2, "big") + data if codec == "mov_text" else data)
                packet.pts = packet.dts = start_ms
                packet.duration, packet.time_base, packet.stream = end_ms - start_ms, Fraction(1, 1000), stream
                container.mux(packet)
    return path


def chapters(path: Path) -> list[tuple[Fraction, Fraction, str]]:
    """A file's chapters: start and end in seconds, and the title."""
    with av.open(str(path)) as container:
        return [(c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
                for c in container.chapters()]
