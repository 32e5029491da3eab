"""Load files that torch.save wrote, without running code that they may contain."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch

from .errors import InputError


def read_torch_file(path: str | os.PathLike, kind: str) -> object:
    """Load a file of tensors and plain values onto the CPU.

    Args:
        path: a file that `torch.save` wrote.
        kind: the expected kind of file, for error messages: "checkpoint" or "weight file".

    Raises:
        InputError: the file does not exist, is damaged, or contains objects that would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, f"no such {kind}", "specify a file that torch.save wrote")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as err:   # torch.load raises exceptions of many types for a damaged file.
        # The restricted unpickler rejects valid pickles with the same exception that it raises for damaged ones.
        if isinstance(err, pickle.UnpicklingError) and _is_valid_pickle(path):
            raise InputError(path, "rejected, because it contains Python objects besides tensors, which could run code "
                             "when loaded", "ask its author for a plain state dict or a .safetensors file") from err
        raise InputError(path, f"not a readable {kind} ({type(err).__name__})", "download or save it again") from err


def _is_valid_pickle(path: Path) -> bool:
    """Return True if the file, or the pickle inside a torch.save archive, can be disassembled; nothing is executed."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
                _disassemble(io.BytesIO(archive.read(name)))
        else:   # The format before torch 1.6 is a sequence of pickles; the first one is sufficient.
            with path.open("rb") as file:
                _disassemble(file)
    except (ValueError, LookupError, StopIteration, OSError, zipfile.BadZipFile):
        return False
    return True


def _disassemble(file: BinaryIO) -> None:
    """Read one pickle, opcode by opcode; raise ValueError or LookupError if it is invalid."""
    for _ in pickletools.genops(file):
        pass
