"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from . import locks
from .errors import InputError

DISK_ERRORS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS))   # The disk's fault, not the file's.
TEMPORARY_MARKER = ".unfinished-"   # in the names of what `atomic_path` writes


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary path beside `path`; it becomes `path` if the block ends well, else it goes.

    The temporary name keeps the suffix, since encoders choose the format by it. Missing parent
    folders are made. The file is locked meanwhile (flock), so that no other process takes it for a
    dead one's leftover; libraries that lock what they write themselves, as h5py, must leave that.

    Raises:
        InputError: the folder cannot be made or written, or `path` is one.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file")
    make_folder(path.parent)
    handle, temporary = _locked_file(path)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)   # mkstemp makes private files
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Removes what killed processes have left in a folder of the files that `atomic_path` was to write there.

    What a living process writes is locked, and stays; so does everything on file systems without locks.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for path in [Path(entry.path) for entry in entries if TEMPORARY_MARKER in entry.name]:
            with suppress(OSError):   # gone by now, another user's, or a folder
                handle = os.open(path, os.O_RDWR)
                try:
                    if locks.try_lock(handle):
                        path.unlink(missing_ok=True)
                finally:
                    os.close(handle)


def _locked_file(path: Path) -> tuple[int | None, Path]:
    """A new file beside `path`, and the handle that locks it as long as it is open, where the system can lock."""
    while True:
        prefix = f".{path.stem[:40]}{TEMPORARY_MARKER}"
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
        if not locks.AVAILABLE:   # Windows cannot rename an open file.
            os.close(handle)
            return None, Path(name)
        locks.try_lock(handle, wait=True)
        if os.path.exists(name):   # else another process took it for a dead one's, before it was locked
            return handle, Path(name)
        os.close(handle)


def make_folder(path: str | os.PathLike) -> Path:
    """Makes a folder with its parents and checks that it can be written.

    Raises:
        InputError: a file stands in its place, or it may not be written.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as err:
        raise InputError(f"{path}: cannot write to this folder ({err.strerror}); name another one") from err
    return path


def write_json(path: str | os.PathLike, value: object) -> None:
    """Writes indented JSON, whole or not at all; NaN is refused, since JSON has none."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_npy(path: str | os.PathLike, array: np.ndarray) -> None:
    """Writes an array as `.npy`, whole or not at all; a full disk is an OSError that says so, as np.save's is not."""
    data = io.BytesIO()
    np.save(data, array)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.getbuffer())
