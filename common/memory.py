"""Memory that is kept for the next step, or given back before the next stage."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8   # mallopt's names for them, malloc.h
LARGEST_MMAP_THRESHOLD = 32 << 20                        # glibc refuses more
APART = 2 << 20                                          # blocks from this size on


def retain_freed_memory() -> None:
    """Lets this process keep what it frees, up to its peak, instead of giving it back to the system.

    Every training step asks for the same memory as the one before. glibc returns large blocks at
    once, and fresh pages cost more time than what many layers compute in them. Where malloc is
    not glibc's, nothing happens.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
        mallopt(ARENA_MAX, 1)   # the backward pass has a thread of its own, and with it an arena


def trim_heap() -> None:
    """Gives freed memory back to the system, also such as lies between blocks in use.

    A stage of several threads leaves a lot of it, more in longer videos, on top of which the next one would
    lie. Where malloc is not glibc's, nothing happens.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


@contextmanager
def mmap_large_blocks() -> Iterator[None]:
    """Within it, blocks of 2 MiB and more go back to the system as soon as they are freed.

    Else glibc learns to keep such blocks, and encoders and the indices of long files, coming and going in
    several threads, leave it with more and more holes. It is no good for networks, which ask for the same
    blocks again and again: fresh pages cost them time. It counts for the whole process; afterwards glibc
    keeps what it would have learned to keep at most, also where `retain_freed_memory` asked for more. Where
    malloc is not glibc's, nothing happens.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, APART)
    try:
        yield
    finally:
        if mallopt is not None:
            mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)   # which is what it learns at most,
            mallopt(TRIM_THRESHOLD, 2 * LARGEST_MMAP_THRESHOLD)   # and this, twice as much, with it


def _of_glibc(name: str) -> Callable | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
