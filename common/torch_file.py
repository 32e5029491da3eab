"""Reading what torch.save wrote, without running what may be hidden in it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import torch

from .errors import InputError


def read_torch_file(path: str | os.PathLike, what: str) -> object:
    """Loads a file of tensors and plain values onto the CPU.

    Args:
        path: what `torch.save` wrote.
        what: what the file should be, for the messages: "checkpoint", "weight file".

    Raises:
        InputError: no such file, unreadable, or one that would run code.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such {what}; name a file that torch.save wrote")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:
        if "nsupported" not in str(err):   # torch's word for classes and calls that it refuses
            raise InputError(f"{path}: not a readable {what}; fetch or save it again") from err
        raise InputError(f"{path}: refused, it holds more than weights, which could run code when loaded; ask its "
                         "author for a plain state dict or .safetensors") from err
    except Exception as err:   # torch.load raises many kinds for a damaged file
        raise InputError(f"{path}: not a readable {what} ({type(err).__name__}); fetch or save it again") from err
