"""Features of a whole folder in one memory-mapped file, which training reads without opening thousands."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_1_0

from common.errors import InputError
from datasets.annotations.qvhighlights import raise_errors

from .folder import DTYPES, PACK_SUFFIX, read_matrix, stored_dtype

VERSION = 1
DATA, INDEX = "data.npy", "index.json"


class PackedFeatures:
    """A pack that `pack_folder` wrote: `data.npy` (all rows, width) and `index.json`.

    Rows are read through a memory map, so a process holds only what it touches, and all processes of a
    machine share it. NaN and widths were checked when it was made.

    Raises:
        InputError: no pack, a damaged one, or one of another version.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        again = "make it again with tools/pack_features.py"
        try:
            index = json.loads((self.path / INDEX).read_text(encoding="utf-8"))
            self.items: dict[str, list[int]] = index["items"]   # name -> first row, rows, file's bytes, its time in ns
            self.source, self.key, rows, version = index["source"], index["key"], index["rows"], index["version"]
            self.data = _mapped(self.path / DATA)
            whole = all(0 <= start <= start + n <= len(self.data) for start, n, *_ in self.items.values())
        except FileNotFoundError as err:
            raise InputError(f"{self.path}: no pack of features; {again}") from err
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as err:
            raise InputError(f"{self.path}: a damaged pack ({type(err).__name__}: {err}); {again}") from err
        if version != VERSION or self.data.ndim != 2 or len(self.data) != rows or not whole:
            raise InputError(f"{self.path}: a pack of another version, or not whole; {again}")

    def __reduce__(self):
        return PackedFeatures, (self.path,)   # a worker opens the file itself; a pickled memory map is a copy

    def read(self, name: str) -> np.ndarray:
        """(rows, width) of one file by its name without suffix, as packed: float16 or float32. Not to be changed.

        Raises:
            InputError: it is not in the pack.
        """
        if name not in self.items:
            raise InputError(f"{self.path}: holds no {name!r}; pack its folder again with tools/pack_features.py")
        start, rows = self.items[name][:2]
        found = self.data[start:start + rows]
        return np.asarray(found) if found.flags.writeable else np.array(found)

    def faults(self, deep: bool = False) -> list[str]:
        """How the pack differs from the files that it was made of.

        Args:
            deep: compare every value, not only names, sizes and times, and look for NaN; files that are gone are
                faults then, which in training are not missed.
        """
        source = self.path.parent / self.source
        faults = []
        if deep and not self._is_finite():
            faults.append(f"{self.path}: holds NaN or infinity; pack its folder again with tools/pack_features.py")
        if not source.is_dir():
            gone = f"{self.path}: {source}, of which it was made, is not there, so nothing can be compared"
            return [*faults, gone] if deep else []
        files = feature_files(source)
        faults += [f"{self.path}: lacks {name}, which stands in {source}" for name in files if name not in self.items]
        if deep:
            faults += [f"{self.path}: holds {name}, which is gone from {source}" for name in self.items
                       if name not in files]
        return faults + [
            f"{self.path}: {files[name]} has changed since; pack its folder again with tools/pack_features.py"
            for name in self.items if name in files and not self._is_same(name, files[name], deep)]

    def _is_finite(self) -> bool:
        return all(np.isfinite(self.read(name)).all() for name in self.items)

    def _is_same(self, name: str, path: Path, deep: bool) -> bool:
        if deep:
            with np.errstate(over="ignore"):
                return np.array_equal(self.read(name), read_matrix(path, self.key).astype(self.data.dtype))
        stat = path.stat()
        return [stat.st_size, stat.st_mtime_ns] == list(self.items[name][2:])


def _mapped(path: Path) -> np.memmap:
    """The array on disk, writable without effect on the file; read-only where it is larger than memory.

    torch takes no read-only rows without a copy, and Linux counts a private writable map as memory in use.
    """
    try:
        return np.load(path, mmap_mode="c", allow_pickle=False)
    except OSError as err:
        if err.errno != errno.ENOMEM:
            raise
        return np.load(path, mmap_mode="r", allow_pickle=False)


def feature_files(folder: Path) -> dict[str, Path]:
    """The `.npz` and `.npy` files of a folder by their names without suffix, sorted.

    Raises:
        InputError: two files of one name.
    """
    files: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".npz", ".npy") and not p.name.startswith(".")):
        if files.setdefault(path.stem, path) != path:
            raise InputError(f"{path} and {files[path.stem].name} beside it have one name; remove one")
    return files


def pack_folder(folder: str | os.PathLike, key: str | None = None, dtype: str | None = None,
                out: str | os.PathLike | None = None,
                progress: Callable[[Iterable], Iterable] = iter) -> Path:
    """Packs the feature files of a folder; the pack appears whole or not at all, and replaces an older one.

    Args:
        folder: of `.npz` or `.npy` files, (rows, width) each.
        key: of the array inside `.npz` files; None for the only one of `features`, `last_hidden_state`,
            `token` that the first file has.
        dtype: float16 or float32; numbers too large for float16 are refused. None for that of the files, float32
            where they differ or are of another.
        out: `{folder}.pack` beside it when left out; the name must end in `.pack`.
        progress: wraps the loops over files, e.g. tqdm.

    Returns:
        The pack's path.

    Raises:
        InputError: no feature file, faulty ones, different widths; lists up to 20 of them. Or `out` is no
            pack, or cannot be written.
    """
    folder = Path(folder)
    out = Path(out if out is not None else folder.resolve().with_name(folder.resolve().name + PACK_SUFFIX)).resolve()
    if dtype not in (None, *DTYPES) or out.suffix != PACK_SUFFIX:
        raise InputError(f"{out}, {dtype}: a pack's name ends in {PACK_SUFFIX}, its dtype is float16 or float32")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of features")
    if out.is_file() or (out.is_dir() and not {path.name for path in out.iterdir()} <= {DATA, INDEX}):
        raise InputError(f"{out}: is no pack, so it is not replaced; name another place, or remove it")
    files = feature_files(folder)
    if not files:
        raise InputError(f"{folder}: holds no .npz or .npy file")
    key = key if key is not None else _find_key(next(iter(files.values())))
    dtype = dtype if dtype is not None else _own_dtype(files, key)
    items, width = _survey(files, key, dtype, progress)
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
        raise InputError(f"{out}: cannot be written ({err.strerror}); make room, or name another place") from err
    return out


def _write(folder: Path, matrices: Iterable[np.ndarray], dtype: str, index: dict, width: int) -> None:
    """By ordinary writing: a memory map ends the process where the disk is full."""
    head = dict(descr=dtype_to_descr(np.dtype(dtype)), fortran_order=False, shape=(index["rows"], width))
    with (folder / DATA).open("wb") as f:
        write_array_header_1_0(f, head)
        for matrix in matrices:
            f.write(matrix.astype(dtype).tobytes())
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def _find_key(path: Path) -> str | None:
    if path.suffix == ".npy":
        return None
    known = ("features", "last_hidden_state", "token")
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = [k for k in known if k in archive.files]
    except Exception as err:   # numpy and zipfile raise a dozen types on damaged files
        raise InputError(f"{path}: not a readable feature file ({err}); make it again") from err
    if not found:
        raise InputError(f"{path}: holds none of {', '.join(known)}; name its array with --key")
    return found[0]


def _own_dtype(files: dict[str, Path], key: str | None) -> str:
    """float16 where all files are; faulty ones are named later."""
    return "float16" if all(stored_dtype(path, key) in (None, "float16") for path in files.values()) else "float32"


def _survey(files: dict[str, Path], key: str | None, dtype: str,
            progress: Callable[[Iterable], Iterable]) -> tuple[dict[str, list[int]], int]:
    """Where every file's rows will lie, and the width; all faults at once."""
    items: dict[str, list[int]] = {}
    faults: list[str] = []
    start, width, known_by, largest = 0, None, "", np.finfo(dtype).max
    for name, path in progress(files.items()):
        stat = path.stat()
        try:
            matrix = read_matrix(path, key)
        except InputError as err:
            faults.append(str(err))
            continue
        if width is None:
            width, known_by = matrix.shape[1], name
        if matrix.shape[1] != width:
            faults.append(f"{path}: {matrix.shape[1]} wide, but {known_by} beside it {width}")
        elif np.abs(matrix).max() > largest:
            faults.append(f"{path}: holds {np.abs(matrix).max():.3g}, more than {dtype} can; use --dtype float32")
        else:
            items[name] = [start, len(matrix), stat.st_size, stat.st_mtime_ns]
            start += len(matrix)
    raise_errors(next(iter(files.values())).parent, faults)
    return items, width


def _replace_folder(new: Path, old: Path) -> None:
    """Puts a folder in another's place; if that fails, the old one stays."""
    aside = old.with_name(f".{old.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if old.exists():
        old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        if aside.exists():
            aside.rename(old)
        raise
    shutil.rmtree(aside, ignore_errors=True)
