"""Files that appear whole or not at all."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .errors import InputError


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary path beside `path`; it becomes `path` if the block ends well, else it goes.

    The temporary name keeps the suffix, since encoders choose the format by it. Missing parent
    folders are made.

    Raises:
        InputError: the folder cannot be made or written, or `path` is one.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file")
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)   # mkstemp makes private files
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
