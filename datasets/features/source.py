"""Where a dataset's features come from: a folder, a pattern of names, or a pack."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from common.errors import InputError

from .folder import PACK_SUFFIX, read_matrix
from .pack import PackedFeatures


class FeatureSource:
    """One kind of features of many videos or queries.

    Args:
        path: a folder, a pattern with a name in braces, or a pack, or a pattern inside one.
        name: the file's name in a folder, with the same braces.
        key: of the array inside `.npz` files.

    Raises:
        InputError: a pack that cannot be read, or of another key.
    """

    def __init__(self, path: str | os.PathLike, name: str, key: str | None = None):
        self.path, self.key = str(path), key
        self._pattern = Path(self.path) if "{" in self.path else Path(self.path) / name
        self._pack = PackedFeatures(self._pattern.parent) if self._pattern.parent.suffix == PACK_SUFFIX else None
        if self._pack is not None and None not in (key, self._pack.key) and key != self._pack.key:
            raise InputError(f"{self._pack.path}: holds {self._pack.key!r} of its files, not {key!r}; pack its folder "
                             f"again with tools/pack_features.py --key {key}")
        self._width: tuple[int, str] | None = None   # and the file that it is known by

    def read(self, **names: int | str) -> np.ndarray:
        """(rows, width) float32, or float16 from a pack of such, as wide as the first one that was read.

        Args:
            names: what stands for the braces: `vid=...` or `qid=...`.

        Raises:
            InputError: missing, unreadable, or of another width.
        """
        try:
            path = Path(str(self._pattern).format(**names))
        except (KeyError, IndexError, ValueError) as err:
            raise InputError(f"{self.path}: braces stand for {{{next(iter(names))}}} here; write that, or no braces") \
                from err
        if self._pack is not None:
            return self._pack.read(path.stem)
        matrix = read_matrix(path, self.key if path.suffix == ".npz" else None)
        if self._width is None:
            self._width = (matrix.shape[1], path.name)
        width, known_by = self._width
        if matrix.shape[1] != width:
            raise InputError(f"{path}: {matrix.shape[1]} wide, but {known_by} beside it {width}; "
                             "make both with one encoder")
        return matrix

    def faults(self) -> list[str]:
        """How a pack differs from the files that it was made of."""
        return [] if self._pack is None else self._pack.faults()
