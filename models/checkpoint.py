"""Load checkpoints: this project's, the published ones of UMT, and ModelScope's, with their parameter names."""

from __future__ import annotations

import os

import torch
import torch.nn as nn

from common.errors import InputError
from common.torch_file import read_torch_file

WRAPPER_PREFIXES = ("module.", "model.")   # DataParallel and ModelScope prefix every key with these.
COMPILED = "_orig_mod"                     # torch.compile wraps the model, or modules in it, with this name.
# Keys under which training programs store the state dict, in order of preference; lower-case.
STATE_KEYS = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "weights", "params")
SHOWN_KEYS = 5                             # Maximum number of keys of each kind in an error message.


def read_checkpoint(path: str | os.PathLike) -> dict:
    """Read a checkpoint file without running any code that it may contain.

    Args:
        path: a safetensors file, or a file that `torch.save` wrote: nncore's dict of `state_dict`, `meta` and
            optionally `optimizer`; another dict with the state dict under one of `STATE_KEYS`; or a bare state dict.

    Returns:
        A dict with at least `state_dict`, whose keys have no prefixes of `torch.compile`, DataParallel and ModelScope.

    Raises:
        InputError: the file does not exist, is not a checkpoint, or contains code.
    """
    checkpoint = read_torch_file(path, "checkpoint")
    state = _find_state(checkpoint)
    if state is None:
        keys = [str(key) for key in checkpoint] if isinstance(checkpoint, dict) else []
        listed = f", only {', '.join(keys[:SHOWN_KEYS])}{' and more' if len(keys) > SHOWN_KEYS else ''}" if keys else ""
        raise InputError(path, f"holds no state dict of tensors{listed}", "specify a model checkpoint")
    others = checkpoint if isinstance(checkpoint, dict) and state is not checkpoint else {}
    return {**others, "state_dict": _remove_wrapper_prefixes(state)}


def _find_state(value: object) -> dict | None:
    """Return the state dict in the content of a checkpoint file; None if there is none."""
    if not isinstance(value, dict) or not value:
        return None
    if all(isinstance(key, str) and torch.is_tensor(entry) for key, entry in value.items()):
        return value
    lowered = {key.lower(): entry for key, entry in value.items() if isinstance(key, str)}
    return next((state for key in STATE_KEYS if (state := _find_state(lowered.get(key))) is not None), None)


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
    """Remove the names of wrappers from the keys, in whatever order the wrappers are nested."""
    state = {".".join(part for part in key.split(".") if part != COMPILED): value for key, value in state.items()}
    while prefix := next((p for p in WRAPPER_PREFIXES if all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _describe_keys(kind: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return f"{len(keys)} {kind} ({', '.join(keys[:SHOWN_KEYS])}{more})"
