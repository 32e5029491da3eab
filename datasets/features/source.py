"""Sources of features: a folder, a pattern of file names, or a pack."""

from __future__ import annotations

import glob
import os
import string
from pathlib import Path

import numpy as np

from common.errors import InputError
from datasets.errors import most_common, width_error

from .folder import PACK_SUFFIX, read_matrix
from .pack import PackedFeatures

MAX_VOTES = 2000   # Files that are read to find the most common width.


class FeatureSource:
    """One type of features of many videos or queries.

    Args:
        path: a folder, a pack, or a pattern of file names in either, with a field such as `{vid}`.
        name: pattern of the file names in a folder, with the same field.
        key: key of the array in `.npz` files.

    Attributes:
        has_voted: True if files with different widths were found, so that the most common width was determined.

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
        self._width: int | None = None    # Width of the first file that was read; after a vote, the most common one.
        self._same: list[str] = []        # Names of files that have this width.
        self.has_voted = False

    def missing_folder(self) -> InputError | None:
        """Return an error if the folder does not exist, which all of its files share."""
        folder = next(parent for parent in self._pattern.parents if "{" not in str(parent))
        if self._pack is not None or folder.is_dir():
            return None
        return InputError(folder, "no such folder of features",
                          "create it with tools/extract_features.py, or correct the path in the config")

    def read(self, **names: int | str) -> np.ndarray:
        """Read the features of one video or query; all files must have the same width.

        That is the width of the first file, until a file has another one; then it is the most common width.

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
        width = matrix.shape[1]
        if self._width is None:
            self._width, self._same = width, [path.name]
        if width != self._width and not self.has_voted:
            first, first_width = self._same[0], self._width
            self._vote()
            if width == self._width:
                raise width_error(path.with_name(first), first_width, self._same, width)
        if width != self._width:
            raise width_error(path, width, self._same, self._width)
        return matrix

    def _vote(self) -> None:
        """Determine the most common width; if several are equally common, the width of the first file stays."""
        fields = string.Formatter().parse(str(self._pattern))
        pattern = "".join(glob.escape(text) + ("*" if field is not None else "") for text, field, *_ in fields)
        widths: dict[str, int] = {}
        for name in sorted(glob.glob(pattern))[:MAX_VOTES]:
            try:
                widths[Path(name).name] = read_matrix(name, self.key if name.endswith(".npz") else None).shape[1]
            except InputError:
                continue   # The check of that file reports it.
        self._width = most_common(widths.values(), self._width or 0)
        self._same = [name for name, width in widths.items() if width == self._width]
        self.has_voted = True

    def differences(self) -> list[InputError]:
        """Return an error for each difference between a pack and the files that were packed; empty for a folder."""
        return [] if self._pack is None else self._pack.differences()
