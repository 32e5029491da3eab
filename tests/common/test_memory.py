import platform
import subprocess
import sys

import pytest

from tests.paths import ROOT

GIVEN_BACK = """
from pathlib import Path
import torch
from common.memory import retain_freed_memory
def resident(): return int(Path('/proc/self/statm').read_text().split()[1]) * 4 // 1024
retain_freed_memory()
blocks = [torch.ones(2**21) for _ in range(8)]   # 8 MiB each
held = resident()
del blocks
print(held - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
def test_what_was_freed_is_kept():
    done = subprocess.run([sys.executable, "-c", GIVEN_BACK], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8   # MiB; 64 without the call


LEFT_OVER = """
from pathlib import Path
from common.memory import trim_heap
def resident(): return int(Path('/proc/self/statm').read_text().split()[1]) * 4 // 1024
blocks = [bytearray(b'x') * 100_000 for _ in range(1000)]   # too small to be mapped alone
last = blocks.pop()                                        # and what is below it stays
del blocks
held = resident()
trim_heap()
print(held - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
def test_what_was_freed_is_given_back():
    done = subprocess.run([sys.executable, "-c", LEFT_OVER], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 80   # MiB of 95; 0 without the call


HOLES = """
from contextlib import nullcontext
from pathlib import Path
import torch
from common.memory import mmap_large_blocks
def resident(): return int(Path('/proc/self/statm').read_text().split()[1]) * 4 // 1024
torch.ones(2**22 + 2**21)                          # 24 MiB come and go: glibc learns to keep such
with %s():
    blocks, between = [], []
    for _ in range(8):
        blocks.append(torch.ones(2**21))           # 8 MiB each
        between.append(bytearray(100_000))
    held = resident()
    del blocks
    print(held - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
@pytest.mark.parametrize(("within", "given_back"), [("nullcontext", False), ("mmap_large_blocks", True)])
def test_large_blocks_leave_no_holes(within, given_back):
    done = subprocess.run([sys.executable, "-c", HOLES % within], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (int(done.stdout) >= 60) == given_back   # MiB of 64


AFTERWARDS = """
from pathlib import Path
import torch
from common.memory import mmap_large_blocks
def resident(): return int(Path('/proc/self/statm').read_text().split()[1]) * 4 // 1024
with mmap_large_blocks():
    pass
blocks = [torch.ones(2**21) for _ in range(4)]     # 8 MiB each
held = resident()
del blocks
print(held - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
def test_afterwards_freed_memory_is_kept_for_what_comes():
    done = subprocess.run([sys.executable, "-c", AFTERWARDS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8   # MiB of 32; all of them with a small threshold, as glibc begins with
