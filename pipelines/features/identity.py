"""Identity of source files and encoders, by which stored features are recognized as up to date or outdated."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn as nn
from torch import Tensor

from common.errors import InputError
from models.device import cpu_has_bfloat16
from models.encoders.weights import checksum

FEATURE_VERSION = 2   # Increase it when the code computes other features from the same file; stored ones then expire.
SETTING_TYPES = (int, float, str, tuple, list, dict)
SPEED_SETTINGS = ("training", "batch_frames")   # Settings without an effect on the features.


def content_key(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return checksum(Path(path))
    except OSError as err:
        raise InputError(path, f"cannot be read ({err.strerror})", "check its name and permissions") from err


def file_state(path: str | os.PathLike) -> dict[str, int]:
    """Return the size of a file and the times of its last changes.

    Programs can set the modification time of a file, but not its change time (ctime). A file of the same state
    therefore has the same content.

    Raises:
        OSError: the file does not exist, or its folder cannot be read.
    """
    status = os.stat(path)
    return dict(size=status.st_size, mtime_ns=status.st_mtime_ns, ctime_ns=status.st_ctime_ns)


def fingerprint(encoder: nn.Module, portable: bool = False) -> str:
    """Return the SHA-256 of an encoder's type, settings, parameters and buffers.

    Args:
        encoder: any encoder.
        portable: leave out what depends on the machine, so that the machines of a cluster, whose CPUs may differ, can
            share a folder of feature files: the type of numbers that the precision `auto` stands for, copies of the
            weights in bfloat16, and buffers that are computed instead of loaded.
    """
    declared = (name for kind in type(encoder).__mro__ for name in vars(kind).get("__annotations__", ()))
    settings = {name: getattr(encoder, name, None) for name in {*vars(encoder), *declared} if not name.startswith("_")}
    # Equal numbers must be equal in JSON: a clip length may be 2 in a config and 2.0 on the command line.
    settings = {name: float(value) if isinstance(value, (int, float)) else value for name, value in settings.items()
                if isinstance(value, SETTING_TYPES) and name not in SPEED_SETTINGS}
    if not portable and "precision" in settings:
        settings["half"] = cpu_has_bfloat16()
    digest = hashlib.sha256(json.dumps([type(encoder).__qualname__, settings], sort_keys=True, default=str).encode())
    for name, values in _tensors(encoder, portable):
        digest.update(f"{name}{tuple(values.shape)}{values.dtype}".encode())
        digest.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tensors(encoder: nn.Module, portable: bool) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters and buffers by name; see `fingerprint`."""
    loaded = encoder.state_dict().keys() if portable else ()
    for name, values in encoder.named_parameters():
        if not (portable and values.dtype == torch.bfloat16):
            yield name, values
    for name, values in encoder.named_buffers():
        if not portable or name in loaded:
            yield name, values
