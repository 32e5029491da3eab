"""Feature folders: one .npz or .npy file per video or query, in the public formats."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from common.errors import InputError

PACK_SUFFIX = ".pack"   # Suffix of packs, the folders that tools/pack_features.py creates.
DTYPES = ("float16", "float32")


def feature_files(folder: Path) -> dict[str, Path]:
    """Return the `.npz` and `.npy` files of a folder by name without suffix, sorted.

    Raises:
        InputError: two files have the same name.
    """
    files: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".npz", ".npy") and not p.name.startswith(".")):
        if files.setdefault(path.stem, path) != path:
            raise InputError(path, f"has the same name as {files[path.stem].name} in its folder", "remove one of them")
    return files


def read_array(path: str | os.PathLike, key: str | None = None) -> np.ndarray:
    """Read an array from a `.npy` file, or from a `.npz` file by its key, as float32.

    Raises:
        InputError: the file is missing or unreadable, has no such key, or its array is empty, not numeric, or contains
            NaN or infinity.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such feature file", "create it with tools/extract_features.py")
    try:
        array, keys = _load(path, key)
    except Exception as err:   # numpy and zipfile raise a dozen types on damaged files.
        reason = getattr(err, "strerror", None) or err   # The text of an OSError repeats the path.
        raise InputError(path, f"cannot be read as a feature file ({reason})", "create it again") from err
    if array is None:
        raise InputError(path, f"no {key!r} in it, only {', '.join(keys) or 'nothing'}")
    if array.size == 0 or array.dtype.kind not in "fiu":
        raise InputError(path, f"contains {array.dtype} of shape {array.shape}, not features")
    with np.errstate(over="ignore"):
        array = as_float32(array)
    if not np.isfinite(array).all():
        raise InputError(path, "contains NaN or infinity", "create it again")
    return array


def as_float32(array: np.ndarray) -> np.ndarray:
    """Return the array as float32, without a copy if it already is.

    torch converts float16, which is twelve times as fast as numpy's conversion.
    """
    half = array.dtype == np.float16
    return torch.from_numpy(array).float().numpy() if half else array.astype(np.float32, copy=False)


def _load(path: Path, key: str | None) -> tuple[np.ndarray | None, list[str]]:
    """Return the array, None if an archive lacks the key; and the keys of the archive."""
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded, []
    with loaded:
        return (loaded[key] if key in loaded.files else None), loaded.files


def stored_dtype(path: str | os.PathLike, key: str | None = None) -> str | None:
    """Return numpy's name of the dtype in a feature file; None for an unreadable file, which `read_array` reports."""
    try:
        array, _ = _load(Path(path), key)
    except Exception:   # numpy and zipfile raise a dozen types on damaged files.
        return None
    return None if array is None else array.dtype.name


def read_matrix(path: str | os.PathLike, key: str | None = None) -> np.ndarray:
    """Read an array (rows, width) like `read_array`.

    Raises:
        InputError: see `read_array`; the array does not have two dimensions.
    """
    array = read_array(path, key)
    if array.ndim != 2:
        raise InputError(path, f"features have shape {array.shape}, not (rows, width)")
    return array
