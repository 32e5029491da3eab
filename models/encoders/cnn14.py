"""PANNs' sound encoder."""

from __future__ import annotations

import os

import torch
from nncore.nn import MODELS
from torch import Tensor

from common.errors import InputError
from models.cpu.batch_norm_folding import fold_batch_norms

from .base import AudioEncoder, check_clips
from .import_without_init import import_without_init
from .log_mel_statistics import HIGH_HZ, HOP, LOW_HZ, MELS, WINDOW
from .weights import CNN14, fetch, load_state, read_weights

CLASSES = 527   # of AudioSet, which it was trained to tell apart


@MODELS.register()
class Cnn14(AudioEncoder):
    """The embedding of PANNs' Cnn14 (Kong et al., 2020), pretrained on AudioSet.

    Args:
        weights: a file to read instead of the published one: `{"model": state dict}`.
        clip_len_s: see `AudioEncoder`.
    """

    name = "panns_cnn14"
    dims = 2048

    def __init__(self, weights: str | os.PathLike | None = None, clip_len_s: float = 2):
        super().__init__()
        self.clip_len_s, _ = check_clips(clip_len_s)
        path = fetch(CNN14) if weights is None else weights
        state = read_weights(path).get("model")
        if not isinstance(state, dict):
            raise InputError(f'{path}: no "model" in it; give a file of PANNs, {{"model": state dict}}')
        network = import_without_init("panns_inference", "models", "panns-inference").Cnn14
        self.network = network(self.rate_hz, WINDOW, HOP, MELS, LOW_HZ, HIGH_HZ, CLASSES)
        load_state(self.network.eval().requires_grad_(False), state, path)
        fold_batch_norms(self.network, (("conv1", "bn1"), ("conv2", "bn2")))
        self.network.to(memory_format=torch.channels_last)   # both together take two thirds of the time

    def forward(self, clips: Tensor) -> Tensor:
        """See `AudioEncoder.forward`."""
        return self.network(clips)["embedding"]
