"""Reading feature files: one file per video or query, in the public formats."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from common.errors import InputError


def read_array(path: str | os.PathLike, key: str | None = None) -> np.ndarray:
    """Reads a float32 array from `.npy`, or from `.npz` by its key.

    Raises:
        InputError: no such file, unreadable, without the key, empty, or with NaN or infinity in it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such feature file; make it with tools/extract_features.py")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            array = loaded
        else:
            with loaded:
                if key not in loaded.files:
                    raise InputError(f"{path}: no {key!r} in it, only {', '.join(loaded.files) or 'nothing'}")
                array = loaded[key]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as err:
        if isinstance(err, InputError):
            raise
        raise InputError(f"{path}: not a readable feature file ({err}); make it again") from err
    if array.size == 0 or array.dtype.kind not in "fiu":
        raise InputError(f"{path}: holds {array.dtype} of shape {array.shape}, not features")
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{path}: holds NaN or infinity; make it again")
    return array


def read_matrix(path: str | os.PathLike, key: str | None = None) -> np.ndarray:
    """As `read_array`, and it must be (rows, width)."""
    array = read_array(path, key)
    if array.ndim != 2:
        raise InputError(f"{path}: features of shape {array.shape}, not (rows, width)")
    return array
