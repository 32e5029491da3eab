"""A 720p video with sound, from the file to features, beside cv2 reading all frames, a picture a call, and float32.

On a busy machine set `OMP_WAIT_POLICY=passive` too: torch's threads else wait for one another in loops, which
makes the plain way look worse than it is.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np

from common.paths import ROOT

from . import Row
from .film import decode_all, make_film, timed

MINUTES = 3
CLIP_PICTURES = 4       # in a clip of 2 s


def measure(minutes: int = MINUTES) -> Iterator[Row]:
    """Embedded encoders, and CLIP ViT-B/32 with drawn weights at two pictures a second, on the same film."""
    from common.config import load_config
    from models.encoders import build_encoders

    embedded = build_encoders(load_config(ROOT / "configs/_base_/encoders/offline.py").encoders)
    with tempfile.TemporaryDirectory() as folder:
        minute = make_film(Path(folder) / "minute.mp4")
        film = make_film(Path(folder) / "film.mp4", minutes * 60, minute)
        yield from rows("embedded", embedded, embedded, film, minute)
        clip, plain = (dataclasses.replace(embedded, visual=drawn_clip(precision), audio=None)
                       for precision in ("auto", "float32"))
        yield from rows("CLIP ViT-B/32", clip, plain, film, minute)


def rows(name: str, encoders, plain_encoders, film: Path, minute: Path) -> Iterator[Row]:
    """One row for each sampling, and for what cannot be helped: decoding alone, and the network alone.

    Both at once take as long as the slower one alone, or as all processors take for the work of both.
    """
    from pipelines.features.encode import encode_video
    from pipelines.media.probe import probe
    from pipelines.media.video_reader import frames_at

    encode_video(minute, encoders, progress=False)   # warms up
    duration_s, visual = float(probe(film).duration_s), encoders.visual
    per_clip, clip_len_s = visual.frames_per_clip, visual.clip_len_s
    times_s = [(2 * i + 1) * clip_len_s / 2 / per_clip for i in range(int(duration_s / clip_len_s) * per_clip)]
    name = f"{name}, {duration_s / 60:.0f} min"
    alone = {"decoding alone": lambda: decode_all(film),
             "decoding alone, of what is asked": lambda: sum(1 for _ in frames_at(film, times_s)),
             "network alone": lambda: network_alone(visual, len(times_s))}
    alone = {what: timed(run)[1:] for what, run in alone.items()}
    (decode_s, decode_cpu_s), (network_s, network_cpu_s) = alone["decoding alone"], alone["network alone"]
    both_s = max(decode_s, network_s, (decode_cpu_s + network_cpu_s) / os.cpu_count())
    plain, plain_s, plain_cpu_s = timed(lambda: plain_way(film, plain_encoders, times_s))
    for sampling in ("exact", "keyframes"):
        ours, ours_s, cpu_s = timed(lambda s=sampling: encode_video(film, encoders, progress=False, sampling=s))
        note = (f"{duration_s / ours_s:.0f} times real time, "
                f"{ours_s / max(decode_s, network_s):.2f} of the slower alone, {ours_s / both_s:.2f} of both at once, "
                f"{cpu_s:.1f} s of processors (plain {plain_cpu_s:.1f})")
        if sampling == "exact":
            note += f", features of mean cosine {likeness(plain, ours.visual):.4f} to the plain ones"
        yield Row(f"{name}, {sampling}", plain_s, ours_s, note)
    for what, (alone_s, cpu_s) in alone.items():
        yield Row(f"{name}, {what}", None, alone_s, f"{cpu_s:.1f} s of processors")


def plain_way(path: Path, encoders, times_s: list[float]) -> dict[str, np.ndarray]:
    """Every frame is read and converted by cv2, then one picture a call; the sound likewise, a clip a call."""
    import cv2
    import torch

    from pipelines.media.audio_reader import audio_clips

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


def drawn_clip(precision: str = "auto"):
    """OpenAI's ViT-B/32 for pictures, its weights drawn; they cost the same as trained ones."""
    import torch

    from models.encoders.clip_image import CLIPImage
    from models.encoders.import_without_init import import_without_init

    torch.manual_seed(0)
    network = import_without_init("clip", "model", "openai-clip").CLIP(
        embed_dim=512, image_resolution=224, vision_layers=12, vision_width=768, vision_patch_size=32,
        context_length=77, vocab_size=49408, transformer_width=512, transformer_heads=8, transformer_layers=1)
    with patch("models.encoders.clip_image.load_clip", lambda *_: network.eval().requires_grad_(False)):
        return CLIPImage(precision=precision, frames_per_clip=CLIP_PICTURES).eval()
