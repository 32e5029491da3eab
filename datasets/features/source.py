"""Sources of features: a folder, a pattern of file names, or a pack."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from common.errors import InputError

from .folder import PACK_SUFFIX, read_matrix
from .pack import PackedFeatures


class FeatureSource:
    """One type of features of many videos or queries.

    Args:
        path: a folder, a pack, or a pattern of file names in either, with a field such as `{vid}`.
        name: pattern of the file names in a folder, with the same field.
        key: key of the array in `.npz` files.

    Raises:
        InputError: the pack cannot be read, or contains the arrays of another key.
    """

    def __init__(self, path: str | os.PathLike, name: str, key: str | None = None):
        self.path, self.key = str(path), key
        self._pattern = Path(self.path) if "{" in self.path else Path(self.path) / name
        self._pack = PackedFeatures(self._pattern.parent) if self._pattern.parent.suffix == PACK_SUFFIX else None
        if self._pack is not None and None not in (key, self._pack.key) and key != self._pack.key:
            raise InputError(self._pack.path, f"contains {self._pack.key!r} of its files, not {key!r}",
                             f"pack its folder again with tools/pack_features.py --key {key}")
        self._first: tuple[int, str] | None = None   # Width and name of the first file that was read.

    def read(self, **names: int | str) -> np.ndarray:
        """Read the features of one video or query; all files must have the width of the first one.

        Args:
            names: value of the field in the pattern: `vid=...` or `qid=...`.

        Returns:
            (rows, width) float32, or float16 from a float16 pack.

        Raises:
            InputError: the file is missing, unreadable, or of another width.
        """
        try:
            path = Path(str(self._pattern).format(**names))
        except (KeyError, IndexError, ValueError) as err:
            field = "{" + next(iter(names)) + "}"
            raise InputError(self.path, f"the only field of the pattern is {field}", f"write {field}, or no braces") \
                from err
        if self._pack is not None:
            return self._pack.read(path.stem)
        matrix = read_matrix(path, self.key if path.suffix == ".npz" else None)
        if self._first is None:
            self._first = (matrix.shape[1], path.name)
        width, first_name = self._first
        if matrix.shape[1] != width:
            raise InputError(path, f"width {matrix.shape[1]}, but {first_name} in its folder has width {width}",
                             "extract both with the same encoder")
        return matrix

    def differences(self) -> list[InputError]:
        """Return an error for each difference between a pack and the files that were packed; empty for a folder."""
        return [] if self._pack is None else self._pack.differences()
