"""Encoders that recognize colors only, and videos of known colors: every expected result can be computed manually."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from models.encoders.base import AudioEncoder, Encoders, TextEncoder, TextFeature, VisualEncoder, normalize_rows

COLORS = dict(red=(220, 30, 30), green=(30, 200, 30), blue=(30, 30, 220), grey=(120, 120, 120),
              black=(0, 0, 0))


class ColorVisualEncoder(VisualEncoder):
    """A visual encoder whose features are the mean RGB color of a clip's frame, in [0, 1]."""

    parts = dict(color=3)   # noqa: RUF012
    shared_part = "color"
    size_px = 4

    def preprocess(self, frame: np.ndarray) -> Tensor:
        mean = torch.from_numpy(frame.reshape(-1, 3).mean(axis=0) / 255).float()
        return mean.reshape(3, 1, 1).expand(3, 4, 4)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return dict(color=images.mean(dim=(2, 3)))

    def similarity(self, shared: np.ndarray, sentences: np.ndarray) -> np.ndarray:
        return normalize_rows(shared - shared.mean(axis=0)) @ normalize_rows(sentences).T


class ColorTextEncoder(TextEncoder):
    """A text encoder that maps the name of a color to its RGB value, and any other word to nearly zero."""

    name = "color_text"
    dims = 3

    def encode(self, texts: list[str]) -> list[TextFeature]:
        features = []
        for text in texts:
            tokens = [np.array(COLORS.get(word.strip(".,!?"), (1, 1, 1)), dtype=np.float32) / 255
                      for word in text.lower().split()]
            features.append(TextFeature(np.stack(tokens), np.sum(tokens, axis=0)))
        return features


class LoudnessEncoder(AudioEncoder):
    """An audio encoder whose feature is the mean absolute amplitude of a clip."""

    name = "loudness"
    dims = 1

    def forward(self, clips: Tensor) -> Tensor:
        return clips.abs().mean(dim=1, keepdim=True)


def color_encoders(with_audio: bool = False) -> Encoders:
    audio = LoudnessEncoder().eval() if with_audio else None
    return Encoders(ColorVisualEncoder().eval(), ColorTextEncoder().eval(), audio)


def write_video(path: Path, colors: Sequence[str], fps: int = 10, size: tuple[int, int] = (64, 48),
                n_frames: int | None = None, loud_s: Sequence[int] | None = None, per_s: int = 1) -> Path:
    """Write an H.264 video that shows one named color per second, over a faint gradient; black has no gradient.

    Args:
        path: file to write.
        colors: names in `COLORS`.
        fps: frames per second.
        size: width and height in pixels.
        n_frames: number of frames, if fewer than the colors give; None for all.
        loud_s: seconds in which a tone plays; None for a video without audio.
        per_s: colors per second.
    """
    width, height = size
    total = len(colors) * fps // per_s if n_frames is None else n_frames
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options=dict(crf="12", preset="ultrafast"))
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = None if loud_s is None else container.add_stream("aac", rate=32000, layout="mono")
        gradient = np.linspace(-24, 24, width)[None, :, None]
        for i in range(total):
            color = colors[i * per_s // fps]
            pixels = np.clip(np.array(COLORS[color]) + (0 if color == "black" else gradient), 0, 255)
            pixels = np.broadcast_to(pixels, (height, width, 3)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            seconds = np.arange(total * 32000 // fps) / 32000
            tone = np.where(np.isin(seconds.astype(int), loud_s), 0.5 * np.sin(2 * np.pi * 440 * seconds), 0)
            samples = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 32000, 0
            container.mux(audio.encode(samples))
            container.mux(audio.encode(None))
    return path
