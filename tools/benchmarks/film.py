"""The film that videos' benchmarks watch, and how long watching takes."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType

WIDTH, HEIGHT, FPS = 1280, 720, 30
RATE_HZ = 48000
PIECE_S = 64            # repeated; a whole number of AAC packets of 1024 samples
SHOT_S = 4
H264 = dict(preset="veryfast", crf="23")
GRAIN = 3               # standard deviation, levels of 255
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


def timed(run: Callable[[], object]) -> tuple[object, float, float]:
    """What comes of it, the seconds that it took, and the seconds of all processors."""
    start_s, cpu_s = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - start_s, time.process_time() - cpu_s


def decode_all(path: Path) -> int:
    """Decodes every picture on all processors and converts none; gives their number."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in container.decode(video=0))


def first_pictures(path: Path, number: int) -> list[av.VideoFrame]:
    """The first pictures, decoded and held: 1.4 MB each."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return list(itertools.islice(container.decode(video=0), number))


def encode_all(pictures: list[av.VideoFrame]) -> int:
    """Encodes pictures as `make_film` does, and writes nothing; gives their number."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = pictures[0].width, pictures[0].height, "yuv420p"
    encoder.time_base, encoder.options = Fraction(1, FPS), dict(H264)
    for index, picture in enumerate(pictures):
        picture.pts, picture.time_base, picture.pict_type = index, Fraction(1, FPS), PictureType.NONE
    return sum(len(encoder.encode(picture)) for picture in [*pictures, None])


def make_film(path: Path, duration_s: float = PIECE_S, piece: Path | None = None) -> Path:
    """Writes an H.264 video, 720p at 30 pictures a second, with sound; 64 s of footage are repeated.

    The footage pans over photographs, with grain and a cut every four seconds; x264 veryfast, crf 23,
    key frames as the encoder likes them. The sound is noise of changing loudness.

    Args:
        duration_s: at least so long; whole repetitions are written.
        piece: footage that an earlier call made; None makes it, and writes nothing else.
    """
    if piece is None:
        return _write_piece(path)
    with av.open(str(piece)) as source, av.open(str(path), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in (*source.streams.video, *source.streams.audio)}
        for part in range(math.ceil(duration_s / PIECE_S)):
            source.seek(0)
            for packet in source.demux():
                if packet.dts is None or not 0 <= packet.pts * packet.time_base < PIECE_S:
                    continue
                shift = round(part * PIECE_S / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return path


def _write_piece(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options=H264)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        rng = np.random.default_rng(0)
        for index, picture in enumerate(itertools.islice(_pictures(rng), PIECE_S * FPS)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(video.encode(frame))
            if (index + 1) % FPS == 0:
                second = rng.normal(0, 0.02 + 0.1 * rng.random(), (1, RATE_HZ)).clip(-1, 1).astype(np.float32)
                samples = av.AudioFrame.from_ndarray(second, "fltp", "mono")
                samples.sample_rate, samples.time_base = RATE_HZ, Fraction(1, RATE_HZ)
                samples.pts = index // FPS * RATE_HZ
                container.mux(sound.encode(samples))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return path


def _pictures(rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Pans over enlarged photographs, (720, 1280, 3) uint8, without an end."""
    from PIL import Image
    from skimage import data

    width, height = WIDTH * 5 // 4, HEIGHT * 3 // 2
    photos = [Image.fromarray(getattr(data, name)()[..., :3]).resize((width, height), Image.Resampling.BICUBIC)
              for name in PHOTOS]
    photos = [np.asarray(photo).astype(np.int16) for photo in photos]
    grain = rng.normal(0, GRAIN, (4, HEIGHT, WIDTH, 1)).round().astype(np.int16)
    for shot in itertools.count():
        photo = photos[shot % len(photos)]
        start, end = (rng.random(2) * (height - HEIGHT, width - WIDTH) for _ in range(2))
        for step in range(SHOT_S * FPS):
            y, x = (start + (end - start) * step / (SHOT_S * FPS)).astype(int)
            noisy = photo[y:y + HEIGHT, x:x + WIDTH] + grain[rng.integers(4)]
            yield noisy.clip(0, 255).astype(np.uint8)
