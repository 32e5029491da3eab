"""Integrity of stored features: checksums, and checks of arrays when they are stored and loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common.errors import InputError


def array_checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of arrays: of their names, types, shapes, and values."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


def is_matrix(array: np.ndarray, width: int | None = None) -> bool:
    """Return True for finite numbers of shape (rows, width) with at least one row; a width of None accepts any."""
    return (array.ndim == 2 and array.size > 0 and width in (None, array.shape[1]) and array.dtype.kind in "fiu"
            and bool(np.isfinite(array).all()))


def to_dtype(rows: np.ndarray, dtype: str, path: str | Path | None, hint: str = "") -> np.ndarray:
    """Convert features to the type in which they are stored.

    Args:
        rows: features as an encoder returned them.
        dtype: `float16` or `float32`.
        path: file whose features they are, for the error.
        hint: remedy for values that are too large.

    Raises:
        InputError: the encoder returned NaN or infinity, or a value is too large for float16.
    """
    if not np.isfinite(rows).all():
        raise InputError(path, "the encoder returned NaN or infinity for it", "use other encoders or weights")
    largest = float(np.abs(rows).max(initial=0))
    if largest > float(np.finfo(dtype).max):
        raise InputError(path, f"its features contain {largest:.3g}, which is too large for {dtype}", hint)
    return rows.astype(dtype)
