"""OpenAI's CLIP network, loaded once for its image encoder and its text encoder."""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn as nn

from common.build import suggest
from common.errors import ConfigError, InputError

from .import_without_init import import_without_init
from .weights import CLIP, fetch, load_state, read_weights

NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")   # OpenAI's files also store these numbers.
MAX_ERROR_CHARACTERS = 200   # An error quotes this much of an exception's message.


def load_clip(arch: str = "ViT-B/32", weights: str | os.PathLike | None = None) -> nn.Module:
    """Load the CLIP network (Radford et al., ICML 2021) in float32 and evaluation mode, once per file and process.

    Args:
        arch: one of OpenAI's architecture names.
        weights: a file to use instead of OpenAI's, e.g. of a fine-tuned network: a state dict, which is read without
            running code, or a TorchScript archive like OpenAI's. The reader of TorchScript runs no Python, and only
            the archive's weights are used.

    Raises:
        ConfigError: the architecture is unknown.
        InputError: the weights are not available or are not CLIP's.
    """
    if arch not in CLIP:
        raise ConfigError("encoders", f"no CLIP is called {arch!r}", suggest(arch, CLIP))
    path = fetch(CLIP[arch]) if weights is None else Path(weights)
    if not path.is_file():
        raise InputError(path, "no such weight file", "correct the path")
    return _load(path.resolve(), path.stat().st_mtime_ns)


def short_name(arch: str) -> str:
    """Return an architecture name for use in folder names: `ViT-B/32` -> `b32`."""
    return re.sub(r"[^a-z0-9]+", "_", arch.lower().removeprefix("vit-").replace("/", ""))


@lru_cache(maxsize=2)
def _load(path: Path, changed_ns: int) -> nn.Module:
    del changed_ns   # This is only a part of the cache key.
    state = {k: v for k, v in _read_state(path).items() if k not in NOT_WEIGHTS}
    try:
        network = import_without_init("clip", "model", "openai-clip").build_model(dict(state))
    except (KeyError, AttributeError, IndexError, AssertionError, RuntimeError, ZeroDivisionError) as err:
        reason = f"{type(err).__name__}: {str(err)[:MAX_ERROR_CHARACTERS]}"
        raise InputError(path, f"not a CLIP network's weights ({reason})",
                         "give a state dict or archive with OpenAI's parameter names") from err
    load_state(network.float(), state, path)   # build_model has rounded the weights to float16.
    return network.eval().requires_grad_(False)


def _read_state(path: Path) -> dict:
    if not _is_torchscript(path):
        return read_weights(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")   # TorchScript is deprecated, but OpenAI's files stay in this format.
            return torch.jit.load(path, map_location="cpu").state_dict()
    except Exception as err:   # torch.jit.load raises exceptions of many types for a damaged file.
        raise InputError(path, f"not a readable archive ({type(err).__name__})", "download it again") from err


def _is_torchscript(path: Path) -> bool:
    """Return True if TorchScript wrote the file; unlike archives of torch.save, its archives contain constants."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False
