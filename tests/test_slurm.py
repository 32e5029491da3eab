"""run_slurm.sh on a real Slurm with one node."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.paths import ROOT
from tests.pipelines.fakes import write_video
from tests.training.conftest import tiny  # noqa: F401  A fixture.
from tests.training.tiny import config

from .slurm import missing_requirements, one_node, output_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600),
              pytest.mark.skipif(bool(missing_requirements()),
                                 reason=f"this machine lacks {', '.join(missing_requirements())}")]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Run Slurm; yield the environment in which run_slurm.sh finds it."""
    with one_node(tmp_path_factory.mktemp("slurm")) as environment:
        yield {**environment, "VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{environment['PATH']}"}


def run(slurm, *arguments, status=0):
    done = subprocess.run([ROOT / "run_slurm.sh", *map(str, arguments)], env=slurm, capture_output=True, text=True,
                          check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def log(folder):
    return "".join(p.read_text() for p in sorted(folder.glob("slurm-*.log")))


def assert_equal_weights(one, other):
    one, other = (torch.load(work_dir / "last.pth")["state_dict"] for work_dir in (one, other))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_two_tasks_train_like_two_processes_of_torchrun(slurm, tiny, tmp_path):  # noqa: F811
    cfg = config(tiny, tmp_path / "c.py", epochs=2)
    run(slurm, "--tasks", 2, "--wait", "--work-dir", tmp_path / "slurm", cfg)
    assert (tmp_path / "slurm/metrics.json").is_file(), log(tmp_path / "slurm")
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
                           "tools/launch.py", cfg, "--work-dir", tmp_path / "torchrun"], cwd=ROOT, env=ONE_THREAD,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert_equal_weights(tmp_path / "slurm", tmp_path / "torchrun")
    assert (tmp_path / "slurm/metrics.json").read_text() == (tmp_path / "torchrun/metrics.json").read_text()


def training_processes(work_dir):
    """Return the process ids of a training's Python, without those of the srun that started it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):   # The process has ended in the meantime.
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if Path(arguments[0].decode()).name.startswith("python") and str(work_dir).encode() in arguments:
                found.append(int(process.name))
    return found


# A hook that delays every iteration, so that the test can kill the training in the middle.
SLOW_HOOK = """
import time as _time
from nncore.engine import HOOKS as _H, Hook as _Hook
class Slow(_Hook):
    def after_train_iter(self, engine):
        _time.sleep(0.3)
_H._items.setdefault("Slow", Slow)
hooks = [dict(type="Slow")]
del Slow
"""


def test_a_killed_task_is_requeued_and_ends_with_the_same_weights(slurm, tiny, tmp_path):  # noqa: F811
    undisturbed = config(tiny, tmp_path / "undisturbed.py", epochs=4)
    (tmp_path / "c.py").write_text(Path(undisturbed).read_text() + SLOW_HOOK)
    run(slurm, "--work-dir", tmp_path / "w", tmp_path / "c.py")
    job = output_of(slurm, "squeue", "-h", "-o", "%i").split()[0]
    end = time.monotonic() + 120
    while not (tmp_path / "w/last.pth").is_file():
        assert time.monotonic() < end, log(tmp_path / "w")
        time.sleep(0.2)
    process, = training_processes(tmp_path / "w")
    os.kill(process, signal.SIGKILL)   # The kernel does the same if memory runs out.
    end = time.monotonic() + 240
    while job in output_of(slurm, "squeue", "-h", "-o", "%i").split():
        assert time.monotonic() < end, log(tmp_path / "w")
        # Slurm delays a requeued job by two minutes, which the test skips.
        if "BeginTime" in output_of(slurm, "squeue", "-h", "-j", job, "-o", "%r"):
            subprocess.run(["scontrol", "update", f"jobid={job}", "starttime=now"], env=slurm, capture_output=True,
                           check=False)
        time.sleep(1)
    assert "a process was killed (status 137), so this job is requeued" in log(tmp_path / "w")
    assert "Resumed from" in log(tmp_path / "w")
    subprocess.run([sys.executable, "tools/launch.py", undisturbed, "--work-dir", tmp_path / "plain"], cwd=ROOT,
                   check=True, capture_output=True, env=ONE_THREAD)
    assert_equal_weights(tmp_path / "w", tmp_path / "plain")


def test_an_array_extracts_a_folder_and_only_a_failed_shard_runs_again(slurm, tmp_path):
    (tmp_path / "v").mkdir()
    for i in range(8):
        write_video(tmp_path / "v" / f"v{i}.mp4", ["red", "blue"])
    shutil.move(tmp_path / "v/v2.mp4", tmp_path / "away.mp4")
    (tmp_path / "v/v2.mp4").write_text("not yet a video")
    command = ("--wait", "--shards", 4, "extract", tmp_path / "v", "--out", tmp_path / "f")
    run(slurm, *command, status=2)
    assert len(list((tmp_path / "f/conse").glob("*.npz"))) == 7
    assert "v2.mp4" in log(tmp_path / "f")
    shutil.move(tmp_path / "away.mp4", tmp_path / "v/v2.mp4")
    logs = set((tmp_path / "f").glob("slurm-*.log"))
    run(slurm, *command)
    assert len(set((tmp_path / "f").glob("slurm-*.log")) - logs) == 1
    assert len(list((tmp_path / "f/conse").glob("*.npz"))) == 8
    assert "nothing is left to do" in run(slurm, *command).stdout


def test_an_unknown_partition_is_reported(slurm, tiny, tmp_path):  # noqa: F811
    cfg = config(tiny, tmp_path / "c.py")
    done = run(slurm, "--partition", "none", "--work-dir", tmp_path / "w", cfg, status=2)
    assert not (tmp_path / "w").exists()
    assert "invalid partition" in done.stderr.lower()
    assert "sinfo shows the partitions" in done.stderr
