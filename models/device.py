"""Where networks compute."""

from __future__ import annotations

from itertools import chain

import torch
import torch.nn as nn


def best_device() -> torch.device:
    """The first GPU that CUDA (or ROCm) shows, else the CPU; CUDA_VISIBLE_DEVICES chooses and hides GPUs."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(module: nn.Module) -> torch.device:
    """Where a module's weights lie; the CPU for one without any."""
    first = next(chain(module.parameters(), module.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def move_to_device(data: dict, module: nn.Module) -> dict:
    """A model's data with its tensors where the model is; the rest as it was."""
    device = device_of(module)
    return {key: value.to(device) if torch.is_tensor(value) else value for key, value in data.items()}
