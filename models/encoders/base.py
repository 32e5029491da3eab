"""The interfaces of the encoders, and functions that several encoders share."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn as nn
from nncore.nn import MODELS
from PIL import Image
from torch import Tensor

from common.build import build, suggest
from common.errors import ConfigError
from common.progress import ReportProgress
from models.device import best_device, cpu_has_bfloat16, device_of

PRECISIONS = ("auto", "float32")
EMBED_BATCH = 256   # Texts whose token vectors are in memory at the same time while only embeddings are computed.


@dataclass(frozen=True)
class TextFeature:
    """The features of one text, in float32.

    Attributes:
        last_hidden_state: (L, D), one vector per token.
        pooler_output: (P,), the embedding of the complete text.
    """

    last_hidden_state: np.ndarray
    pooler_output: np.ndarray


class VisualEncoder(nn.Module):
    """An encoder of images.

    Attributes:
        parts: widths of the features by their names; each part is a separate folder of feature files.
        shared_part: name of the part that is in the space of the text encoder.
        size_px: width and height of the network's input.
        clip_len_s: length of a clip in seconds.
        frames_per_clip: number of frames per clip, evenly spaced; their features are averaged.
        batch_frames: number of frames to encode per call; larger batches need more memory and are not always faster.
    """

    parts: dict[str, int]
    shared_part: str
    size_px: int = 224
    clip_len_s: float = 2
    frames_per_clip: int = 1
    batch_frames: int = 4

    def preprocess(self, frame: np.ndarray) -> Tensor:
        """Convert a frame (H, W, 3), uint8 RGB of any size, to the network's input (3, size_px, size_px)."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Encode images on the network's device: (N, 3, size_px, size_px) -> parts (N, width), float32, on it."""
        raise NotImplementedError

    def encode(self, images: Tensor) -> dict[str, np.ndarray]:
        """Encode images on any device, for inference: (N, 3, size_px, size_px) -> parts (N, width), float32."""
        with torch.inference_mode():
            return {part: values.float().cpu().numpy() for part, values in self(images.to(device_of(self))).items()}

    def similarity(self, shared: np.ndarray, sentences: np.ndarray) -> np.ndarray:
        """Return the cosine similarities of a video's clips with texts.

        Args:
            shared: (T, D), the part `shared_part` of all clips of the video.
            sentences: (Q, D), the `pooler_output` of each text.

        Returns:
            (T, Q) in [-1, 1].

        Raises:
            ConfigError: the widths differ, because the text encoder has a different space.
        """
        raise NotImplementedError

    def classify(self, features: dict[str, np.ndarray], text: TextEncoder) -> tuple[list[str], np.ndarray]:
        """Classify the clips of a video.

        Args:
            features: part -> (T, width), as `encode` returns them.
            text: the text encoder of the shared space.

        Returns:
            The names of K classes, and their probabilities (T, K).
        """
        raise NotImplementedError


class TextEncoder(nn.Module):
    """An encoder of texts.

    Attributes:
        name: name of the encoder, and of its folder of feature files.
        dims: width of the tokens.
    """

    name: str
    dims: int

    def encode(self, texts: list[str]) -> list[TextFeature]:
        """Encode texts of any length in any script; long texts are encoded in chunks without truncation.

        Raises:
            InputError: a text is empty.
        """
        raise NotImplementedError

    def embed(self, texts: str | Sequence[str], report_progress: ReportProgress = None) -> np.ndarray:
        """Return the embeddings of texts (N, P), the `pooler_output` of `encode`, in memory that N does not change.

        Args:
            texts: any number of texts, as for `encode`; a single string counts as one text.
            report_progress: called with the finished share, from 0 to 1.

        Raises:
            InputError: a text is empty.
        """
        texts = [texts] if isinstance(texts, str) else texts
        rows = []
        for start in range(0, len(texts), EMBED_BATCH):
            rows += [feature.pooler_output for feature in self.encode(list(texts[start:start + EMBED_BATCH]))]
            if report_progress is not None:
                report_progress(len(rows) / len(texts))
        return np.stack(rows)


class AudioEncoder(nn.Module):
    """An encoder of audio.

    Attributes:
        name: name of the encoder, and of its folder of feature files.
        dims: width of the features.
        rate_hz: sample rate of the mono audio.
        clip_len_s: length of a clip in seconds.
    """

    name: str
    dims: int
    rate_hz: int = 32000
    clip_len_s: float = 2

    def forward(self, clips: Tensor) -> Tensor:
        """Encode clips on the network's device: (N, clip_len_s * rate_hz) in [-1, 1] -> (N, dims), float32, on it."""
        raise NotImplementedError

    def encode(self, clips: Tensor) -> np.ndarray:
        """Encode clips on any device, for inference: (N, clip_len_s * rate_hz) in [-1, 1] -> (N, dims), float32."""
        with torch.inference_mode():
            return self(clips.to(device_of(self))).float().cpu().numpy()


@dataclass(frozen=True)
class Encoders:
    """The encoders of videos and queries; without an audio encoder, audio is ignored."""

    visual: VisualEncoder
    text: TextEncoder
    audio: AudioEncoder | None = None


def build_encoders(cfg: dict) -> Encoders:
    """Build encoders for inference, on a GPU if there is one.

    Args:
        cfg: `dict(visual=dict(type=...), text=dict(type=...), audio=dict(type=...) or None)`.

    Raises:
        ConfigError: a kind of encoder is missing or unknown, or has an unknown type or key.
        InputError: weights are not available.
    """
    kinds = dict(visual=VisualEncoder, text=TextEncoder, audio=AudioEncoder)
    for kind in cfg:
        if kind not in kinds:
            raise ConfigError("encoders", f"unknown {kind!r}", suggest(kind, kinds))
    for kind in ("visual", "text"):
        if cfg.get(kind) is None:
            raise ConfigError("encoders", f"no {kind!r}", "give encoders=dict(visual=..., text=..., audio=...)")
    built = {}
    for kind, part in cfg.items():
        built[kind] = build(part, MODELS, location=f"encoders.{kind}")
        if built[kind] is not None and not isinstance(built[kind], kinds[kind]):
            raise ConfigError(f"encoders.{kind}", f"{part['type']} is not a {kinds[kind].__name__}", "specify one")
    ready = {kind: None if encoder is None else encoder.eval().to(best_device()) for kind, encoder in built.items()}
    visual, text = ready["visual"], ready["text"]
    assert visual is not None and text is not None   # The config of both has been checked above.
    return Encoders(visual, text, ready.get("audio"))


def check_clip_options(clip_len_s: float, frames_per_clip: int = 1) -> tuple[float, int]:
    """Return both options.

    Raises:
        ConfigError: a clip would have no duration or no frame.
    """
    if not clip_len_s > 0 or frames_per_clip < 1:
        raise ConfigError("encoders", f"clip_len_s={clip_len_s}, frames_per_clip={frames_per_clip}",
                          "use a length above 0 and at least one frame")
    return clip_len_s, int(frames_per_clip)


def resize_and_crop(frame: np.ndarray, size_px: int) -> np.ndarray:
    """Resize the shorter side to `size_px` (bicubic, antialiased) and crop the center, as CLIP does.

    Args:
        frame: (H, W, 3) uint8.
        size_px: width and height of the result.

    Returns:
        (size_px, size_px, 3) uint8.
    """
    H, W, _ = frame.shape
    height, width = (int(size_px * side / min(H, W)) for side in (H, W))
    top, left = round((height - size_px) / 2), round((width - size_px) / 2)
    image = Image.fromarray(np.ascontiguousarray(frame)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image.crop((left, top, left + size_px, top + size_px)))


def join_chunks(chunks: list[TextFeature]) -> TextFeature:
    """Combine the features of the chunks of one text.

    Tokens are concatenated; see `join_embeddings` for the embedding.
    """
    if len(chunks) == 1:
        return chunks[0]
    tokens = np.concatenate([c.last_hidden_state for c in chunks])
    return TextFeature(tokens, join_embeddings([c.pooler_output for c in chunks],
                                               [len(c.last_hidden_state) for c in chunks]))


def join_embeddings(embeddings: Sequence[np.ndarray], n_tokens: Sequence[int]) -> np.ndarray:
    """Return the embedding (P,) of a text from those of its chunks (P,) and their numbers of tokens.

    It is their mean, weighted by the numbers of tokens and scaled to their mean norm, so chunks of unit norm give an
    embedding of unit norm.
    """
    if len(embeddings) == 1:
        return embeddings[0]
    mean = np.average(embeddings, axis=0, weights=np.array(n_tokens, dtype=np.float32))
    norm = np.mean([np.linalg.norm(embedding) for embedding in embeddings])
    return (mean * (norm / max(np.linalg.norm(mean), 1e-12))).astype(np.float32)


def normalize_rows(rows: np.ndarray) -> np.ndarray:
    """Scale rows to unit norm; zero rows stay zero."""
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def check_same_space(shared: np.ndarray, sentences: np.ndarray, visual: str) -> tuple[np.ndarray, np.ndarray]:
    """Convert the features of clips (T, D) and texts (Q, D) to float32.

    Args:
        shared: features of clips.
        sentences: features of texts.
        visual: type of the visual encoder, for the error.

    Raises:
        ConfigError: the widths differ.
    """
    shared, sentences = np.asarray(shared, dtype=np.float32), np.asarray(sentences, dtype=np.float32)
    if shared.shape[-1] != sentences.shape[-1]:
        raise ConfigError("encoders", f"{visual} compares texts {shared.shape[-1]} wide, but these are "
                          f"{sentences.shape[-1]} wide",
                          "use the visual and the text encoder of one file in configs/_base_/encoders")
    return shared, sentences


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """Return a context in which networks run in bfloat16 on CPUs that support it, and in float16 on GPUs.

    Args:
        device: the device of the network.
        precision: `auto`, or `float32` for float32 everywhere.

    Raises:
        ConfigError: the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise ConfigError("encoders", f"precision={precision!r}", suggest(precision, PRECISIONS))
    if precision == "float32" or (device.type == "cpu" and not cpu_has_bfloat16()):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if device.type == "cpu" else torch.float16)
