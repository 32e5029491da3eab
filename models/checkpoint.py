"""Load checkpoints: this project's, the published ones of UMT, and ModelScope's, with their parameter names."""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.nn as nn

from common.errors import InputError
from common.torch_file import read_torch_file

WRAPPER_PREFIXES = ("module.", "model.")   # DataParallel and ModelScope prefix every key with these.
SHOWN_KEYS = 5                             # Maximum number of keys of each kind in an error message.


def read_checkpoint(path: str | os.PathLike) -> dict:
    """Read a checkpoint file without running any code that it may contain.

    Args:
        path: a `.safetensors` file, or a file that `torch.save` wrote: nncore's dict of `state_dict`, `meta` and
            optionally `optimizer`, or a bare state dict.

    Returns:
        A dict with at least `state_dict`.

    Raises:
        InputError: the file does not exist, is not a checkpoint, or contains code.
    """
    checkpoint = _read_safetensors(Path(path)) if Path(path).suffix == ".safetensors" else \
        read_torch_file(path, "checkpoint")
    if isinstance(checkpoint, dict) and isinstance(checkpoint.get("state_dict"), dict):
        state = checkpoint["state_dict"]
    else:
        state, checkpoint = checkpoint, {}
    if not isinstance(state, dict) or not state or not all(torch.is_tensor(v) for v in state.values()):
        raise InputError(path, "holds no state dict of tensors", "specify a model checkpoint")
    return {**checkpoint, "state_dict": _remove_wrapper_prefixes(state)}


def _read_safetensors(path: Path) -> dict:
    # Only .safetensors files need this library.
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(path, "no such checkpoint", "specify a .pth or .safetensors file")
    try:
        return load_file(path)
    except Exception as err:   # safetensors raises its own exception as well as OSErrors.
        raise InputError(path, f"not a readable checkpoint ({type(err).__name__})",
                         "download or save it again") from err


def load_checkpoint(model: nn.Module, path: str | os.PathLike) -> dict:
    """Load a checkpoint into a model; every key and shape must match.

    Args:
        model: stays unchanged unless everything matches.
        path: see `read_checkpoint`.

    Returns:
        The checkpoint's `meta`, or an empty dict.

    Raises:
        InputError: see `read_checkpoint`, or keys are missing, unexpected or of different shapes.
    """
    checkpoint = read_checkpoint(path)
    load_weights(model, checkpoint["state_dict"], path)
    return checkpoint.get("meta") or {}


def load_weights(model: nn.Module, state: dict, path: str | os.PathLike) -> None:
    """Load a state dict into a model; every key and shape must match.

    Args:
        model: stays unchanged unless everything matches.
        state: the `state_dict` of `read_checkpoint`.
        path: the file that it was read from, for the error.

    Raises:
        InputError: keys are missing, unexpected or of different shapes.
    """
    model = getattr(model, "module", model)
    own = model.state_dict()
    mismatches = [
        _describe_keys("missing", [k for k in own if k not in state]),
        _describe_keys("unexpected", [k for k in state if k not in own]),
        _describe_keys("with a different shape", [f"{k} {tuple(state[k].shape)}, the model has {tuple(own[k].shape)}"
                                                  for k in own if k in state and state[k].shape != own[k].shape]),
    ]
    if any(mismatches):
        raise InputError(path, f"does not fit the {type(model).__name__} of the config: "
                         f"{'; '.join(m for m in mismatches if m)}", "specify the config that it was trained with")
    model.load_state_dict(state)


def _remove_wrapper_prefixes(state: dict) -> dict:
    for prefix in WRAPPER_PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key[len(prefix):]: value for key, value in state.items()}
    return state


def _describe_keys(kind: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return f"{len(keys)} {kind} ({', '.join(keys[:SHOWN_KEYS])}{more})"
