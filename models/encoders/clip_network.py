"""OpenAI's CLIP network, loaded once for its picture and its text encoder."""

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
from common.errors import InputError

from .import_without_init import import_without_init
from .weights import CLIP, fetch, load_state, read_weights

NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")   # plain numbers in OpenAI's files


def load_clip(arch: str = "ViT-B/32", weights: str | os.PathLike | None = None) -> nn.Module:
    """The CLIP network (Radford et al., 2021) in float32 and evaluation mode; one per file and process.

    Args:
        arch: one of OpenAI's names.
        weights: a file to read instead of OpenAI's, e.g. of a fine-tuned network: a state dict, read as
            tensors only, or a TorchScript archive as OpenAI's are. TorchScript is a format of its own,
            whose reader runs no Python; only its weights are taken.

    Raises:
        InputError: an unknown arch, weights not at hand or not CLIP's.
    """
    if arch not in CLIP:
        raise InputError(f"encoders: no CLIP is called {arch!r}; {suggest(arch, CLIP)}")
    path = fetch(CLIP[arch]) if weights is None else Path(weights)
    if not path.is_file():
        raise InputError(f"{path}: no such weight file")
    return _load(path.resolve(), path.stat().st_mtime_ns)


def short_name(arch: str) -> str:
    """`ViT-B/32` -> `b32`, for names of feature folders."""
    return re.sub(r"[^a-z0-9]+", "_", arch.lower().removeprefix("vit-").replace("/", ""))


@lru_cache(maxsize=2)
def _load(path: Path, changed_ns: int) -> nn.Module:
    del changed_ns   # part of the cache's key only
    state = {k: v for k, v in _read_state(path).items() if k not in NOT_WEIGHTS}
    try:
        network = import_without_init("clip", "model", "openai-clip").build_model(dict(state))
    except (KeyError, AttributeError, IndexError, AssertionError, RuntimeError, ZeroDivisionError) as err:
        raise InputError(f"{path}: not a CLIP network's weights ({type(err).__name__}: {str(err)[:200]}); "
                         "give a state dict or archive with OpenAI's names") from err
    load_state(network.float(), state, path)   # again: build_model rounds to float16
    return network.eval().requires_grad_(False)


def _read_state(path: Path) -> dict:
    if not _is_archive(path):
        return read_weights(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")   # TorchScript is deprecated; OpenAI's files stay what they are
            return torch.jit.load(path, map_location="cpu").state_dict()
    except Exception as err:   # torch.jit.load raises many kinds for a damaged file
        raise InputError(f"{path}: not a readable archive ({type(err).__name__}); get it again") from err


def _is_archive(path: Path) -> bool:
    """Whether TorchScript wrote the file: such a zip has constants, one of torch.save has none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False
