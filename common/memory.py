"""Memory that is kept for the next step, or given back before the next stage."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8   # mallopt's names for them, malloc.h
LARGEST_MMAP_THRESHOLD = 32 << 20                        # glibc refuses more


def keep_freed_memory() -> None:
    """Lets this process keep what it frees, up to its peak, instead of giving it back to the system.

    Every training step asks for the same memory as the one before. glibc returns large blocks at
    once, and fresh pages cost more time than what many layers compute in them. Where malloc is
    not glibc's, nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
        mallopt(ARENA_MAX, 1)   # the backward pass has a thread of its own, and with it an arena


def give_back_memory() -> None:
    """Gives freed memory back to the system, also such as lies between blocks in use.

    A stage of several threads leaves a lot of it, more in longer videos, on top of which the next one would
    lie. Where malloc is not glibc's, nothing happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
