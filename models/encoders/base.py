"""The interface of the encoders, and how a video is divided into clips."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn as nn
from nncore.nn import MODELS
from PIL import Image
from torch import Tensor

from common.build import build, suggest
from common.errors import InputError
from models.device import best_device, cpu_has_bfloat16, device_of

PRECISIONS = ("auto", "float32")


@dataclass(frozen=True)
class TextFeature:
    """A text's features, float32: `last_hidden_state` (L, D) of tokens, `pooler_output` (P,) of the whole."""

    last_hidden_state: np.ndarray
    pooler_output: np.ndarray


class VisualEncoder(nn.Module):
    """Encodes pictures.

    Attributes:
        parts: name of each part of the features -> its width; a part is a folder of feature files.
        shared_part: the part that lives in the text encoder's space.
        size_px: side of the square pictures.
        clip_len_s: seconds in a clip.
        frames_per_clip: pictures a clip, evenly inside it; their features are averaged.
        batch_frames: how many to encode in a call; more need more memory and are not always faster.
    """

    parts: dict[str, int]
    shared_part: str
    size_px: int = 224
    clip_len_s: float = 2
    frames_per_clip: int = 1
    batch_frames: int = 4

    def preprocess(self, frame: np.ndarray) -> Tensor:
        """A picture (H, W, 3), uint8 RGB, of any size -> (3, size_px, size_px) as the network takes it."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, 3, size_px, size_px), on the network's device -> part -> (N, width) float32, on the same."""
        raise NotImplementedError

    def encode(self, images: Tensor) -> dict[str, np.ndarray]:
        """`forward` of images on any device, for inference: part -> (N, width) float32."""
        with torch.inference_mode():
            return {part: values.float().cpu().numpy() for part, values in self(images.to(device_of(self))).items()}

    def similarity(self, shared: np.ndarray, sentences: np.ndarray) -> np.ndarray:
        """Cosines of a video's clips and sentences.

        Args:
            shared: (T, D), all of the video's clips, the part `shared_part`.
            sentences: (Q, D), `pooler_output` of each.

        Returns:
            (T, Q) in [-1, 1].

        Raises:
            InputError: the sentences are of another width, from a text encoder of another space.
        """
        raise NotImplementedError


    def classify(self, features: dict[str, np.ndarray], text: TextEncoder) -> tuple[list[str], np.ndarray]:
        """What the encoder's vocabulary sees in a video's clips.

        Args:
            features: part -> (T, width), as `forward` made them.
            text: the encoder of the shared space's sentences.

        Returns:
            K names, and their likelihoods (T, K), each row of sum one.
        """
        raise NotImplementedError


class TextEncoder(nn.Module):
    """Encodes texts.

    Attributes:
        name: of the encoder, and of its folder of feature files.
        dims: width of the tokens.
    """

    name: str
    dims: int

    def encode(self, texts: list[str]) -> list[TextFeature]:
        """Encodes texts of any length and script; long ones in pieces, with nothing dropped.

        Raises:
            InputError: a text is empty.
        """
        raise NotImplementedError


class AudioEncoder(nn.Module):
    """Encodes sound.

    Attributes:
        name: of the encoder, and of its folder of feature files.
        dims: width.
        rate_hz: sampling rate of the mono sound.
        clip_len_s: seconds in a clip.
    """

    name: str
    dims: int
    rate_hz: int = 32000
    clip_len_s: float = 2

    def forward(self, clips: Tensor) -> Tensor:
        """(N, clip_len_s * rate_hz), in [-1, 1], on the network's device -> (N, dims) float32, on the same."""
        raise NotImplementedError

    def encode(self, clips: Tensor) -> np.ndarray:
        """`forward` of clips on any device, for inference: (N, dims) float32."""
        with torch.inference_mode():
            return self(clips.to(device_of(self))).float().cpu().numpy()


@dataclass(frozen=True)
class Encoders:
    """What makes a video's and a sentence's features; `audio` may be None."""

    visual: VisualEncoder
    text: TextEncoder
    audio: AudioEncoder | None = None


def build_encoders(cfg: dict) -> Encoders:
    """Builds `dict(visual=dict(type=...), text=dict(type=...), audio=dict(type=...) or None)`, for inference.

    They compute on the GPU if there is one.

    Raises:
        InputError: a kind that is missing or unknown, an unknown type or key, weights not at hand.
    """
    kinds = dict(visual=VisualEncoder, text=TextEncoder, audio=AudioEncoder)
    for kind in cfg:
        if kind not in kinds:
            raise InputError(f"encoders: unknown {kind!r}; {suggest(kind, kinds)}")
    for kind in ("visual", "text"):
        if cfg.get(kind) is None:
            raise InputError(f"encoders: no {kind!r}; give encoders=dict(visual=..., text=..., audio=...)")
    built = {}
    for kind, part in cfg.items():
        built[kind] = build(part, MODELS, location=f"encoders.{kind}")
        if built[kind] is not None and not isinstance(built[kind], kinds[kind]):
            raise InputError(f"encoders.{kind}: {part['type']} is no {kinds[kind].__name__}; name one")
    return Encoders(**{kind: None if encoder is None else encoder.eval().to(best_device())
                       for kind, encoder in built.items()})


def check_clips(clip_len_s: float, frames_per_clip: int = 1) -> tuple[float, int]:
    """Gives both back; an InputError when a clip would have no length or no frame."""
    if not clip_len_s > 0 or frames_per_clip < 1:
        raise InputError(f"encoders: clip_len_s={clip_len_s}, frames_per_clip={frames_per_clip}; "
                         "give a length over 0 and at least one frame")
    return clip_len_s, int(frames_per_clip)


def crop_square(frame: np.ndarray, size_px: int) -> np.ndarray:
    """Resizes the short side to `size_px`, bicubic with antialiasing, and cuts out the centre, as CLIP does.

    Args:
        frame: (H, W, 3) uint8.

    Returns:
        (size_px, size_px, 3) uint8.
    """
    H, W, _ = frame.shape
    height, width = (int(size_px * side / min(H, W)) for side in (H, W))
    top, left = round((height - size_px) / 2), round((width - size_px) / 2)
    image = Image.fromarray(np.ascontiguousarray(frame)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image.crop((left, top, left + size_px, top + size_px)))


def join_pieces(pieces: list[TextFeature]) -> TextFeature:
    """One text's pieces -> its feature.

    The tokens stand in order; the sentence is the pieces' mean, weighted by their tokens, scaled to
    their mean norm, so that pieces of unit norm give one of unit norm.
    """
    if len(pieces) == 1:
        return pieces[0]
    tokens = np.concatenate([p.last_hidden_state for p in pieces])
    weights = np.array([len(p.last_hidden_state) for p in pieces], dtype=np.float32)
    sentence = np.average([p.pooler_output for p in pieces], axis=0, weights=weights)
    length = np.mean([np.linalg.norm(p.pooler_output) for p in pieces])
    sentence = sentence * (length / max(np.linalg.norm(sentence), 1e-12))
    return TextFeature(tokens, sentence.astype(np.float32))


def normalize_rows(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to unit norm; rows of zeros stay."""
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def check_space(shared: np.ndarray, sentences: np.ndarray, visual: str) -> tuple[np.ndarray, np.ndarray]:
    """Both as float32; an InputError when the sentences are not of the clips' width."""
    shared, sentences = np.asarray(shared, dtype=np.float32), np.asarray(sentences, dtype=np.float32)
    if shared.shape[-1] != sentences.shape[-1]:
        raise InputError(f"encoders: {visual} compares sentences {shared.shape[-1]} wide, but these are "
                         f"{sentences.shape[-1]} wide; take visual and text encoder from one file of "
                         "configs/_base_/encoders")
    return shared, sentences


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """Where the network runs in the fastest dtype: bfloat16 on CPUs that compute in it, float16 on GPUs.

    Args:
        precision: `auto`, or `float32` for float32 everywhere.

    Raises:
        InputError: another precision.
    """
    if precision not in PRECISIONS:
        raise InputError(f"encoders: precision={precision!r}; {suggest(precision, PRECISIONS)}")
    if precision == "float32" or (device.type == "cpu" and not cpu_has_bfloat16()):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if device.type == "cpu" else torch.float16)
