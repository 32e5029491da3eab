"""Compare feature extraction of a 720p video with a reference that reads all frames with OpenCV and encodes in float32.

The reference encodes one frame per call. On a busy machine, set `OMP_WAIT_POLICY=passive`: otherwise torch's threads
wait in busy loops, which makes the reference look worse than it is.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np

from common.paths import ROOT

from . import Row
from .video import decode_all, make_video, timed

MINUTES = 3
CLIP_FRAMES = 4   # Frames that CLIP encodes per clip of 2 s.


def measure(minutes: int = MINUTES) -> Iterator[Row]:
    """Measure the embedded encoders, and CLIP ViT-B/32 with random weights at two frames per second."""
    from common.config import load_config
    from models.encoders import build_encoders

    embedded = build_encoders(load_config(ROOT / "configs/_base_/encoders/offline.py").encoders)
    with tempfile.TemporaryDirectory() as folder:
        segment = make_video(Path(folder) / "segment.mp4")
        video = make_video(Path(folder) / "video.mp4", minutes * 60, segment)
        yield from measure_encoders("embedded", embedded, embedded, video, segment)
        clip, reference = (dataclasses.replace(embedded, visual=random_clip(precision), audio=None)
                           for precision in ("auto", "float32"))
        yield from measure_encoders("CLIP ViT-B/32", clip, reference, video, segment)


def measure_encoders(name: str, encoders, reference_encoders, video: Path, segment: Path) -> Iterator[Row]:
    """Yield one row per sampling mode, and rows of the lower bounds: decoding only, and the network only.

    The bound of both running at the same time is the slower one, or their total CPU time divided by the cores.

    Args:
        name: name of the encoders.
        encoders: encoders of the product.
        reference_encoders: encoders of the reference.
        video: path of the video to encode.
        segment: path of a short video, for warming up.
    """
    from pipelines.features.encode import encode_video
    from pipelines.media.probe import probe
    from pipelines.media.video_reader import frames_at

    encode_video(segment, encoders, progress=False)   # Warm up.
    duration_s, visual = float(probe(video).duration_s), encoders.visual
    per_clip, clip_len_s = visual.frames_per_clip, visual.clip_len_s
    times_s = [(2 * i + 1) * clip_len_s / 2 / per_clip for i in range(int(duration_s / clip_len_s) * per_clip)]
    name = f"{name}, {duration_s / 60:.0f} min"
    bounds = {"decoding only": lambda: decode_all(video),
              "decoding only, sampled frames": lambda: sum(1 for _ in frames_at(video, times_s)),
              "network only": lambda: run_network(visual, len(times_s))}
    bounds_s = {part: timed(run)[1:] for part, run in bounds.items()}
    (decode_s, decode_cpu_s), (network_s, network_cpu_s) = bounds_s["decoding only"], bounds_s["network only"]
    both_s = max(decode_s, network_s, (decode_cpu_s + network_cpu_s) / (os.cpu_count() or 1))
    reference, reference_s, reference_cpu_s = timed(lambda: reference_features(video, reference_encoders, times_s))
    for sampling in ("exact", "keyframes"):
        encoded, product_s, cpu_s = timed(partial(encode_video, video, encoders, progress=False, sampling=sampling))
        note = (f"{duration_s / product_s:.0f}x real time, "
                f"{product_s / max(decode_s, network_s):.2f} of the slower bound, "
                f"{product_s / both_s:.2f} of the bound of both, {cpu_s:.1f} s CPU (reference {reference_cpu_s:.1f} s)")
        if sampling == "exact":
            similarity = mean_cosine(reference, encoded.visual)
            note += f", mean cosine similarity to the reference features {similarity:.4f}"
        yield Row(f"{name}, {sampling}", reference_s, product_s, note)
    for part, (bound_s, cpu_s) in bounds_s.items():
        yield Row(f"{name}, {part}", None, bound_s, f"{cpu_s:.1f} s CPU")


def reference_features(path: Path, encoders, times_s: list[float]) -> dict[str, np.ndarray]:
    """Read and convert every frame with OpenCV, encode one frame per call, and encode the audio one clip per call.

    Args:
        path: the video.
        encoders: visual and audio encoders.
        times_s: the frames to encode.

    Returns:
        (T, C) visual features per part, averaged over the frames of each clip.
    """
    import cv2
    import torch

    from pipelines.media.audio_reader import audio_clips

    visual, index = encoders.visual, 0
    features: dict[str, list[np.ndarray]] = {part: [] for part in visual.parts}
    reader = cv2.VideoCapture(str(path))
    wanted = [int(t * reader.get(cv2.CAP_PROP_FPS)) for t in times_s]
    with torch.inference_mode():
        while True:
            success, frame = reader.read()
            if not success:
                break
            n_encoded = len(features[visual.shared_part])
            if n_encoded < len(wanted) and wanted[n_encoded] == index:
                image = visual.preprocess(np.ascontiguousarray(frame[..., ::-1]))
                for part, values in visual(image[None]).items():
                    features[part].append(values[0].float().numpy())
            index += 1
        if encoders.audio is not None:
            for clip in audio_clips(path, len(times_s) // visual.frames_per_clip, rate_hz=encoders.audio.rate_hz):
                encoders.audio(torch.from_numpy(clip)[None])
    return {part: np.stack(rows).reshape(-1, visual.frames_per_clip, len(rows[0])).mean(axis=1)
            for part, rows in features.items()}


def mean_cosine(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    """Return the mean cosine similarity of corresponding rows, the minimum over the parts."""
    return min(float(((a[part] * b[part]).sum(axis=1) / np.linalg.norm(a[part], axis=1)
                      / np.linalg.norm(b[part], axis=1)).mean()) for part in a)


def run_network(visual, n_frames: int, batch: int = 16) -> None:
    """Run the visual network on black frames."""
    import torch

    images = torch.zeros(batch, 3, visual.size_px, visual.size_px)
    with torch.inference_mode():
        for start in range(0, n_frames, batch):
            visual(images[:n_frames - start])


def random_clip(precision: str = "auto"):
    """Return OpenAI's ViT-B/32 image encoder with random weights, which run as fast as trained ones."""
    import torch

    from models.encoders.clip_image import CLIPImage
    from models.encoders.import_without_init import import_without_init

    torch.manual_seed(0)
    network = import_without_init("clip", "model", "openai-clip").CLIP(
        embed_dim=512, image_resolution=224, vision_layers=12, vision_width=768, vision_patch_size=32,
        context_length=77, vocab_size=49408, transformer_width=512, transformer_heads=8, transformer_layers=1)
    with patch("models.encoders.clip_image.load_clip", lambda *_: network.eval().requires_grad_(False)):
        return CLIPImage(precision=precision, frames_per_clip=CLIP_FRAMES).eval()
