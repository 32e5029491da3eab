"""Advisory locks on files and folders (flock), which end with the process that holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

try:
    import fcntl
except ImportError:   # Windows has no flock; leftovers of a killed process stay there.
    fcntl = None   # type: ignore[assignment]

AVAILABLE = fcntl is not None


def try_lock(handle: int, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed.

    Args:
        handle: a file descriptor.
        wait: block until the lock is free, instead of giving up.

    Returns:
        False if another process holds the lock, or if the system or file system has no locks.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def lock_path(path: str | os.PathLike, wait: bool = False) -> int | None:
    """Open and lock a file or folder.

    Returns:
        A file descriptor, which holds the lock until it is closed; None if the path cannot be opened or locked.
    """
    if fcntl is None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:   # It no longer exists, or belongs to another user.
        return None
    if try_lock(handle, wait):
        return handle
    os.close(handle)
    return None


@contextmanager
def locked(path: str | os.PathLike, wait: bool = True) -> Iterator[bool]:
    """Lock a file or folder during the block; yield whether that succeeded."""
    handle = lock_path(path, wait)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)
