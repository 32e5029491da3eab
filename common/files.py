"""Write files atomically: a file appears complete or not at all."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from . import locks
from .errors import DISK_PROBLEMS, InputError, disk_error

DISK_ERRORS = frozenset(DISK_PROBLEMS)
TEMPORARY_MARKER = ".unfinished-"   # Part of the name of every temporary file that `atomic_path` creates.
MAX_STEM_CHARACTERS = 40            # Temporary names are cut to this length, so that they fit the system's limit.


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds, otherwise delete it.

    The temporary name keeps the suffix, because encoders derive the format from it. Missing parent folders are
    created. The temporary file is locked (flock) during the block, so that `remove_leftovers` of another process
    does not delete it; libraries that lock their output themselves, such as h5py, must not do so here.

    Raises:
        InputError: the folder cannot be created or written, or `path` is a folder.
        OSError: raised by the block. If the disk is full, `filename` is `path` instead of the temporary path.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(path, "is a folder", "specify a file")
    make_folder(path.parent)
    handle, temporary = _create_locked_file(path)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)   # mkstemp creates files that only their owner can read.
        temporary.replace(path)
    except OSError as err:
        if err.errno in DISK_ERRORS:
            err.filename = os.fspath(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Delete temporary files of `atomic_path` that killed processes have left in a folder.

    Files that a running process is writing are locked and stay. On file systems without locks, all files stay.
    """
    with suppress(OSError), os.scandir(os.fspath(folder)) as entries:
        for path in [Path(entry.path) for entry in entries if TEMPORARY_MARKER in entry.name]:
            with suppress(OSError):   # It no longer exists, belongs to another user, or is a folder.
                handle = os.open(path, os.O_RDWR)
                try:
                    if locks.try_lock(handle):
                        path.unlink(missing_ok=True)
                finally:
                    os.close(handle)


def _create_locked_file(path: Path) -> tuple[int | None, Path]:
    """Create a temporary file beside `path`.

    Returns:
        A file descriptor that locks the file until it is closed, None on systems without locks; and the file's path.
    """
    prefix = f".{path.stem[:MAX_STEM_CHARACTERS]}{TEMPORARY_MARKER}"
    while True:
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
        if not locks.AVAILABLE:   # Windows cannot rename an open file.
            os.close(handle)
            return None, Path(name)
        locks.try_lock(handle, wait=True)
        if os.path.exists(name):
            return handle, Path(name)
        os.close(handle)   # Another process deleted the file as a leftover before it was locked.


def make_folder(path: str | os.PathLike) -> Path:
    """Create a folder with its parents, if necessary, and check that files can be created in it.

    Raises:
        InputError: the path is a file, or the folder cannot be created or written.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as err:
        problem = f"cannot write to this folder ({err.strerror})"
        raise disk_error(err, path) or InputError(path, problem, "specify another one") from err
    return path


def write_json(path: str | os.PathLike, value: object) -> None:
    """Write indented JSON atomically.

    Raises:
        InputError: see `atomic_path`.
        ValueError: a number is NaN or infinite, which JSON cannot represent.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_npy(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write an array as `.npy` atomically.

    Raises:
        InputError: see `atomic_path`.
        OSError: the disk is full. The error has an `errno`, unlike that of `np.save`.
    """
    data = io.BytesIO()
    np.save(data, array)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.getbuffer())
