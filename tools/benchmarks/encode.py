"""A long 720p video with sound, from the file to features, beside cv2 reading every frame and one picture a call.

`BENCHMARK_MINUTES` sets the film's length, 5 by default; sixty are an hour of one repeated minute. On a busy
machine set `OMP_WAIT_POLICY=passive` too: torch's threads else wait for one another in loops, which makes the
plain way look worse than it is.
"""

from __future__ import annotations

import itertools
import math
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

import av
import numpy as np

from common.errors import InputError
from tools.benchmarks import Row

MINUTES_VARIABLE = "BENCHMARK_MINUTES"
WIDTH, HEIGHT, FPS = 1280, 720, 30
RATE_HZ = 48000
PIECE_S = 64            # repeated; a whole number of AAC packets of 1024 samples
SHOT_S = 4
GRAIN = 3               # standard deviation, levels of 255
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
CLIP_PICTURES = 4       # in a clip of 2 s


def measure() -> list[Row]:
    """Embedded encoders on the film, CLIP ViT-B/32 with drawn weights on its first minute."""
    from common.config import load_config
    from models.encoders import build_encoders

    minutes = os.environ.get(MINUTES_VARIABLE, "5")
    if not minutes.isdecimal() or not int(minutes):
        raise InputError(f"{MINUTES_VARIABLE}={minutes}: give whole minutes, at least 1")
    encoders = build_encoders(load_config(Path(__file__).parents[2] / "configs/_base_/encoders/offline.py").encoders)
    with tempfile.TemporaryDirectory() as folder:
        minute = make_film(Path(folder) / "minute.mp4", PIECE_S)
        film = make_film(Path(folder) / "film.mp4", int(minutes) * 60, minute)
        clip = type(encoders)(drawn_clip(), encoders.text)
        return [*rows("embedded", encoders, film, minute), *rows("CLIP ViT-B/32", clip, minute, minute)]


def rows(name: str, encoders, film: Path, minute: Path) -> Iterator[Row]:
    """One row for each sampling, and one for what cannot be helped: decoding alone and the network alone."""
    from pipelines.encode import encode_video
    from pipelines.video import Reading, frames_at, probe

    encode_video(minute, encoders, progress=False)   # warms up
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    duration_s = float(probe(film).duration_s)
    per_clip, clip_len_s = encoders.visual.frames_per_clip, encoders.visual.clip_len_s
    times_s = [(2 * i + 1) * clip_len_s / 2 / per_clip for i in range(int(duration_s / clip_len_s) * per_clip)]
    plain, plain_s, plain_cpu_s = timed(lambda: plain_way(film, encoders, times_s))
    for sampling in ("exact", "keyframes"):
        ours, ours_s, cpu_s = timed(lambda s=sampling: encode_video(film, encoders, progress=False, sampling=s))
        alike = f"features of mean cosine {likeness(plain, ours.visual):.4f} to the plain ones" * (sampling == "exact")
        grown_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 - peak_mb
        yield Row(f"{name}, {duration_s / 60:.0f} min, {sampling}", plain_s, ours_s,
                  f"{duration_s / ours_s:.0f} times real time, {cpu_s:.1f} s of processors (plain {plain_cpu_s:.1f}), "
                  f"{grown_mb} MB more than for a minute, {alike}".rstrip(", "))
    _, decode_s, _ = timed(lambda: sum(1 for _ in frames_at(film, times_s, reading=Reading())))
    _, network_s, _ = timed(lambda: network_alone(encoders.visual, len(times_s)))
    yield Row(f"{name}, {duration_s / 60:.0f} min, the slower alone", None, max(decode_s, network_s),
              f"decoding {decode_s:.2f} s, network {network_s:.2f} s")


def timed(run: Callable[[], object]) -> tuple[object, float, float]:
    """What comes of it, the seconds that it took, and the seconds of all processors."""
    start_s, cpu_s = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - start_s, time.process_time() - cpu_s


def plain_way(path: Path, encoders, times_s: list[float]) -> dict[str, np.ndarray]:
    """Every frame is read and converted by cv2, then one picture a call; the sound likewise, a clip a call."""
    import cv2
    import torch

    from pipelines.audio import audio_clips

    visual, found, index = encoders.visual, {part: [] for part in encoders.visual.parts}, 0
    reader = cv2.VideoCapture(str(path))
    wanted = [int(t * reader.get(cv2.CAP_PROP_FPS)) for t in times_s]
    with torch.inference_mode():
        while True:
            read, picture = reader.read()
            if not read:
                break
            if len(found[visual.shared_part]) < len(wanted) and wanted[len(found[visual.shared_part])] == index:
                image = visual.preprocess(np.ascontiguousarray(picture[..., ::-1]))
                for part, values in visual(image[None]).items():
                    found[part].append(values[0].float().numpy())
            index += 1
        if encoders.audio is not None:
            for clip in audio_clips(path, len(times_s) // visual.frames_per_clip, rate_hz=encoders.audio.rate_hz):
                encoders.audio(torch.from_numpy(clip)[None])
    return {part: np.stack(rows).reshape(-1, visual.frames_per_clip, len(rows[0])).mean(axis=1)
            for part, rows in found.items()}


def likeness(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """The mean cosine of the rows, the least over the parts."""
    return min(float(((one[part] * other[part]).sum(axis=1) / np.linalg.norm(one[part], axis=1)
                      / np.linalg.norm(other[part], axis=1)).mean()) for part in one)


def network_alone(visual, n_pictures: int, batch: int = 16) -> None:
    import torch

    images = torch.zeros(batch, 3, visual.size_px, visual.size_px)
    with torch.inference_mode():
        for start in range(0, n_pictures, batch):
            visual(images[:n_pictures - start])


def drawn_clip():
    """OpenAI's ViT-B/32 for pictures, its weights drawn; they cost the same as trained ones."""
    import torch

    from models.encoders.bare_import import import_bare
    from models.encoders.clip_image import CLIPImage

    torch.manual_seed(0)
    network = import_bare("clip", "model", "openai-clip").CLIP(
        embed_dim=512, image_resolution=224, vision_layers=12, vision_width=768, vision_patch_size=32,
        context_length=77, vocab_size=49408, transformer_width=512, transformer_heads=8, transformer_layers=1)
    with patch("models.encoders.clip_image.load_clip", lambda *_: network.eval().requires_grad_(False)):
        return CLIPImage(frames_per_clip=CLIP_PICTURES).eval()


def make_film(path: Path, duration_s: float, piece: Path | None = None) -> Path:
    """Writes an H.264 video, 720p at 30 pictures a second, with sound; 64 s of footage are repeated.

    The footage pans over photographs, with grain and a cut every four seconds; x264 veryfast, crf 23,
    key frames as the encoder likes them. The sound is noise of changing loudness.

    Args:
        duration_s: at least so long; whole repetitions are written.
        piece: footage made before; None makes it.
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
        video = container.add_stream("libx264", rate=FPS, options=dict(preset="veryfast", crf="23"))
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
