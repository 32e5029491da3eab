"""The audio encoder of PANNs."""

from __future__ import annotations

import os

import torch
from nncore.nn import MODELS
from torch import Tensor

from common.errors import InputError
from models.cpu.batch_norm_folding import fold_batch_norms

from .base import AudioEncoder, check_clip_options
from .import_without_init import import_without_init
from .log_mel_statistics import HIGH_HZ, HOP, LOW_HZ, MELS, WINDOW
from .weights import CNN14, fetch, load_state, read_weights

CLASSES = 527   # Number of AudioSet classes that the published network predicts.


@MODELS.register()
class Cnn14(AudioEncoder):
    """The embedding of PANNs' Cnn14 (Kong et al., TASLP 2020), pretrained on AudioSet.

    Args:
        weights: a file to use instead of the published one: `{"model": state dict}`.
        clip_len_s: see `AudioEncoder`.
    """

    name = "panns_cnn14"
    dims = 2048

    def __init__(self, weights: str | os.PathLike | None = None, clip_len_s: float = 2):
        super().__init__()
        self.clip_len_s, _ = check_clip_options(clip_len_s)
        path = fetch(CNN14) if weights is None else weights
        state = read_weights(path).get("model")
        if not isinstance(state, dict):
            raise InputError(path, 'has no "model"', 'give a file of PANNs, {"model": state dict}')
        network = import_without_init("panns_inference", "models", "panns-inference").Cnn14
        self.network = network(self.rate_hz, WINDOW, HOP, MELS, LOW_HZ, HIGH_HZ, CLASSES)
        load_state(self.network.eval().requires_grad_(False), state, path)
        fold_batch_norms(self.network, (("conv1", "bn1"), ("conv2", "bn2")))
        # Together with the folded batch norms, this memory format reduces the time by a third on CPUs.
        self.network.to(memory_format=torch.channels_last)

    def forward(self, clips: Tensor) -> Tensor:
        """See `AudioEncoder.forward`."""
        return self.network(clips)["embedding"]
