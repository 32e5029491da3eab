"""The importance model: a small CLIP-It, trained on TVSum, that predicts which clips people find important."""

from __future__ import annotations

import os

import numpy as np
import torch.nn as nn
from nncore.nn import MODELS

from common.build import build
from common.config import load_config
from common.paths import CHECKPOINTS, CONFIGS
from models.checkpoint import load_checkpoint
from models.device import best_device

CONFIG = CONFIGS / "tvsum/clip_it_offline_all.py"
CHECKPOINT = CHECKPOINTS / "clip_it_tvsum.safetensors"
VISUAL_PARTS = dict(efficientnet_lite0=1280, conse=384)   # Visual features that the shipped model expects.
# Self-similarity of a video at which the model is fully used, and from which on it is not used;
# see `domain_familiarity`.
FAMILIAR_SIMILARITY, UNFAMILIAR_SIMILARITY = 0.79, 0.83


def load_importance_model(checkpoint: str | os.PathLike = CHECKPOINT, config: str | os.PathLike = CONFIG) -> nn.Module:
    """Load an importance model in evaluation mode; by default the shipped one.

    Raises:
        InputError: the config or the checkpoint is invalid.
    """
    model = build(load_config(config).model, MODELS, location="model").eval().to(best_device())
    load_checkpoint(model, checkpoint)
    return model


def domain_familiarity(visual: np.ndarray) -> float:
    """Return the weight of the importance model for a video, by the similarity of the video to its training domain.

    The criterion is self-similarity, the mean cosine similarity of the clips to their mean. It is 0.57 to 0.79 for
    the 40 web videos in the training set, and 0.83 and 0.84 for two recordings of static cameras. On those, the
    model prefers the empty scene, so novelty is the better criterion.

    Args:
        visual: (T, D) pooled features of EfficientNet-Lite0.

    Returns:
        1 up to the highest self-similarity in the training set, 0 from that of static cameras on, linear between.
    """
    norms = np.maximum(np.linalg.norm(visual, axis=1), 1e-12)
    mean = (1 / norms).astype(visual.dtype) @ visual / len(visual)   # The mean of the rows scaled to unit norm.
    self_similarity = float(np.linalg.norm(mean.astype(np.float64)))   # Equal to their mean cosine with the mean.
    span = UNFAMILIAR_SIMILARITY - FAMILIAR_SIMILARITY
    return float(np.clip((UNFAMILIAR_SIMILARITY - self_similarity) / span, 0, 1))
