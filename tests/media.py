"""Tiny media whose content identifies its position: frames that show their number, clicks at known times."""

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
LOSSLESS = dict(crf="0", preset="ultrafast")                   # Options of libx264.
B_FRAMES = dict(crf="1", preset="ultrafast", bf="2", g="12")   # Not lossless, because lossless H.264 has no B-frames.
MARKS = dict(red=(255, 0, 0), green=(0, 255, 0), blue=(0, 0, 255), white=(255, 255, 255))


def numbered_frame(index: int, size: tuple[int, int] = (80, 48)) -> np.ndarray:
    """Return a frame (H, W, 3) uint8 whose vertical bars encode `index` in binary, most significant bit first."""
    width, height = size
    bits = [(index >> (BITS - 1 - column * BITS // width)) & 1 for column in range(width)]
    row = np.where(np.array(bits, dtype=bool), 220, 30).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def noisy_frame(index: int, size: tuple[int, int] = (80, 48)) -> np.ndarray:
    """Return a numbered frame with noise seeded by its index, which does not compress well."""
    noise = np.random.default_rng(index).integers(0, 25, (size[1], size[0], 3), dtype=np.uint8)
    return numbered_frame(index, size) + noise


def read_number(frame: np.ndarray) -> int:
    """Return the index that a numbered frame (H, W, 3) encodes, after any scaling and lossy compression."""
    height, width, _ = frame.shape
    middle = frame[height // 4:height - height // 4].mean(axis=(0, 2))
    columns = [int((bit + 0.5) * width / BITS) for bit in range(BITS)]
    return sum(int(middle[column] > 125) << (BITS - 1 - bit) for bit, column in enumerate(columns))


def corner_frame(_index: int, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    """Return a frame with a colored quarter per corner, in reading order: red, green, blue, white."""
    width, height = size
    frame = np.zeros((height, width, 3), dtype=np.uint8)
    half_y, half_x = height // 2, width // 2
    frame[:half_y, :half_x], frame[:half_y, half_x:] = MARKS["red"], MARKS["green"]
    frame[half_y:, :half_x], frame[half_y:, half_x:] = MARKS["blue"], MARKS["white"]
    return frame


def corner_names(frame: np.ndarray) -> list[str]:
    """Return the names of the colors in a frame's corners, in reading order."""
    height, width, _ = frame.shape
    spots = [frame[y, x].astype(int) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    return [min(MARKS, key=lambda name: np.abs(spot - MARKS[name]).sum()) for spot in spots]


def write_video(path: Path, n_frames: int = 50, *, fps: Fraction | int = 25, size: tuple[int, int] = (80, 48),
                render: Callable[[int, tuple[int, int]], np.ndarray] = numbered_frame,
                pts: Sequence[int] | None = None, time_base: Fraction | None = None, codec: str = "libx264",
                pix_fmt: str = "yuv420p", options: dict[str, str] | None = None, rotation_deg: int = 0,
                mirrored: bool = False, sample_aspect: Fraction | None = None, audio: np.ndarray | None = None,
                audio_start_s: Fraction = Fraction(0), audio_codec: str = "aac", rate_hz: int = RATE_HZ,
                container_options: dict[str, str] | None = None, metadata: dict[str, str] | None = None,
                cover_art: bool = False, full_range: bool = False) -> Path:
    """Write a small video; the suffix selects the container.

    Args:
        path: file to write.
        n_frames: number of frames.
        fps: frames per second.
        size: width and height in pixels.
        render: returns frame (H, W, 3) uint8 of an index and a size.
        pts: the frames' time stamps in units of `time_base`; None for 0, 1, 2 ... at `fps`.
        time_base: unit of `pts` in seconds; None for one frame.
        codec: video encoder, as FFmpeg names it.
        pix_fmt: pixel format.
        options: options of the video encoder; None for lossless H.264.
        rotation_deg: counterclockwise rotation in the display matrix.
        mirrored: True if the display matrix mirrors left and right after the rotation.
        sample_aspect: sample aspect ratio; None for none in the file.
        audio: (n,) or (channels, n) float32; None for a video without audio.
        audio_start_s: time stamp of the first audio sample.
        audio_codec: audio encoder, as FFmpeg names it.
        rate_hz: sampling rate of the audio.
        container_options: options of the muxer.
        metadata: tags of the container.
        cover_art: True to mark the video stream as cover art.
        full_range: True for full-range colors, 0 to 255, marked as such in the file.
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
        if audio is not None:
            stream = _add_audio_stream(container, audio_codec, audio, rate_hz)
            _write_audio(container, stream, audio, audio_start_s, rate_hz)
        for index in range(n_frames):
            frame = av.VideoFrame.from_ndarray(render(index, size), format="rgb24").reformat(
                format=pix_fmt, dst_color_range=ColorRange.JPEG if full_range else None)
            frame.pts, frame.time_base = index if pts is None else pts[index], base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def write_numbered_video(path: Path) -> Path:
    """Write 4 s of numbered frames at 25 fps, with a quiet tone and a click every half second from 0.25 s on."""
    tone = (0.1 * np.sin(2 * np.pi * 300 * np.arange(4 * RATE_HZ) / RATE_HZ)).astype(np.float32)
    return write_video(path, 100, options=B_FRAMES, audio=tone + clicks(np.arange(0.25, 4, 0.5), 4),
                       metadata=dict(title="Film", location="+48+11/"))


def skip_beginning(path: Path, hidden_s: Fraction) -> Path:
    """Add `hidden_s` to the start in the edit list of an mp4's first track, so that players skip the beginning."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12   # The first entry follows the version, the flags and the number of entries.
    length, begin, rate = struct.unpack(">IiI", data[at:at + 12])
    with av.open(str(path)) as container:
        tick_s = container.streams.video[0].time_base
    data[at:at + 12] = struct.pack(">IiI", length, begin + round(hidden_s / tick_s), rate)
    path.write_bytes(data)
    return path


def _add_audio_stream(container, codec: str, audio: np.ndarray, rate_hz: int):
    channels = 1 if audio.ndim == 1 else len(audio)
    return container.add_stream(codec, rate=rate_hz, layout={1: "mono", 2: "stereo", 6: "5.1"}[channels])


def _write_audio(container, stream, audio: np.ndarray, start_s: Fraction, rate_hz: int) -> None:
    audio = np.atleast_2d(audio).astype(np.float32)
    layout = stream.codec_context.layout.name
    for at in range(0, audio.shape[1], rate_hz // 10):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio[:, at:at + rate_hz // 10]), "fltp", layout)
        frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), round(start_s * rate_hz) + at
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def clicks(times_s: Sequence[float | Fraction], duration_s: float | Fraction, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Return silence (n,) float32 with a click at each time: 2 ms of a 2 kHz tone that begins there."""
    samples = np.zeros(round(duration_s * rate_hz), dtype=np.float32)
    burst = 0.9 * np.sin(2 * np.pi * 2000 * (np.arange(rate_hz // 500) + 0.5) / rate_hz)
    for time_s in times_s:
        at = round(time_s * rate_hz)
        part = samples[at:at + len(burst)]
        part += burst[:len(part)].astype(np.float32)
    return samples


def click_times(samples: np.ndarray, rate_hz: int = RATE_HZ) -> list[float]:
    """Return the times in seconds at which the clicks in mono audio (n,) begin."""
    loud = np.flatnonzero(np.abs(samples) > 0.3)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-rate_hz) > rate_hz // 50)]
    return [int(start) / rate_hz for start in starts]


def decoded(path: Path) -> list[tuple[Fraction, np.ndarray]]:
    """Return all frames as (time stamp in seconds, stored pixels), decoded by PyAV without any of our code."""
    with av.open(str(path)) as container:
        return [(frame.pts * frame.time_base, frame.to_ndarray(format="rgb24"))
                for frame in container.decode(container.streams.video[0])]


def write_subtitled_video(path: Path, lines: Sequence[tuple[int, int, str]], codec: str = "subrip",
                          n_frames: int = 50, first_ms: int = 0, tracks: int = 1) -> Path:
    """Write a small video with subtitle tracks.

    Args:
        path: file to write.
        lines: (start ms, end ms, text); the texts of a second track end in " 2".
        codec: `subrip`, `webvtt` or `mov_text`.
        n_frames: number of frames, at 25 fps.
        first_ms: time stamp of the first frame; those of the lines count from 0.
        tracks: number of subtitle tracks.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options=LOSSLESS)
        video.width, video.height, video.pix_fmt = 80, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        streams = [container.add_mux_stream(codec) for _ in range(tracks)]
        for stream in streams:
            stream.time_base = Fraction(1, 1000)
        for index in range(n_frames):
            frame = av.VideoFrame.from_ndarray(numbered_frame(index), format="rgb24").reformat(format="yuv420p")
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
    """Return a file's chapters as (start in seconds, end in seconds, title)."""
    with av.open(str(path)) as container:
        return [(c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
                for c in container.chapters()]
