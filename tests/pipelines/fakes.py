"""Encoders that see and read colours, and videos made of them: what is found can be known exactly."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from models.encoders.base import AudioEncoder, Encoders, TextEncoder, TextFeature, VisualEncoder, normalize_rows

COLOURS = dict(red=(220, 30, 30), green=(30, 200, 30), blue=(30, 30, 220), grey=(120, 120, 120),
               black=(0, 0, 0))


class ColourEyes(VisualEncoder):
    """A clip's features are the mean colour of its picture."""

    parts = dict(colour=3)   # noqa: RUF012
    shared_part = "colour"
    size_px = 4

    def preprocess(self, frame: np.ndarray) -> Tensor:
        mean = torch.from_numpy(frame.reshape(-1, 3).mean(axis=0) / 255).float()
        return mean.reshape(3, 1, 1).expand(3, 4, 4)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return dict(colour=images.mean(dim=(2, 3)))

    def similarity(self, shared: np.ndarray, sentences: np.ndarray) -> np.ndarray:
        return normalize_rows(shared - shared.mean(axis=0)) @ normalize_rows(sentences).T


class ColourWords(TextEncoder):
    """A sentence points to the colours that it names; other words hardly count."""

    name = "words"
    dims = 3

    def encode(self, texts: list[str]) -> list[TextFeature]:
        features = []
        for text in texts:
            tokens = [np.array(COLOURS.get(word.strip(".,!?"), (1, 1, 1)), dtype=np.float32) / 255
                      for word in text.lower().split()]
            features.append(TextFeature(np.stack(tokens), np.sum(tokens, axis=0)))
        return features


class LoudEars(AudioEncoder):
    """A clip's feature is how loud it is."""

    name = "loudness"
    dims = 1

    def forward(self, clips: Tensor) -> Tensor:
        return clips.abs().mean(dim=1, keepdim=True)


def colour_encoders(with_sound: bool = False) -> Encoders:
    return Encoders(ColourEyes().eval(), ColourWords().eval(), LoudEars().eval() if with_sound else None)


def write_video(path: Path, colours: Sequence[str], fps: int = 10, size: tuple[int, int] = (64, 48),
                n_frames: int | None = None, loud_s: Sequence[int] | None = None, per_s: int = 1) -> Path:
    """An H.264 video that shows one named colour a second, over a faint pattern; black is plain.

    Args:
        n_frames: fewer frames than the colours give; None for all.
        loud_s: seconds at which a tone sounds; None for a video without sound.
        per_s: colours a second.
    """
    width, height = size
    total = len(colours) * fps // per_s if n_frames is None else n_frames
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options=dict(crf="12", preset="ultrafast"))
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = None if loud_s is None else container.add_stream("aac", rate=32000, layout="mono")
        pattern = np.linspace(-24, 24, width)[None, :, None]
        for i in range(total):
            colour = colours[i * per_s // fps]
            picture = np.clip(np.array(COLOURS[colour]) + (0 if colour == "black" else pattern), 0, 255)
            picture = np.broadcast_to(picture, (height, width, 3)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            seconds = np.arange(total * 32000 // fps) / 32000
            tone = np.where(np.isin(seconds.astype(int), loud_s), 0.5 * np.sin(2 * np.pi * 440 * seconds), 0)
            sound = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 32000, 0
            container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
    return path
