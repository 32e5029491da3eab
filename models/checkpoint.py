"""Reading checkpoints: ours, the published UMT's and ModelScope's, by their own key names."""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.nn as nn

from common.errors import InputError
from common.torch_file import read_torch_file

WRAPPER_PREFIXES = ("module.", "model.")   # what DataParallel and ModelScope put before every key
SHOWN_KEYS = 5


def read_checkpoint(path: str | os.PathLike) -> dict:
    """Reads a checkpoint file without running any code in it.

    Args:
        path: a `.safetensors` file, or what `torch.save` wrote: nncore's dict of `state_dict`, `meta`
            and perhaps `optimizer`, or a bare state dict.

    Returns:
        A dict with at least `state_dict`.

    Raises:
        InputError: no such file, not a checkpoint, or one that holds code.
    """
    checkpoint = _read_safetensors(Path(path)) if Path(path).suffix == ".safetensors" else \
        read_torch_file(path, "checkpoint")
    if isinstance(checkpoint, dict) and isinstance(checkpoint.get("state_dict"), dict):
        state = checkpoint["state_dict"]
    else:
        state, checkpoint = checkpoint, {}
    if not isinstance(state, dict) or not state or not all(torch.is_tensor(v) for v in state.values()):
        raise InputError(f"{path}: holds no state dict of tensors; name a model checkpoint")
    return {**checkpoint, "state_dict": _without_wrapper(state)}


def _read_safetensors(path: Path) -> dict:
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; name a .pth or .safetensors file")
    try:
        return load_file(path)
    except Exception as err:   # safetensors has an exception of its own, and the system's
        raise InputError(f"{path}: not a readable checkpoint ({type(err).__name__}); fetch or save it again") from err


def load_checkpoint(model: nn.Module, path: str | os.PathLike) -> dict:
    """Loads a checkpoint into a model; every key and shape must match.

    Args:
        model: changed only when everything fits.
        path: see `read_checkpoint`.

    Returns:
        The checkpoint's `meta`, or an empty dict.

    Raises:
        InputError: as `read_checkpoint`, or keys are missing, unexpected or of another shape.
    """
    checkpoint = read_checkpoint(path)
    load_weights(model, checkpoint["state_dict"], path)
    return checkpoint.get("meta") or {}


def load_weights(model: nn.Module, state: dict, path: str | os.PathLike) -> None:
    """Loads a state dict that `read_checkpoint` read from `path`; see `load_checkpoint`."""
    model = getattr(model, "module", model)
    own = model.state_dict()
    faults = [
        _name_keys("missing", [k for k in own if k not in state]),
        _name_keys("unexpected", [k for k in state if k not in own]),
        _name_keys("of another shape", [f"{k} {tuple(state[k].shape)}, the model has {tuple(own[k].shape)}"
                                        for k in own if k in state and state[k].shape != own[k].shape]),
    ]
    if any(faults):
        raise InputError(f"{path}: made for another model than the config's {type(model).__name__}: "
                         f"{'; '.join(f for f in faults if f)}; name the config that it was trained with")
    model.load_state_dict(state)


def _without_wrapper(state: dict) -> dict:
    for prefix in WRAPPER_PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key[len(prefix):]: value for key, value in state.items()}
    return state


def _name_keys(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return f"{len(keys)} {what} ({', '.join(keys[:SHOWN_KEYS])}{more})"
