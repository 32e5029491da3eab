"""The test video of the video benchmarks, and timing of functions that process it."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
from av.video.frame import PictureType

WIDTH, HEIGHT, FPS = 1280, 720, 30
RATE_HZ = 48000
SEGMENT_S = 64          # The repeated footage; a multiple of the length of an AAC packet of 1024 samples.
SHOT_S = 4
H264_OPTIONS = dict(preset="veryfast", crf="23")
NOISE_LEVELS = 3        # Standard deviation of the noise, in levels of 255.
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")

T = TypeVar("T")


def timed(run: Callable[[], T]) -> tuple[T, float, float]:
    """Return the result of a function, its wall-clock seconds, and its CPU seconds."""
    start_s, cpu_s = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - start_s, time.process_time() - cpu_s


def decode_all(path: Path) -> int:
    """Decode all frames on all cores, without converting them, and return their number."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in container.decode(video=0))


def first_frames(path: Path, number: int) -> list[av.VideoFrame]:
    """Return the first frames of a video; each needs 1.4 MB."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return list(itertools.islice(container.decode(video=0), number))


def encode_all(frames: list[av.VideoFrame]) -> int:
    """Encode frames with the options of `make_video`, without writing them, and return the number of packets."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
    encoder.time_base, encoder.options = Fraction(1, FPS), dict(H264_OPTIONS)
    for index, frame in enumerate(frames):
        frame.pts, frame.time_base, frame.pict_type = index, Fraction(1, FPS), PictureType.NONE
    return sum(len(encoder.encode(frame)) for frame in [*frames, None])


def make_video(path: Path, duration_s: float = SEGMENT_S, segment: Path | None = None) -> Path:
    """Write an H.264 video in 720p at 30 frames per second, with audio, which repeats 64 s of footage.

    The footage pans over photographs, with noise and a cut every four seconds; it is encoded by x264 with preset
    veryfast, crf 23, and default key frames. The audio is noise of varying loudness.

    Args:
        path: the file to write.
        duration_s: minimum length; it is rounded up to complete repetitions.
        segment: the footage, written by an earlier call; None generates it and writes only one repetition.
    """
    if segment is None:
        return _write_segment(path)
    with av.open(str(segment)) as source, av.open(str(path), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in (*source.streams.video, *source.streams.audio)}
        for repetition in range(math.ceil(duration_s / SEGMENT_S)):
            source.seek(0)
            for packet in source.demux():
                if packet.dts is None or not 0 <= packet.pts * packet.time_base < SEGMENT_S:
                    continue
                shift = round(repetition * SEGMENT_S / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return path


def _write_segment(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options=H264_OPTIONS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        rng = np.random.default_rng(0)
        for index, image in enumerate(itertools.islice(_render_frames(rng), SEGMENT_S * FPS)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(video.encode(frame))
            if (index + 1) % FPS == 0:
                second = rng.normal(0, 0.02 + 0.1 * rng.random(), (1, RATE_HZ)).clip(-1, 1).astype(np.float32)
                samples = av.AudioFrame.from_ndarray(second, "fltp", "mono")
                samples.sample_rate, samples.time_base = RATE_HZ, Fraction(1, RATE_HZ)
                samples.pts = index // FPS * RATE_HZ
                container.mux(audio.encode(samples))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def _render_frames(rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield pans over enlarged photographs, (720, 1280, 3) uint8, without an end."""
    from PIL import Image
    from skimage import data

    width, height = WIDTH * 5 // 4, HEIGHT * 3 // 2
    images = [Image.fromarray(getattr(data, name)()[..., :3]).resize((width, height), Image.Resampling.BICUBIC)
              for name in PHOTOS]
    photos = [np.asarray(image).astype(np.int16) for image in images]
    noise = rng.normal(0, NOISE_LEVELS, (4, HEIGHT, WIDTH, 1)).round().astype(np.int16)
    for shot in itertools.count():
        photo = photos[shot % len(photos)]
        start, end = (rng.random(2) * (height - HEIGHT, width - WIDTH) for _ in range(2))
        for step in range(SHOT_S * FPS):
            y, x = (start + (end - start) * step / (SHOT_S * FPS)).astype(int)
            noisy = photo[y:y + HEIGHT, x:x + WIDTH] + noise[rng.integers(4)]
            yield noisy.clip(0, 255).astype(np.uint8)
