"""Reading feature files: one file per video or query, in the public formats."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from common.errors import InputError

PACK_SUFFIX = ".pack"   # of folders that tools/pack_features.py makes
DTYPES = ("float16", "float32")


def read_array(path: str | os.PathLike, key: str | None = None) -> np.ndarray:
    """Reads a float32 array from `.npy`, or from `.npz` by its key.

    Raises:
        InputError: no such file, unreadable, without the key, empty, or with NaN or infinity in it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such feature file; make it with tools/extract_features.py")
    try:
        array, keys = _load(path, key)
    except Exception as err:   # numpy and zipfile raise a dozen types on damaged files
        raise InputError(f"{path}: not a readable feature file ({err}); make it again") from err
    if array is None:
        raise InputError(f"{path}: no {key!r} in it, only {', '.join(keys) or 'nothing'}")
    if array.size == 0 or array.dtype.kind not in "fiu":
        raise InputError(f"{path}: holds {array.dtype} of shape {array.shape}, not features")
    with np.errstate(over="ignore"):
        array = as_float32(array)
    if not np.isfinite(array).all():
        raise InputError(f"{path}: holds NaN or infinity; make it again")
    return array


def as_float32(array: np.ndarray) -> np.ndarray:
    """The array in float32, itself if it is; from float16 by torch, which converts twelve times as fast as numpy."""
    half = array.dtype == np.float16
    return torch.from_numpy(array).float().numpy() if half else array.astype(np.float32, copy=False)


def _load(path: Path, key: str | None) -> tuple[np.ndarray | None, list[str]]:
    """The array, None where an archive lacks the key; and the archive's keys."""
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded, []
    with loaded:
        return (loaded[key] if key in loaded.files else None), loaded.files


def stored_dtype(path: str | os.PathLike, key: str | None = None) -> str | None:
    """The type of the numbers in a feature file, as numpy calls it; None for a file that cannot be read."""
    try:
        array, _ = _load(Path(path), key)
    except Exception:   # see `read_array`, which says what is wrong
        return None
    return None if array is None else array.dtype.name


def read_matrix(path: str | os.PathLike, key: str | None = None) -> np.ndarray:
    """As `read_array`, and it must be (rows, width)."""
    array = read_array(path, key)
    if array.ndim != 2:
        raise InputError(f"{path}: features of shape {array.shape}, not (rows, width)")
    return array
