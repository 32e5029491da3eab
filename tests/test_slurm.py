"""run_slurm.sh on a real Slurm of one node."""

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
from tests.training.conftest import tiny  # noqa: F401  a fixture
from tests.training.tiny import config

from .slurm import ask, lacking, one_node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600),
              pytest.mark.skipif(bool(lacking()), reason=f"this machine lacks {', '.join(lacking())}")]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with one_node(tmp_path_factory.mktemp("slurm")) as environment:
        yield {**environment, "VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{environment['PATH']}"}


def run(slurm, *arguments, status=0):
    done = subprocess.run([ROOT / "run_slurm.sh", *map(str, arguments)], env=slurm, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def log(folder):
    return "".join(p.read_text() for p in sorted(folder.glob("slurm-*.log")))


def test_two_tasks_train_as_two_processes_under_torchrun(slurm, tiny, tmp_path):  # noqa: F811
    cfg = config(tiny, tmp_path / "c.py", epochs=2)
    run(slurm, "--tasks", 2, "--wait", "--work-dir", tmp_path / "slurm", cfg)
    assert (tmp_path / "slurm/metrics.json").is_file(), log(tmp_path / "slurm")
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "tools/launch.py", cfg,
                           "--work-dir", tmp_path / "torchrun"], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one, other = (torch.load(tmp_path / w / "last.pth")["state_dict"] for w in ("slurm", "torchrun"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert (tmp_path / "slurm/metrics.json").read_text() == (tmp_path / "torchrun/metrics.json").read_text()


def tasks(work_dir):
    """Process ids of a training's Python, not of the srun that started it."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):   # it ended meanwhile
            words = (place / "cmdline").read_bytes().split(b"\0")
            if Path(words[0].decode()).name.startswith("python") and str(work_dir).encode() in words:
                found.append(int(place.name))
    return found


def test_a_killed_task_is_requeued_and_ends_with_the_same_weights(slurm, tiny, tmp_path):  # noqa: F811
    slow = ('\nimport time as _time\nfrom nncore.engine import HOOKS as _H, Hook as _Hook\n'
            'class Slow(_Hook):\n    def after_train_iter(self, engine):\n        _time.sleep(0.3)\n'
            '_H._items.setdefault("Slow", Slow)\nhooks = [dict(type="Slow")]\ndel Slow\n')
    whole = config(tiny, tmp_path / "whole.py", epochs=4)
    text = Path(whole).read_text()
    (tmp_path / "c.py").write_text(text + slow)
    run(slurm, "--work-dir", tmp_path / "w", tmp_path / "c.py")
    job = ask(slurm, "squeue", "-h", "-o", "%i").split()[0]
    end = time.monotonic() + 120
    while not (tmp_path / "w/last.pth").is_file():
        assert time.monotonic() < end, log(tmp_path / "w")
        time.sleep(0.2)
    task, = tasks(tmp_path / "w")
    os.kill(task, signal.SIGKILL)   # as a machine does that is short of memory
    end = time.monotonic() + 240
    while job in ask(slurm, "squeue", "-h", "-o", "%i").split():
        assert time.monotonic() < end, log(tmp_path / "w")
        if "BeginTime" in ask(slurm, "squeue", "-h", "-j", job, "-o", "%r"):   # Slurm would wait two minutes
            subprocess.run(["scontrol", "update", f"jobid={job}", "starttime=now"], env=slurm, capture_output=True, check=False)
        time.sleep(1)
    assert "a process was killed (status 137), so this job is requeued" in log(tmp_path / "w") and "Resumed from" in log(tmp_path / "w")
    subprocess.run([sys.executable, "tools/launch.py", whole, "--work-dir", tmp_path / "plain"], cwd=ROOT, check=True, capture_output=True,
                   env={**os.environ, "OMP_NUM_THREADS": "1"})
    one, other = (torch.load(tmp_path / w / "last.pth")["state_dict"] for w in ("w", "plain"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_an_array_extracts_a_folder_and_a_failed_shard_alone_runs_again(slurm, tmp_path):
    (tmp_path / "v").mkdir()
    for i in range(8):
        write_video(tmp_path / "v" / f"v{i}.mp4", ["red", "blue"])
    shutil.move(tmp_path / "v/v2.mp4", tmp_path / "away.mp4")
    (tmp_path / "v/v2.mp4").write_text("not yet a video")
    command = ("--wait", "--shards", 4, "extract", tmp_path / "v", "--out", tmp_path / "f")
    run(slurm, *command, status=2)
    assert len(list((tmp_path / "f/conse").glob("*.npz"))) == 7 and "v2.mp4" in log(tmp_path / "f")
    shutil.move(tmp_path / "away.mp4", tmp_path / "v/v2.mp4")
    logs = set((tmp_path / "f").glob("slurm-*.log"))
    run(slurm, *command)
    assert len(set((tmp_path / "f").glob("slurm-*.log")) - logs) == 1
    assert len(list((tmp_path / "f/conse").glob("*.npz"))) == 8
    assert "nothing is left to do" in run(slurm, *command).stdout


def test_a_partition_that_does_not_exist_is_named(slurm, tiny, tmp_path):  # noqa: F811
    done = run(slurm, "--partition", "none", "--work-dir", tmp_path / "w", config(tiny, tmp_path / "c.py"), status=2)
    assert not (tmp_path / "w").exists() and "invalid partition" in done.stderr.lower() and "sinfo shows the partitions" in done.stderr
