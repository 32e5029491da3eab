import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAULTS = """
import resource
import torch
from common.memory import keep_freed_memory
{call}
for _ in range(10):
    block = [torch.ones(2_000_000) for _ in range(8)]   # 61 MB
    del block
    before, faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, locals().get('before', 0)
print(before - faults)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
@pytest.mark.parametrize(("call", "fresh"), [("keep_freed_memory()", False), ("", True)])
def test_what_was_freed_is_used_again(call, fresh):
    done = subprocess.run([sys.executable, "-c", FAULTS.format(call=call)], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    pages_of_one = 2_000_000 * 4 // 4096
    assert (int(done.stdout) > pages_of_one) == fresh
