"""Devices on which networks run."""

from __future__ import annotations

from itertools import chain

import torch
import torch.nn as nn


def best_device() -> torch.device:
    """Return the first GPU that is visible to CUDA or ROCm (see CUDA_VISIBLE_DEVICES), or the CPU if there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(module: nn.Module) -> torch.device:
    """Return the device of a module's weights; the CPU for a module without weights."""
    first = next(chain(module.parameters(), module.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def move_to_device(data: dict, module: nn.Module) -> dict:
    """Return the input data of a model with its tensors on the model's device and all other values unchanged."""
    device = device_of(module)
    return {key: value.to(device) if torch.is_tensor(value) else value for key, value in data.items()}


def cpu_has_bfloat16() -> bool:
    """Return True if the CPU multiplies bfloat16 in hardware; others emulate it, slower than float32."""
    return any(getattr(torch.cpu, name, lambda: False)()
               for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
