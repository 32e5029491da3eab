"""The image encoder of OpenAI's CLIP."""

from __future__ import annotations

import os

import numpy as np
import torch
from nncore.nn import MODELS
from torch import Tensor

from models.cpu.bfloat16_vit import BFloat16ViT
from models.device import cpu_has_bfloat16

from .base import (
    TextEncoder,
    VisualEncoder,
    autocast,
    check_clip_options,
    check_same_space,
    normalize_rows,
    resize_and_crop,
)
from .class_names import class_names
from .clip_network import load_clip, short_name

# Mean and standard deviation of red, green and blue in CLIP's training images, on a scale of 0 to 1.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
LOGIT_SCALE = 100.0   # The maximum of the learned temperature in CLIP's training.


@MODELS.register()
class CLIPImage(VisualEncoder):
    """CLIP's image embeddings (Radford et al., ICML 2021) as `encode_image` returns them, not scaled to unit norm.

    Args:
        arch: one of OpenAI's architecture names; determines the name of the feature part, e.g. `clip_b32`.
        weights: a weight file to use instead of OpenAI's; see `load_clip`.
        precision: `auto` or `float32`; see `autocast`.
        clip_len_s: see `VisualEncoder`.
        frames_per_clip: see `VisualEncoder`.
    """

    def __init__(self, arch: str = "ViT-B/32", weights: str | os.PathLike | None = None,
                 precision: str = "auto", clip_len_s: float = 2, frames_per_clip: int = 1):
        super().__init__()
        self.clip_len_s, self.frames_per_clip = check_clip_options(clip_len_s, frames_per_clip)
        autocast(torch.device("cpu"), precision)   # Reports an unknown precision now instead of at the first image.
        self.precision = precision
        self.network = load_clip(arch, weights)
        self.size_px = self.network.visual.input_resolution
        self.bfloat16_vit = None
        if precision == "auto" and cpu_has_bfloat16() and hasattr(self.network.visual, "transformer"):
            self.bfloat16_vit = BFloat16ViT(self.network.visual)
        self.shared_part = f"clip_{short_name(arch)}"
        self.parts = {self.shared_part: self.network.text_projection.shape[1]}

    def preprocess(self, frame: np.ndarray) -> Tensor:
        """See `VisualEncoder.preprocess`; `resize_and_crop`, then CLIP's mean and standard deviation per color."""
        pixels = resize_and_crop(frame, self.size_px).astype(np.float32) / 255
        pixels = (pixels - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        return torch.from_numpy(pixels).permute(2, 0, 1)   # (H, W, 3) -> (3, H, W)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """See `VisualEncoder.forward`."""
        if self.bfloat16_vit is not None and images.device.type == "cpu":
            return {self.shared_part: self.bfloat16_vit(images).float()}
        with autocast(images.device, self.precision):
            return {self.shared_part: self.network.encode_image(images).float()}

    def similarity(self, shared: np.ndarray, sentences: np.ndarray) -> np.ndarray:
        """See `VisualEncoder.similarity`."""
        clips, sentences = check_same_space(shared, sentences, type(self).__name__)
        return normalize_rows(clips) @ normalize_rows(sentences).T

    def classify(self, features: dict[str, np.ndarray], text: TextEncoder) -> tuple[list[str], np.ndarray]:
        """See `VisualEncoder.classify`; CLIP's zero-shot classification by ImageNet's class names."""
        names = class_names()
        sentences = np.stack([f.pooler_output for f in text.encode([f"a photo of a {name}." for name in names])])
        logits = LOGIT_SCALE * self.similarity(features[self.shared_part], sentences)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return names, odds / odds.sum(axis=1, keepdims=True)
