"""Each script prints by how many MiB the resident memory of a new process shrinks when it frees blocks."""

import platform
import subprocess
import sys

import pytest

from tests.paths import ROOT

pytestmark = [
    pytest.mark.slow, pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="they only affect glibc's malloc")]

HEADER = """
from contextlib import nullcontext
from pathlib import Path
import torch
from common.memory import mmap_large_blocks, retain_freed_memory, trim_heap
def resident_mib(): return int(Path('/proc/self/statm').read_text().split()[1]) * 4 // 1024
"""
RETAIN = """
retain_freed_memory()
blocks = [torch.ones(2**21) for _ in range(8)]   # 8 MiB each.
before = resident_mib()
del blocks
print(before - resident_mib())
"""
TRIM = """
blocks = [bytearray(b'x') * 100_000 for _ in range(1000)]   # Too small for mmap.
last = blocks.pop()                                        # Without trimming, the heap below this block stays.
del blocks
before = resident_mib()
trim_heap()
print(before - resident_mib())
"""
FRAGMENT = """
torch.ones(2**22 + 2**21)                          # 24 MiB; freeing them raises glibc's mmap threshold.
with %s():
    blocks, between = [], []
    for _ in range(8):
        blocks.append(torch.ones(2**21))           # 8 MiB each.
        between.append(bytearray(100_000))
    before = resident_mib()
    del blocks
    print(before - resident_mib())
"""
AFTERWARDS = """
with mmap_large_blocks():
    pass
blocks = [torch.ones(2**21) for _ in range(4)]     # 8 MiB each.
before = resident_mib()
del blocks
print(before - resident_mib())
"""


def returned_mib(script):
    done = subprocess.run([sys.executable, "-c", HEADER + script], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_memory_is_retained():
    assert returned_mib(RETAIN) < 8   # Without the call, 64.


def test_freed_memory_is_returned():
    assert returned_mib(TRIM) > 80   # Of 95; without the call, 0.


@pytest.mark.parametrize("context, returned", [
    pytest.param("nullcontext", False, id="default"),
    pytest.param("mmap_large_blocks", True, id="mmap_large_blocks"),
])
def test_large_blocks_do_not_fragment_the_heap(context, returned):
    assert (returned_mib(FRAGMENT % context) >= 60) == returned   # Of 64.


def test_freed_memory_is_retained_after_the_block():
    assert returned_mib(AFTERWARDS) < 8   # Of 32; with glibc's initial threshold, all of them.
