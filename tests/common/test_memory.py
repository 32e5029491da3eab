import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEPT = """
from pathlib import Path
import torch
from common.memory import keep_freed_memory
def resident(): return int(Path('/proc/self/statm').read_text().split()[1]) * 4 // 1024
keep_freed_memory()
before = resident()
for _ in range(3):
    blocks = [torch.ones(2**21) for _ in range(8)]   # 8 MiB each
    del blocks
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
def test_what_was_freed_is_kept_once():
    done = subprocess.run([sys.executable, "-c", KEPT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 60 < int(done.stdout) < 80   # MiB; 0 to 20 without the call
