"""The shell scripts: what they would do, and what they refuse."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from tests.paths import ROOT
from tests.training.conftest import tiny  # noqa: F401  a fixture
from tests.training.tiny import config
from tools.shards_left import shards_left

SCRIPTS = ["run.sh", "test.sh", "run_slurm.sh", "sync_efs.sh", "audio/unify_audio_name.sh", "audio/extract_audio_feature.sh"]
CONFIG = "configs/sample/umt_sample.py"


def call(script, *args, root=ROOT, **environment):
    return subprocess.run([root / script, *map(str, args)], capture_output=True, text=True, check=False, cwd="/",
                          env={**os.environ, **environment})


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_is_strict_and_helps(script):
    assert "\nset -euo pipefail\n" in (ROOT / script).read_text()
    assert os.access(ROOT / script, os.X_OK)
    if not script.startswith("audio"):   # those are told by their commands
        done = call(script, "--help")
        assert done.returncode == 0 and f"./{script}" in done.stdout and "set -euo" not in done.stdout


@pytest.fixture
def machine(tmp_path):
    """A function that calls run.sh where python counts so many GPUs and tells how else it was called."""
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "python").write_text('#!/bin/sh\n[ "$1" != -c ] || { echo "$THERE"; exit; }\necho "called: $*"\n'
                                 'case "$*" in *bad.py*) echo "error: bad.py" >&2; exit 2 ;; esac\n')
    (fake / "python").chmod(0o755)
    return lambda *args, there=0, **more: call("run.sh", *args, PATH=f"{fake}:{os.environ['PATH']}", VIRTUAL_ENV=sys.prefix, THERE=str(there), **more)


@pytest.mark.parametrize("there, args, environment, called", [
    (4, [CONFIG, "--seed", "3"], {}, [f"tools/launch.py {CONFIG} --seed 3"]), (4, ["--gpus", "1", CONFIG], {"GPUS": "4"}, [f"tools/launch.py {CONFIG}"]),
    *((4, args, environment, [f"tools/launch.py {CONFIG} --seed 3 --check",
                              f"-m torch.distributed.run --standalone --nproc_per_node=2 tools/launch.py {CONFIG} --seed 3"])
      for args, environment in ((["--gpus", "2", CONFIG, "--seed", "3"], {}), ([CONFIG, "--seed", "3"], {"GPUS": "2"})))])
def test_several_gpus_have_a_process_each(machine, there, args, environment, called):
    done = machine(*args, there=there, **environment)
    assert done.returncode == 0 and done.stdout.splitlines() == [f"called: {line}" for line in called] and not done.stderr


@pytest.mark.parametrize("args, message", [
    (["--gpus", "4", CONFIG], "--gpus 4: this machine has 2; ask for at most so many"), (["--gpus", "two", CONFIG], "--gpus two: not a whole number"),
    (["--gpus", "0", CONFIG], "--gpus 0: not a whole number"), (["--gpus"], "--gpus needs a number"), (["--gpus", "2", "bad.py"], "bad.py")])
def test_gpus_that_are_not_there_and_mistakes_are_one_error(machine, args, message):
    done = machine(*args, there=2)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1
    assert "distributed" not in done.stdout


@pytest.mark.slow
def test_without_a_gpu_processes_share_the_processor(tiny, tmp_path):  # noqa: F811
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = call("run.sh", "--gpus", 2, config(tiny, tmp_path / "c.py", epochs=1), "--work-dir", tmp_path / "w", VIRTUAL_ENV=sys.prefix,
                PATH=f"{sys.prefix}/bin:{os.environ['PATH']}", OMP_NUM_THREADS="1")
    assert done.returncode == 0 and "no GPU on this machine, so 2 processes share its processor" in done.stderr, done.stderr[-2000:]
    assert len(torch.load(tmp_path / "w/last.pth")["random"]) == 2 and "MR-full-mAP" in json.loads((tmp_path / "w/metrics.json").read_text())


@pytest.fixture
def bare(tmp_path):
    """A function that calls a script of a copy of the tree's scripts, whose .venv tells how it was called, in a shell without one."""
    root, log = tmp_path / "tree", tmp_path / "log"
    (root / ".venv/bin").mkdir(parents=True)
    for name in ("run.sh", "audio/unify_audio_name.sh", "audio/extract_audio_feature.sh", "tools/env.sh", "constraints.txt",
                 *(p.name for p in ROOT.glob("requirements*.txt"))):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / ".venv/bin/python").write_text(f'#!/bin/sh\necho "$PWD: $*" >> {log}\n')
    (root / ".venv/bin/python").chmod(0o755)
    (root / ".venv/bin/activate").write_text(f'VIRTUAL_ENV={root}/.venv\nexport VIRTUAL_ENV PATH="{root}/.venv/bin:$PATH"\n')

    def called(*args, status=0):
        log.write_text("")
        done = subprocess.run([root / args[0], *args[1:]], capture_output=True, text=True, check=False, cwd=tmp_path,
                              env={key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "VENV_EXTRAS", "GPUS")})
        assert done.returncode == status, done.stderr
        return [line.replace(str(root), "ROOT").replace(str(tmp_path), "HERE") for line in log.read_text().splitlines()]
    return called


PIP = "HERE: -m pip install -qq --disable-pip-version-check --requirement ROOT/requirements{}.txt --constraint ROOT/constraints.txt"


@pytest.mark.parametrize("args, command, extras", [
    (["run.sh", "a.py", "--seed", "3"], "ROOT: tools/launch.py a.py --seed 3", [""]), (["run.sh", "app", "--port", "1"], "ROOT: tools/app.py --port 1", ["", "-app"]),
    (["audio/unify_audio_name.sh", "s s", "--dry-run"], "HERE: ROOT/audio/unify_audio_name.py s s --dry-run", [""]),
    (["audio/extract_audio_feature.sh", "s", "f"], "HERE: ROOT/audio/extract_audio_feature.py s f", [""])])
def test_in_a_bare_shell_a_scripts_arguments_are_its_own(bare, args, command, extras):
    assert bare(*args) == [PIP.format(extra) for extra in extras] + [command]
    assert bare(*args) == [command]   # what was installed is not again


def submitted(*args, **environment):
    done = call("run_slurm.sh", "--dry-run", *args, **{"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}", **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_training_is_submitted_so_that_it_requeues_and_resumes():
    out = submitted("--nodes", 2, "--gpus", 4, "--partition", "gpu", "--time", "12:00:00", "--account", "a", CONFIG, "--seed", 3)
    for option in ("--requeue", "--signal=B:USR1@120", "--open-mode=append", "--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4", "--partition=gpu",
                   "--time=12:00:00", "--account=a", "--output=work_dirs/umt_sample/slurm-%j.log", "--cpus-per-task=1"):
        assert option in out.splitlines()[0].replace("\\", "")
    command = next(line for line in out.splitlines() if line.startswith("srun"))
    assert f"{CONFIG} --launcher slurm --work-dir work_dirs/umt_sample \"${{begin[@]}}\" --seed 3" in command and "\nbegin=(--resume)\n" in out


def test_what_a_training_begins_with():
    begin = [line for more in ([], ["--checkpoint", "a b.pth"], ["--eval", "--checkpoint=a b.pth"])
             for line in submitted(CONFIG, *more).splitlines() if line.startswith("begin=")]
    assert begin == ["begin=(--resume)", 'begin=(--resume); [ -e "$last" ] || begin=(--checkpoint a\\ b.pth )', "begin=(--checkpoint a\\ b.pth )"]
    out = submitted("--nodes=2", CONFIG, "--work-dir", "w w")
    assert "--nodes=2" in out and r"--output=w\ w/slurm-%j.log" in out and r"--work-dir w\ w " in out and r"last=w\ w/last.pth" in out


def test_environment_variables_do_the_same_as_options():
    out = submitted(CONFIG, NODES="3", TASKS="2", PARTITION="p", TIME="1:00", ACCOUNT="b", CPUS="4")
    for option in ("--nodes=3", "--ntasks-per-node=2", "--partition=p", "--time=1:00", "--account=b", "--cpus-per-task=4"):
        assert option in out
    assert "OMP_NUM_THREADS=4" in out and "--gpus-per-node" not in out


@pytest.mark.slow
def test_an_extraction_is_an_array_of_what_has_not_ended_well_on_these_videos(tmp_path):
    videos, out = tmp_path / "my videos", tmp_path / "f f"
    videos.mkdir()
    for name in "abcde":
        (videos / f"{name}.mp4").write_text(name)
    command = [str(videos), "--out", str(out)]
    text = submitted("--shards", 3, "extract", *command)
    marks = shards_left(3, command)
    assert sorted(marks) == [1, 2, 3] and marks == shards_left(3, command)
    assert r"my\ videos" in text and '--shard "$SLURM_ARRAY_TASK_ID/3"' in text and "--array=1,2,3" in text.replace("\\", "")
    assert "marks=(" + " ".join(f"[{i}]={mark}" for i, mark in marks.items()) in text
    (out / ".shards").mkdir(parents=True)
    (out / ".shards" / marks[2]).touch()
    assert "--array=1,3 " in submitted("--shards", 3, "extract", *command).replace("\\", "")
    for mark in marks.values():
        (out / ".shards" / mark).touch()
    assert "nothing is left to do" in submitted("--shards", 3, "extract", *command)
    assert sorted(shards_left(3, [*command, "--encoders", "clip"])) == [1, 2, 3]
    (videos / "f.mp4").write_text("a sixth")   # a, d; b, e; c, f
    assert sorted(shards_left(3, command)) == [3]
    os.utime(videos / "b.mp4", (1, 1))
    assert sorted(shards_left(3, command)) == [2, 3]
    (videos / "notes.txt").write_text("no video")
    (videos / "f.mp4").unlink()
    assert sorted(shards_left(3, command)) == [2]


@pytest.mark.parametrize("args, message", [
    (["gone.py"], "gone.py: no such config"), (["--nodes", "two", CONFIG], "--nodes two: not a whole number"), (["--nodes"], "--nodes needs a value"),
    (["--nodes", "0", CONFIG], "--nodes 0: not a whole number from 1"), (["--tasks=0", CONFIG], "--tasks 0: not a whole number from 1"),
    (["--gpus=x", CONFIG], "--gpus x: not a whole number"), (["--time=", CONFIG], "--time needs a value"),
    (["--gpu", "1", CONFIG], "unknown option --gpu"), (["extract", "v", "--out", "f"], "an extraction needs --shards N"),
    (["--shards", "2", "extract", "v"], "an extraction needs --out DIR"), (["--shards", "2", CONFIG], "--shards is of an extraction"),
    ([CONFIG, "--partition", "gpu"], f"--partition after {CONFIG}: it is an option of this script, so put it before"),
    ([CONFIG, "--time=1:00"], f"--time after {CONFIG}"), ([CONFIG, "--resume"], "--resume: a job goes on"),
    (["--shards=2", "extract", "/no/videos", "--out=f"], "/no/videos: no such file"),
    (["--shards=2", "extract", "v", "--out=f", "--shard", "1/2"], "--shard: every job of the array has its own")])
def test_wrong_options_are_named(args, message):
    done = call("run_slurm.sh", "--dry-run", *args, VIRTUAL_ENV=sys.prefix, PATH=f"{sys.prefix}/bin:{os.environ['PATH']}")
    assert done.returncode == 2 and done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1


@pytest.fixture
def cluster(tmp_path):
    """A folder of programs that stand for Slurm's and Python, to put commands in; and a function that calls something where they are found."""
    fake = tmp_path / "bin"
    fake.mkdir()

    def put(**programs):
        for name, text in programs.items():
            (fake / name).write_text(f"#!/bin/bash\n{text}\n")
            (fake / name).chmod(0o755)
    return put, dict(PATH=f"{fake}:{os.environ['PATH']}", VIRTUAL_ENV=sys.prefix)


def test_a_mistake_in_the_config_is_told_before_anything_is_submitted(cluster, tmp_path):
    put, environment = cluster
    put(python='[[ "$*" != *--check ]] || { echo "error: checked $2 $3" >&2; exit 2; }', sbatch=f"touch {tmp_path}/submitted")
    done = call("run_slurm.sh", "--work-dir", tmp_path / "w", CONFIG, "--seed", **environment)
    assert done.returncode == 2 and done.stderr == f"error: checked {CONFIG} --seed\n"
    assert not (tmp_path / "submitted").exists() and not (tmp_path / "w").exists()


@pytest.mark.parametrize("sbatch, message, there", [
    ("echo 'sbatch: error: invalid partition' >&2; exit 1", "error: Slurm refused the job (status 1); sinfo shows the partitions\n", False),
    ("cat > /dev/null; echo Submitted batch job 71; exit 3", "error: job 71 failed (status 3); HERE/w/slurm-71.log has what it printed\n", True)])
def test_a_refused_and_a_failed_job_are_told_apart(cluster, tmp_path, sbatch, message, there):
    put, environment = cluster
    put(python=":", sbatch=sbatch)
    done = call("run_slurm.sh", "--work-dir", tmp_path / "w", CONFIG, **environment)
    assert done.returncode == 2 and done.stderr.endswith(message.replace("HERE", str(tmp_path))) and "%j" not in done.stderr
    assert (tmp_path / "w").exists() == there and ("job 71" in done.stdout) == there


def job(cluster, tmp_path, srun, state="RUNNING", **environment):
    """Runs the job that would be submitted where srun does this; what it printed, its status and what was asked of scontrol."""
    put, paths = cluster
    put(srun=srun, squeue=f"echo {state}", scontrol=f'echo "$*" >> {tmp_path}/asked')
    (tmp_path / "job.sh").write_text(submitted("--work-dir", tmp_path / "w", CONFIG).partition("\n")[2])
    done = subprocess.run(["bash", tmp_path / "job.sh"], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60,
                          env={**os.environ, **paths, "SLURM_JOB_ID": "71", **environment})
    asked = (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else ""
    return done.stderr, done.returncode, asked


@pytest.mark.parametrize("srun, environment, status, asked, told", [
    ("exit 0", {}, 0, "", ""), ("exit 1", {}, 1, "", ""), ("exit 2", {}, 2, "", ""),
    ("kill -9 $$", {}, 1, "requeue 71\n", "a process was killed (status 137), so this job is requeued"),
    ("exit 137", {"SLURM_RESTART_COUNT": "4"}, 1, "requeue 71\n", "requeued"),
    ("exit 137", {"SLURM_RESTART_COUNT": "5"}, 1, "", "error: a process was killed (status 137) after 5 requeues; is memory short?"),
    ("exit 143", {"state": "CANCELLED"}, 1, "", ""),
    ("exit 137", {"SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "2"}, 1, "requeue 70_2\n", "requeued")])
def test_a_killed_process_sends_its_job_back_and_an_error_does_not(cluster, tmp_path, srun, environment, status, asked, told):
    err, *found = job(cluster, tmp_path, srun, **environment)
    assert found == [status, asked] and told in err


def test_near_the_time_limit_a_job_that_has_ended_epochs_is_requeued(cluster, tmp_path):
    (tmp_path / "w").mkdir()
    err, status, asked = job(cluster, tmp_path, f"touch {tmp_path}/w/last.pth; kill -USR1 $PPID; sleep 2; exit 0")
    assert (status, asked) == (1, "requeue 71\n") and "the time limit is near, so this job is requeued" in err


def test_near_the_time_limit_a_job_without_an_epoch_goes_on_and_is_not_requeued(cluster, tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w/last.pth").touch()   # of an earlier job
    err, status, asked = job(cluster, tmp_path, "kill -USR1 $PPID; sleep 1; exit 3")
    assert (status, asked) == (3, "") and "no epoch ended within the time limit" in err


def test_without_slurm_the_machine_is_named(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "sed", "env"):
        (tools / name).symlink_to(shutil.which(name))
    done = call("run_slurm.sh", CONFIG, PATH=str(tools))
    assert done.returncode == 2 and "error: sbatch: not found, so there is no Slurm on this machine" in done.stderr
    done = call("sync_efs.sh", "push", PATH=str(tools))
    assert done.returncode == 2 and "error: rsync: not found" in done.stderr


@pytest.fixture
def tree(tmp_path):
    """A small project with the script in it, and a place that stands for the shared file system."""
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    root = tmp_path / "project"
    (root / "data/features").mkdir(parents=True)
    (root / ".venv").mkdir()
    (root / "work_dirs/old").mkdir(parents=True)
    shutil.copy(ROOT / "sync_efs.sh", root)
    (root / "data/features/v.npz").write_bytes(b"features")
    (root / ".venv/big").write_text("not to be copied")
    (tmp_path / "efs").mkdir()
    return root, tmp_path / "efs/p"


def sync(tree, *args):
    return call("sync_efs.sh", *args, "--unmounted", root=tree[0], EFS_ROOT=str(tree[1]))


def test_push_and_pull_copy_what_belongs_there_and_remove_nothing(tree):
    root, efs = tree
    assert "data/features/v.npz" in sync(tree, "push", "--dry-run").stdout and not efs.exists()
    done = sync(tree, "push", "--verify")
    assert done.returncode == 0 and "equals its source" in done.stdout
    assert (efs / "data/features/v.npz").read_bytes() == b"features" and not (efs / ".venv").exists() and not (efs / "work_dirs").exists()
    (efs / "data/extra").write_text("of the cluster")
    assert sync(tree, "push").returncode == 0 and (efs / "data/extra").exists()
    assert sync(tree, "push", "--delete").returncode == 0 and not (efs / "data/extra").exists()
    (efs / "work_dirs/run").mkdir(parents=True)
    (efs / "work_dirs/run/best.pth").write_bytes(b"weights")
    assert sync(tree, "pull").returncode == 0
    assert (root / "work_dirs/run/best.pth").read_bytes() == b"weights" and (root / "work_dirs/old").is_dir()


def test_a_difference_that_size_and_time_hide_is_found(tree):
    root, efs = tree
    sync(tree, "push")
    stamp = (root / "data/features/v.npz").stat()
    (efs / "data/features/v.npz").write_bytes(b"FEATURES")
    os.utime(efs / "data/features/v.npz", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    done = sync(tree, "push", "--verify")
    assert done.returncode == 1 and "differs from its source: data/features/v.npz" in done.stderr


@pytest.mark.parametrize("args, efs, message", [
    (["push"], "", "EFS_ROOT is not set"), (["push", "--dry-run"], "/nowhere/at/all", "/nowhere/at/all: lies on this machine's own disk, so the shared file system is not mounted there; mount it, or say --unmounted"),
    (["push", "--dry-run", "--verify"], "/tmp/x", "--dry-run copies nothing that --verify could compare; leave one of them out"), (["push", "pull"], "/tmp/x", "push or pull, not both"), (["copy"], "/tmp/x", "copy: unknown"),
    (["pull", "--unmounted"], "/tmp/x-none", "nothing was trained there yet")])
def test_what_cannot_be_synced_is_named(tree, args, efs, message):
    done = call("sync_efs.sh", *args, root=tree[0], EFS_ROOT=efs)
    assert done.returncode == 2 and message in done.stderr


def test_a_target_inside_the_tree_is_refused(tree):
    root, _ = tree
    done = call("sync_efs.sh", "push", "--unmounted", root=root, EFS_ROOT=str(root / "in"))
    assert done.returncode == 2 and "lies inside" in done.stderr


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 kB."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", place], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a process mount")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_project_on_another_disk_does_not_make_a_target_mounted(tree, small_disk):
    shutil.copytree(tree[0], small_disk / "project")
    done = call("sync_efs.sh", "push", "--dry-run", root=small_disk / "project", EFS_ROOT="/efs-of-nobody/p")
    assert done.returncode == 2 and "is not mounted there" in done.stderr


def test_a_project_may_lie_on_the_file_system_that_is_mounted(tree, small_disk):
    shutil.copytree(tree[0], small_disk / "project")
    done = call("sync_efs.sh", "push", root=small_disk / "project", EFS_ROOT=str(small_disk / "not/yet/there"))
    assert done.returncode == 0 and (small_disk / "not/yet/there/data/features/v.npz").read_bytes() == b"features", done.stderr


def test_links_out_of_the_tree_arrive_as_what_they_point_to(tree, tmp_path):
    root, efs = tree
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/w.npz").write_bytes(b"elsewhere")
    (root / "data/w.npz").symlink_to(tmp_path / "archive/w.npz")
    (root / "data/archive").symlink_to("../../archive")
    (root / "data/own.npz").symlink_to("features/v.npz")
    done = sync(tree, "push", "--verify")
    assert done.returncode == 0, done.stderr
    shutil.rmtree(tmp_path / "archive")
    assert (efs / "data/w.npz").read_bytes() == (efs / "data/archive/w.npz").read_bytes() == b"elsewhere"
    assert os.readlink(efs / "data/own.npz") == "features/v.npz"
    (efs / "data/archive/w.npz").write_bytes(b"otherwise")
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/w.npz").write_bytes(b"elsewhere")
    os.utime(efs / "data/archive/w.npz", (1, 1))
    os.utime(tmp_path / "archive/w.npz", (1, 1))
    done = sync(tree, "push", "--verify")
    assert done.returncode == 1 and "data/archive/w.npz" in done.stderr


def test_a_comparison_that_fails_verifies_nothing(tree, tmp_path):
    root, efs = tree
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "rsync").write_text("#!/bin/sh\ncase \"$*\" in *--checksum*) echo 'rsync: read errors' >&2; exit 23 ;; esac\n")
    (fake / "rsync").chmod(0o755)
    done = call("sync_efs.sh", "push", "--verify", "--unmounted", root=root, EFS_ROOT=str(efs), PATH=f"{fake}:{os.environ['PATH']}")
    assert done.returncode == 2 and "verified" not in done.stdout
    assert f"error: {efs} could not be compared (rsync's status 23)" in done.stderr


def test_a_disk_that_is_full_has_no_half_file_and_the_copy_goes_on(tree, small_disk):
    root, _ = tree
    (root / "data/features/v.npz").write_bytes(os.urandom(300_000))
    done = call("sync_efs.sh", "push", root=root, EFS_ROOT=str(small_disk / "p"))   # another disk, so it counts as mounted
    assert done.returncode == 2 and "No space left" in done.stderr and "is its disk full" in done.stderr
    assert not (small_disk / "p/data/features/v.npz").exists()
    subprocess.run(["mount", "-o", "remount,size=2m", small_disk], check=True)
    assert call("sync_efs.sh", "push", "--verify", root=root, EFS_ROOT=str(small_disk / "p")).returncode == 0
    assert (small_disk / "p/data/features/v.npz").read_bytes() == (root / "data/features/v.npz").read_bytes()
    assert not list(small_disk.rglob(".rsync-partial"))


def test_a_copy_that_stops_is_one_error(tree, tmp_path):
    root, efs = tree
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "rsync").write_text("#!/bin/sh\necho 'rsync: write failed: No space left on device (28)' >&2\nexit 11\n")
    (fake / "rsync").chmod(0o755)
    done = call("sync_efs.sh", "push", "--unmounted", root=root, EFS_ROOT=str(efs), PATH=f"{fake}:{os.environ['PATH']}")
    assert done.returncode == 2 and "error: the copy to" in done.stderr and "is its disk full" in done.stderr
