"""Control when the C library (glibc) returns freed memory to the operating system.

Every function here does nothing where malloc is not glibc's, e.g. on macOS, Windows and musl-based Linux.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Parameters of mallopt, from glibc's malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
MAX_MMAP_THRESHOLD = 32 << 20   # Bytes; glibc rejects larger values.
LARGE_BLOCK = 2 << 20           # Bytes; `mmap_large_blocks` maps blocks of at least this size.


def retain_freed_memory() -> None:
    """Let this process keep the memory that it frees, up to its peak, instead of returning it.

    Every training step allocates the same tensors. By default, glibc returns large blocks to the operating system
    immediately, and the page faults of the next step take more time than many layers need to compute. A training step
    of UMT on 32 videos takes 7 % less time (`tools/benchmark.py optimizations`, two cores of an AMD EPYC, Zen 3).
    """
    mallopt = _glibc_function("mallopt")
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, MAX_MMAP_THRESHOLD)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
        mallopt(ARENA_MAX, 1)   # The backward pass runs in a separate thread, which would use a second arena.


def trim_heap() -> None:
    """Return freed memory to the operating system, including pages between blocks that are still in use.

    A stage that decodes or encodes in several threads leaves a fragmented heap, which grows with the length of the
    video. Without trimming, the memory of the next stage is added to it.
    """
    malloc_trim = _glibc_function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


@contextmanager
def mmap_large_blocks() -> Iterator[None]:
    """Allocate blocks of 2 MiB or more with mmap during the block, so that freeing them returns their memory.

    By default, glibc raises its mmap threshold when a large block is freed. Encoders and the indices of long files,
    which are allocated and freed in several threads, then fragment the heap. Do not run neural networks inside the
    block: they allocate the same sizes repeatedly, and each allocation would fault its pages in again.

    The setting applies to the entire process. Afterwards, the thresholds have the largest values that glibc would
    have chosen itself, even if `retain_freed_memory` had set others.
    """
    mallopt = _glibc_function("mallopt")
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGE_BLOCK)
    try:
        yield
    finally:
        if mallopt is not None:
            # glibc's dynamic adjustment is at most this, with a trim threshold of twice the mmap threshold.
            mallopt(MMAP_THRESHOLD, MAX_MMAP_THRESHOLD)
            mallopt(TRIM_THRESHOLD, 2 * MAX_MMAP_THRESHOLD)


def _glibc_function(name: str) -> Callable | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
