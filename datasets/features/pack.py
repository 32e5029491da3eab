"""Packs: the features of a folder in one memory-mapped file, which training reads without opening thousands of files.

A pack is a folder `NAME.pack` with `data.npy`, the concatenated rows, and `index.json`, the rows of each feature file
together with its size and modification time, by which stale packs are recognized. safetensors was considered as the
format and not adopted. Its `safe_open` maps the file and its metadata could contain the index, but (measured with
safetensors 0.8.0 on 75 x 512 float16 rows) a slice takes 83 us in numpy, always a copy, or 272 us in torch, against
14 us for a view of numpy's memory map; its writer needs all rows in memory at once, whereas `pack_folder` streams one
feature file at a time; and it has no read-only mapping for files larger than memory.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_1_0

from common.errors import InputError
from datasets.errors import most_common, raise_errors, shorten, width_error

from .folder import DTYPES, PACK_SUFFIX, feature_files, read_matrix, stored_dtype

VERSION = 1
DATA, INDEX = "data.npy", "index.json"
KNOWN_KEYS = ("features", "last_hidden_state", "token")   # Keys of features in .npz files, by priority.
RECREATE = "create it again with tools/pack_features.py"
REPACK = "pack its folder again with tools/pack_features.py"


class PackedFeatures:
    """A pack that `pack_folder` wrote: `data.npy` (all rows, width) and `index.json`.

    Rows are read through a memory map. A process therefore holds only the rows that it reads, and all processes of a
    machine share them. `pack_folder` has already rejected NaN and differing widths.

    Attributes:
        path: folder of the pack.
        items: first row, number of rows, and the file's size in bytes and modification time in ns, by name.
        source: folder that was packed, relative to the parent of `path`.
        key: key of the array in the packed `.npz` files, None for `.npy` files.
        data: (all rows, width) float16 or float32, memory-mapped.

    Raises:
        InputError: the path is not a pack, or the pack is damaged or of another version.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        try:
            index = json.loads((self.path / INDEX).read_text(encoding="utf-8"))
            self.items: dict[str, list[int]] = index["items"]
            self.source, self.key, rows, version = index["source"], index["key"], index["rows"], index["version"]
            self.data = _memory_map(self.path / DATA)
            complete = all(0 <= start <= start + n <= len(self.data) for start, n, *_ in self.items.values())
        except FileNotFoundError as err:
            raise InputError(self.path, "not a feature pack", RECREATE) from err
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as err:
            raise InputError(self.path, f"damaged feature pack ({type(err).__name__}: {err})", RECREATE) from err
        if version != VERSION or self.data.ndim != 2 or len(self.data) != rows or not complete:
            raise InputError(self.path, "feature pack of another version, or incomplete", RECREATE)

    def __reduce__(self):
        return PackedFeatures, (self.path,)   # Worker processes open the file; pickling a memory map would copy it.

    def read(self, name: str) -> np.ndarray:
        """Return the packed rows of one file, which must not be modified.

        Args:
            name: file name without suffix.

        Returns:
            (rows, width) float16 or float32, as packed.

        Raises:
            InputError: the pack has no such file.
        """
        if name not in self.items:
            raise InputError(self.path / name, "is not in this feature pack", REPACK)
        start, rows = self.items[name][:2]
        matrix = self.data[start:start + rows]
        return np.asarray(matrix) if matrix.flags.writeable else np.array(matrix)

    def differences(self, deep: bool = False) -> list[InputError]:
        """Return the differences between the pack and the files that were packed.

        Args:
            deep: compare every value instead of sizes and modification times, look for NaN, and return an error per
                file instead of one per kind of difference. Deleted files are also reported, although training does
                not need them.
        """
        source = self.path.parent / self.source
        errors = []
        if deep and not self._is_finite():
            errors.append(InputError(self.path, "contains NaN or infinity", REPACK))
        if not source.is_dir():
            deleted = InputError(self.path, f"its folder {source} does not exist, so it cannot be compared")
            return [*errors, deleted] if deep else []
        files = feature_files(source)
        unpacked = [name for name in files if name not in self.items]
        changed = [files[name].name for name in self.items
                   if name in files and not self._is_same(name, files[name], deep)]
        if not deep:
            unpacked, changed = [[shorten(names)] if names else [] for names in (unpacked, changed)]
        errors += [InputError(self.path, f"lacks {names}, which {source} contains", REPACK) for names in unpacked]
        if deep:
            errors += [InputError(self.path, f"contains {name}, which is no longer in {source}")
                       for name in self.items if name not in files]
        return errors + [InputError(self.path, f"outdated, since files of {source} have changed: {names}", REPACK)
                         for names in changed]

    def _is_finite(self) -> bool:
        return all(np.isfinite(self.read(name)).all() for name in self.items)

    def _is_same(self, name: str, path: Path, deep: bool) -> bool:
        if deep:
            with np.errstate(over="ignore"), suppress(InputError):   # A file that is invalid now has changed, too.
                return np.array_equal(self.read(name), read_matrix(path, self.key).astype(self.data.dtype))
            return False
        stat = path.stat()
        return [stat.st_size, stat.st_mtime_ns] == list(self.items[name][2:])


def _memory_map(path: Path) -> np.memmap:
    """Map an array copy-on-write, so that writes do not reach the file; read-only if it is larger than memory.

    torch copies read-only rows, so a writable map is faster. Linux, however, counts it as allocated memory.
    """
    try:
        return np.load(path, mmap_mode="c", allow_pickle=False)
    except OSError as err:
        if err.errno != errno.ENOMEM:
            raise
        return np.load(path, mmap_mode="r", allow_pickle=False)


def pack_folder(folder: str | os.PathLike, key: str | None = None, dtype: str | None = None,
                out: str | os.PathLike | None = None,
                progress: Callable[[Iterable], Iterable] = iter) -> Path:
    """Pack the feature files of a folder. The pack is written atomically, and replaces an older one.

    Args:
        folder: folder of `.npz` or `.npy` files, (rows, width) each.
        key: key of the array in `.npz` files; None uses the first of `features`, `last_hidden_state` and `token` that
            the first file has.
        dtype: float16 or float32; values too large for float16 are rejected. None uses the dtype of the files, or
            float32 if they differ or have another dtype.
        out: path of the pack, which must end in `.pack`; None writes `{folder}.pack`.
        progress: wrapper of the loops over files, e.g. tqdm.

    Returns:
        The path of the pack.

    Raises:
        InputError: the folder has no feature files; some are invalid or their widths differ, of which the message
            lists up to 20; `out` exists and is not a pack, or cannot be written.
    """
    folder = Path(folder)
    out = Path(out if out is not None else folder.resolve().with_name(folder.resolve().name + PACK_SUFFIX)).resolve()
    files = _check_arguments(folder, dtype, out)
    key = key if key is not None else _find_key(next(iter(files.values())))
    dtype = dtype if dtype is not None else _common_dtype(files, key)
    items, width = _index_files(files, key, dtype, progress)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.stem}.", suffix=PACK_SUFFIX, dir=out.parent))
        try:
            temporary.chmod(0o755)
            _write(temporary, (read_matrix(files[name], key) for name in progress(items)), dtype, dict(
                version=VERSION, source=os.path.relpath(folder.resolve(), out.parent), key=key,
                rows=sum(item[1] for item in items.values()), items=items), width)
            _replace_folder(temporary, out)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as err:
        raise InputError(out, f"cannot be written ({err.strerror})", "free some space, or name another path") from err
    return out


def _check_arguments(folder: Path, dtype: str | None, out: Path) -> dict[str, Path]:
    """Check the arguments of `pack_folder`, and return the feature files of the folder."""
    if dtype not in (None, *DTYPES):
        raise InputError(None, f"dtype {dtype!r} is not supported", f"use {' or '.join(DTYPES)}")
    if out.suffix != PACK_SUFFIX:
        raise InputError(out, f"the name of a pack must end in {PACK_SUFFIX}")
    if not folder.is_dir():
        raise InputError(folder, "no such folder of features")
    if out.is_file() or (out.is_dir() and not {path.name for path in out.iterdir()} <= {DATA, INDEX}):
        raise InputError(out, "not a feature pack, so it is not replaced", "specify another path, or remove it")
    files = feature_files(folder)
    if not files:
        raise InputError(folder, "no .npz or .npy files in it")
    return files


def _write(folder: Path, matrices: Iterable[np.ndarray], dtype: str, index: dict, width: int) -> None:
    """Write the files of a pack. A memory map is no option here: on a full disk it kills the process."""
    header = dict(descr=dtype_to_descr(np.dtype(dtype)), fortran_order=False, shape=(index["rows"], width))
    with (folder / DATA).open("wb") as f:
        write_array_header_1_0(f, header)
        for matrix in matrices:
            f.write(matrix.astype(dtype).tobytes())
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def _find_key(path: Path) -> str | None:
    if path.suffix == ".npy":
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = [key for key in KNOWN_KEYS if key in archive.files]
    except Exception as err:   # numpy and zipfile raise a dozen types on damaged files.
        raise InputError(path, f"cannot be read as a feature file ({err})", "create it again") from err
    if not found:
        raise InputError(path, f"none of {', '.join(KNOWN_KEYS)} in it", "specify the key of its array with --key")
    return found[0]


def _common_dtype(files: dict[str, Path], key: str | None) -> str:
    """Return float16 if all files have it, else float32; unreadable files are reported later."""
    return "float16" if all(stored_dtype(path, key) in (None, "float16") for path in files.values()) else "float32"


def _index_files(files: dict[str, Path], key: str | None, dtype: str,
                 progress: Callable[[Iterable], Iterable]) -> tuple[dict[str, list[int]], int]:
    """Return the index entries of all files, and their width; raise all errors together."""
    entries: dict[str, tuple[os.stat_result, tuple[int, int], float]] = {}   # Shape and largest absolute value.
    errors: list[InputError] = []
    for name, path in progress(files.items()):
        stat = path.stat()
        try:
            matrix = read_matrix(path, key)
        except InputError as err:
            errors.append(err)
            continue
        entries[name] = (stat, matrix.shape, float(np.abs(matrix).max()))
    width = most_common(shape[1] for _, shape, _ in entries.values())
    same = [files[name].name for name, (_, shape, _) in entries.items() if shape[1] == width]
    items: dict[str, list[int]] = {}
    start = 0
    for name, (stat, shape, largest) in entries.items():
        if shape[1] != width:
            errors.append(width_error(files[name], shape[1], same, width))
        elif largest > float(np.finfo(dtype).max):
            errors.append(InputError(files[name], f"contains {largest:.3g}, too large for {dtype}",
                                     "use --dtype float32"))
        items[name] = [start, shape[0], stat.st_size, stat.st_mtime_ns]
        start += shape[0]
    raise_errors(None, errors)
    return items, width


def _replace_folder(new: Path, old: Path) -> None:
    """Move a folder to the path of another; if that fails, the old folder is restored."""
    backup = old.with_name(f".{old.name}.old")
    shutil.rmtree(backup, ignore_errors=True)
    if old.exists():
        old.rename(backup)
    try:
        new.rename(old)
    except OSError:
        if backup.exists():
            backup.rename(old)
        raise
    shutil.rmtree(backup, ignore_errors=True)
