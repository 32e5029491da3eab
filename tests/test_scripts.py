"""The shell scripts: the commands that they run, and the arguments that they reject."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from pipelines.features import identity
from tests.paths import ROOT
from tests.training.conftest import tiny  # noqa: F401  A fixture.
from tests.training.tiny import config
from tools.shards_left import shards_left

SCRIPTS = ["run.sh", "test.sh", "run_slurm.sh", "sync_efs.sh", "audio/unify_audio_name.sh",
           "audio/extract_audio_feature.sh"]
CONFIG = "configs/sample/umt_sample.py"
IN_THIS_ENVIRONMENT = dict(VIRTUAL_ENV=sys.prefix, PATH=f"{sys.prefix}/bin:{os.environ['PATH']}")


def call(script, *args, root=ROOT, **environment):
    return subprocess.run([root / script, *map(str, args)], capture_output=True, text=True, check=False, cwd="/",
                          env={**os.environ, **environment})


def write_program(path, text):
    """Write an executable program that replaces a real one."""
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_is_strict_and_has_help(script):
    assert "\nset -euo pipefail\n" in (ROOT / script).read_text()
    assert os.access(ROOT / script, os.X_OK)
    if not script.startswith("audio"):   # The audio scripts pass --help to their Python command.
        done = call(script, "--help")
        assert done.returncode == 0
        assert f"./{script}" in done.stdout
        assert "set -euo" not in done.stdout


@pytest.fixture
def machine(tmp_path):
    """Return a function that calls run.sh with a fake python, which reports `num_gpus` GPUs and prints other calls."""
    fake = tmp_path / "bin"
    fake.mkdir()
    write_program(fake / "python", '#!/bin/sh\n[ "$1" != -c ] || { echo "$NUM_GPUS"; exit; }\necho "called: $*"\n'
                  'case "$*" in *bad.py*) echo "error: bad.py" >&2; exit 2 ;; esac\n')
    path = f"{fake}:{os.environ['PATH']}"
    return lambda *args, num_gpus=0, **more: call(
        "run.sh", *args, PATH=path, VIRTUAL_ENV=sys.prefix, NUM_GPUS=str(num_gpus), **more)


TWO_PROCESSES = [f"tools/launch.py {CONFIG} --seed 3 --check",
                 f"-m torch.distributed.run --standalone --nproc_per_node=2 tools/launch.py {CONFIG} --seed 3"]


@pytest.mark.parametrize("args, environment, called", [
    pytest.param([CONFIG, "--seed", "3"], {}, [f"tools/launch.py {CONFIG} --seed 3"], id="one process by default"),
    pytest.param(["--gpus", "1", CONFIG], {"GPUS": "4"}, [f"tools/launch.py {CONFIG}"], id="option over variable"),
    pytest.param(["--gpus", "2", CONFIG, "--seed", "3"], {}, TWO_PROCESSES, id="two by option"),
    pytest.param([CONFIG, "--seed", "3"], {"GPUS": "2"}, TWO_PROCESSES, id="two by variable")])
def test_each_gpu_has_a_process(machine, args, environment, called):
    done = machine(*args, num_gpus=4, **environment)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"called: {line}" for line in called]
    assert not done.stderr


@pytest.mark.parametrize("args, message", [
    (["--gpus", "4", CONFIG], "--gpus 4: this machine has 2; use at most that many"),
    (["--gpus", "two", CONFIG], "--gpus two: not an integer"),
    (["--gpus", "0", CONFIG], "--gpus 0: not an integer"),
    (["--gpus"], "--gpus needs a number"),
    (["--gpus", "2", "bad.py"], "bad.py")])
def test_missing_gpus_and_invalid_arguments_are_one_error(machine, args, message):
    done = machine(*args, num_gpus=2)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert "distributed" not in done.stdout


def test_a_repeated_quick_start_summarizes_with_the_model_that_it_has_trained(tmp_path):
    """The fake python writes the folder that the training has used, and prints its other calls."""
    fake = tmp_path / "bin"
    fake.mkdir()
    write_program(fake / "python", """#!/bin/bash
[ "$1" != - ] || { echo "v1 a cat"; exit; }
echo "called: $*"
while [ $# -gt 0 ]; do [ "$1" != --work-dir-file ] || echo work_dirs/sample_1 > "$2"; shift; done
""")
    done = call("run.sh", PATH=f"{fake}:{os.environ['PATH']}", VIRTUAL_ENV=sys.prefix)
    assert done.returncode == 0, done.stderr
    training, summary = (line for line in done.stdout.splitlines() if "launch.py" in line or "summarize.py" in line)
    assert f"tools/launch.py {CONFIG} --work-dir work_dirs/sample --work-dir-file /" in training
    assert summary.endswith("--checkpoint work_dirs/sample_1/best.pth --out work_dirs/sample_1")
    assert "metrics   work_dirs/sample_1/metrics.json" in done.stdout


@pytest.mark.slow
def test_without_a_gpu_processes_share_the_cpu(tiny, tmp_path):  # noqa: F811
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = call("run.sh", "--gpus", 2, config(tiny, tmp_path / "c.py", epochs=1), "--work-dir", tmp_path / "w",
                **IN_THIS_ENVIRONMENT, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "this machine has no GPU, so 2 processes share its CPU" in done.stderr
    assert len(torch.load(tmp_path / "w/last.pth")["random"]) == 2
    assert "MR-full-mAP" in json.loads((tmp_path / "w/metrics.json").read_text())


@pytest.fixture
def bare(tmp_path):
    """Return a function that calls a script without an active environment and returns the calls of a fake python.

    The script runs in a copy of the checkout's scripts, whose .venv contains the fake python.
    """
    root, log = tmp_path / "tree", tmp_path / "log"
    (root / ".venv/bin").mkdir(parents=True)
    for name in ("run.sh", "audio/unify_audio_name.sh", "audio/extract_audio_feature.sh", "tools/env.sh",
                 "constraints.txt", *(p.name for p in ROOT.glob("requirements*.txt"))):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    write_program(root / ".venv/bin/python", f'#!/bin/sh\necho "$PWD: $*" >> {log}\n')
    (root / ".venv/bin/activate").write_text(
        f'VIRTUAL_ENV={root}/.venv\nexport VIRTUAL_ENV PATH="{root}/.venv/bin:$PATH"\n')
    unset = ("VIRTUAL_ENV", "VENV_EXTRAS", "GPUS")

    def called(*args, status=0):
        log.write_text("")
        done = subprocess.run([root / args[0], *args[1:]], capture_output=True, text=True, check=False, cwd=tmp_path,
                              env={key: value for key, value in os.environ.items() if key not in unset})
        assert done.returncode == status, done.stderr
        return [line.replace(str(root), "ROOT").replace(str(tmp_path), "HERE") for line in log.read_text().splitlines()]
    return called


PIP = ("HERE: -m pip install -qq --disable-pip-version-check --requirement ROOT/requirements{}.txt "
       "--constraint ROOT/constraints.txt")


@pytest.mark.parametrize("args, command, extras", [
    pytest.param(["run.sh", "a.py", "--seed", "3"], "ROOT: tools/launch.py a.py --seed 3", [""], id="run.sh CONFIG"),
    pytest.param(["run.sh", "app", "--port", "1"], "ROOT: tools/app.py --port 1", ["", "-app"], id="run.sh app"),
    pytest.param(["audio/unify_audio_name.sh", "s s", "--dry-run"],
                 "HERE: ROOT/audio/unify_audio_name.py s s --dry-run", [""], id="unify_audio_name.sh"),
    pytest.param(["audio/extract_audio_feature.sh", "s", "f"],
                 "HERE: ROOT/audio/extract_audio_feature.py s f", [""], id="extract_audio_feature.sh")])
def test_without_an_environment_it_is_installed_once_and_the_arguments_are_passed_on(bare, args, command, extras):
    assert bare(*args) == [PIP.format(extra) for extra in extras] + [command]
    assert bare(*args) == [command]   # The second call installs nothing.


def submitted(*args, **environment):
    """Return what `run_slurm.sh --dry-run` would submit: the sbatch command, then the job script."""
    done = call("run_slurm.sh", "--dry-run", *args, **{**IN_THIS_ENVIRONMENT, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_training_job_is_requeued_and_resumes():
    out = submitted("--nodes", 2, "--gpus", 4, "--partition", "gpu", "--time", "12:00:00", "--account", "a", CONFIG,
                    "--seed", 3)
    for option in ("--requeue", "--signal=B:USR1@120", "--open-mode=append", "--nodes=2", "--ntasks-per-node=4",
                   "--gpus-per-node=4", "--partition=gpu", "--time=12:00:00", "--account=a",
                   "--output=work_dirs/umt_sample/slurm-%j.log", "--cpus-per-task=1"):
        assert option in out.splitlines()[0].replace("\\", "")
    command = next(line for line in out.splitlines() if line.startswith("srun"))
    assert f"{CONFIG} --launcher slurm --work-dir work_dirs/umt_sample \"${{start[@]}}\" --seed 3" in command
    assert "\nstart=(--resume)\n" in out


@pytest.mark.parametrize("options, start", [
    pytest.param([], "start=(--resume)", id="new or resumed"),
    pytest.param(["--checkpoint", "a b.pth"],
                 "start=(--resume --checkpoint a\\ b.pth )", id="from a checkpoint"),
    pytest.param(["--eval", "--checkpoint=a b.pth"], "start=(--checkpoint a\\ b.pth )", id="evaluation")])
def test_a_job_resumes_or_starts_from_a_checkpoint(options, start):
    assert [line for line in submitted(CONFIG, *options).splitlines() if line.startswith("start=")] == [start]


def test_paths_with_spaces_are_quoted():
    out = submitted("--nodes=2", CONFIG, "--work-dir", "w w")
    assert "--nodes=2" in out
    assert r"--output=w\ w/slurm-%j.log" in out
    assert r"--work-dir w\ w " in out
    assert r"last=w\ w/last.pth" in out


def test_environment_variables_set_the_same_options():
    out = submitted(CONFIG, NODES="3", TASKS="2", PARTITION="p", TIME="1:00", ACCOUNT="b", CPUS="4")
    for option in ("--nodes=3", "--ntasks-per-node=2", "--partition=p", "--time=1:00", "--account=b",
                   "--cpus-per-task=4"):
        assert option in out
    assert "OMP_NUM_THREADS=4" in out
    assert "--gpus-per-node" not in out


@pytest.fixture
def extraction(tmp_path):
    """Create five video files and feature files; return both folders, and the arguments of the extraction."""
    videos, out = tmp_path / "my videos", tmp_path / "f f"
    videos.mkdir()
    for name in "abcde":
        (videos / f"{name}.mp4").write_text(name)
    (out / "conse").mkdir(parents=True)
    for name in "abcdef":
        (out / "conse" / f"{name}.npz").touch()
    return videos, out, [str(videos), "--out", str(out)]


@pytest.mark.slow
def test_an_extraction_submits_the_shards_that_are_not_complete(extraction, monkeypatch):
    _, out, command = extraction
    text = submitted("--shards", 3, "extract", *command)
    marks = shards_left(3, command)
    assert sorted(marks) == [1, 2, 3]
    assert marks == shards_left(3, command)
    assert r"my\ videos" in text
    assert '--shard "$SLURM_ARRAY_TASK_ID/3"' in text
    assert "--array=1,2,3" in text.replace("\\", "")
    assert "marks=(" + " ".join(f"[{i}]={mark}" for i, mark in marks.items()) in text
    (out / ".shards").mkdir()
    (out / ".shards" / marks[2]).touch()
    assert "--array=1,3 " in submitted("--shards", 3, "extract", *command).replace("\\", "")
    for mark in marks.values():
        (out / ".shards" / mark).touch()
    assert "nothing is left to do" in submitted("--shards", 3, "extract", *command)
    assert sorted(shards_left(3, [*command, "--encoders", "clip"])) == [1, 2, 3]
    with monkeypatch.context() as patch:
        patch.setattr(identity, "FEATURE_VERSION", 99)
        assert sorted(shards_left(3, command)) == [1, 2, 3]
    (out / "conse/b.npz").unlink()
    assert sorted(shards_left(3, command)) == [2]


@pytest.mark.slow
def test_a_shard_whose_videos_have_changed_is_not_complete(extraction):
    videos, out, command = extraction
    (out / ".shards").mkdir()
    for mark in shards_left(3, command).values():
        (out / ".shards" / mark).touch()
    (videos / "f.mp4").write_text("a sixth")   # The shards are now a, d; b, e; c, f.
    assert sorted(shards_left(3, command)) == [3]
    os.utime(videos / "b.mp4", (1, 1))
    assert sorted(shards_left(3, command)) == [2, 3]
    (videos / "notes.txt").write_text("no video")
    (videos / "f.mp4").unlink()
    assert sorted(shards_left(3, command)) == [2]


@pytest.mark.parametrize("args, message", [
    (["gone.py"], "gone.py: no such config"),
    (["--nodes", "two", CONFIG], "--nodes two: not an integer of at least 1"),
    (["--nodes"], "--nodes needs a value"),
    (["--nodes", "0", CONFIG], "--nodes 0: not an integer of at least 1"),
    (["--tasks=0", CONFIG], "--tasks 0: not an integer of at least 1"),
    (["--gpus=x", CONFIG], "--gpus x: not an integer of at least 0"),
    (["--time=", CONFIG], "--time needs a value"),
    (["--gpu", "1", CONFIG], "unknown option --gpu"),
    (["extract", "v", "--out", "f"], "an extraction needs --shards N"),
    (["--shards", "2", "extract", "v"], "an extraction needs --out DIR"),
    (["--shards", "2", CONFIG], "--shards is an option of an extraction"),
    ([CONFIG, "--partition", "gpu"],
     f"--partition after {CONFIG}: this is an option of run_slurm.sh, so put it before"),
    ([CONFIG, "--time=1:00"], f"--time after {CONFIG}"),
    ([CONFIG, "--resume"], "--resume: a job resumes"),
    ([CONFIG, "--overwrite"], "--overwrite: a requeued job would delete its own results; remove work_dirs/umt_sample"),
    (["--shards=2", "extract", "/no/videos", "--out=f"], "/no/videos: no such file"),
    (["--shards=2", "extract", "v", "--out=f", "--shard", "1/2"], "--shard: each job of the array sets its own"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_invalid_options_are_reported(args, message):
    done = call("run_slurm.sh", "--dry-run", *args, **IN_THIS_ENVIRONMENT)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def cluster(tmp_path):
    """Return a function that writes fake programs, such as sbatch, and an environment whose PATH finds them."""
    fake = tmp_path / "bin"
    fake.mkdir()

    def put(**programs):
        for name, text in programs.items():
            write_program(fake / name, f"#!/bin/bash\n{text}\n")
    return put, dict(PATH=f"{fake}:{os.environ['PATH']}", VIRTUAL_ENV=sys.prefix)


def test_an_error_in_the_config_is_reported_before_the_submission(cluster, tmp_path):
    put, environment = cluster
    put(python='[[ "$*" != *--check ]] || { echo "error: checked $2 $3" >&2; exit 2; }',
        sbatch=f"touch {tmp_path}/submitted")
    done = call("run_slurm.sh", "--work-dir", tmp_path / "w", CONFIG, "--seed", **environment)
    assert done.returncode == 2
    assert done.stderr == f"error: checked {CONFIG} --seed\n"
    assert not (tmp_path / "submitted").exists()
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("sbatch, message, is_submitted", [
    pytest.param("echo 'sbatch: error: invalid partition' >&2; exit 1",
                 "error: Slurm refused the job (status 1); sinfo shows the partitions\n", False, id="refused"),
    pytest.param("cat > /dev/null; echo Submitted batch job 71; exit 3",
                 "error: job 71 failed (status 3); see its output in HERE/w/slurm-71.log\n", True, id="failed")])
def test_a_refused_job_and_a_failed_job_have_different_messages(cluster, tmp_path, sbatch, message, is_submitted):
    put, environment = cluster
    put(python=":", sbatch=sbatch)
    done = call("run_slurm.sh", "--work-dir", tmp_path / "w", CONFIG, **environment)
    assert done.returncode == 2
    assert done.stderr.endswith(message.replace("HERE", str(tmp_path)))
    assert "%j" not in done.stderr
    assert (tmp_path / "w").exists() == is_submitted
    assert ("job 71" in done.stdout) == is_submitted


def run_job(cluster, tmp_path, srun, state="RUNNING", **environment):
    """Run the job script that would be submitted, with fake Slurm programs.

    Args:
        cluster: the fixture.
        tmp_path: the test's folder.
        srun: shell commands of the fake srun.
        state: the job's state, which the fake squeue prints.
        **environment: environment variables of the job.

    Returns:
        Its stderr, its exit status, and the arguments of its calls to scontrol.
    """
    put, paths = cluster
    put(srun=srun, squeue=f"echo {state}", scontrol=f'echo "$*" >> {tmp_path}/scontrol')
    (tmp_path / "job.sh").write_text(submitted("--work-dir", tmp_path / "w", CONFIG).partition("\n")[2])
    done = subprocess.run(["bash", tmp_path / "job.sh"], capture_output=True, text=True, check=False, cwd=ROOT,
                          timeout=60, env={**os.environ, **paths, "SLURM_JOB_ID": "71", **environment})
    calls = (tmp_path / "scontrol").read_text() if (tmp_path / "scontrol").exists() else ""
    return done.stderr, done.returncode, calls


@pytest.mark.parametrize("srun, environment, status, scontrol, message", [
    pytest.param("exit 0", {}, 0, "", "", id="success"),
    pytest.param("exit 1", {}, 1, "", "", id="status 1"),
    pytest.param("exit 2", {}, 2, "", "", id="status 2"),
    pytest.param("kill -9 $$", {}, 1, "requeue 71\n", "a process was killed (status 137), so this job is requeued",
                 id="killed"),
    pytest.param("exit 137", {"SLURM_RESTART_COUNT": "4"}, 1, "requeue 71\n", "requeued", id="killed again"),
    pytest.param("exit 137", {"SLURM_RESTART_COUNT": "5"}, 1, "",
                 "error: a process was killed (status 137) after 5 requeues; check its memory", id="killed too often"),
    pytest.param("exit 143", {"state": "CANCELLED"}, 1, "", "", id="cancelled"),
    pytest.param("exit 137", {"SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "2"}, 1, "requeue 70_2\n", "requeued",
                 id="array")])
def test_a_job_is_requeued_after_a_kill_but_not_after_an_error(cluster, tmp_path, srun, environment, status, scontrol,
                                                               message):
    err, *found = run_job(cluster, tmp_path, srun, **environment)
    assert found == [status, scontrol]
    assert message in err


def test_near_the_time_limit_a_job_with_completed_epochs_is_requeued(cluster, tmp_path):
    (tmp_path / "w").mkdir()
    srun = f"touch {tmp_path}/w/last.pth; kill -USR1 $PPID; sleep 2; exit 0"
    err, status, scontrol = run_job(cluster, tmp_path, srun)
    assert (status, scontrol) == (1, "requeue 71\n")
    assert "the time limit is near, so this job is requeued" in err


def test_near_the_time_limit_a_job_without_a_completed_epoch_continues_and_is_not_requeued(cluster, tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w/last.pth").touch()   # An earlier job wrote it.
    err, status, scontrol = run_job(cluster, tmp_path, "kill -USR1 $PPID; sleep 1; exit 3")
    assert (status, scontrol) == (3, "")
    assert "no epoch was completed within the time limit" in err


@pytest.mark.parametrize("script, argument, message", [
    ("run_slurm.sh", CONFIG, "error: sbatch: not found, so Slurm is not installed on this machine"),
    ("sync_efs.sh", "push", "error: rsync: not found")])
def test_a_missing_program_is_reported(tmp_path, script, argument, message):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "dirname", "sed", "env"):
        (programs / name).symlink_to(shutil.which(name))
    done = call(script, argument, PATH=str(programs))
    assert done.returncode == 2
    assert message in done.stderr


@pytest.fixture
def tree(tmp_path):
    """Create a small project with sync_efs.sh; return it and a folder that represents the shared file system."""
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


def test_push_copies_code_and_data(tree):
    _, efs = tree
    assert "data/features/v.npz" in sync(tree, "push", "--dry-run").stdout
    assert not efs.exists()
    done = sync(tree, "push", "--verify")
    assert done.returncode == 0
    assert "equals its source" in done.stdout
    assert (efs / "data/features/v.npz").read_bytes() == b"features"
    assert not (efs / ".venv").exists()
    assert not (efs / "work_dirs").exists()


def test_push_deletes_extra_files_only_on_request(tree):
    _, efs = tree
    sync(tree, "push")
    (efs / "data/extra").write_text("of the cluster")
    assert sync(tree, "push").returncode == 0
    assert (efs / "data/extra").exists()
    assert sync(tree, "push", "--delete").returncode == 0
    assert not (efs / "data/extra").exists()


def test_pull_copies_work_dirs_and_deletes_nothing(tree):
    root, efs = tree
    (efs / "work_dirs/run").mkdir(parents=True)
    (efs / "work_dirs/run/best.pth").write_bytes(b"weights")
    assert sync(tree, "pull").returncode == 0
    assert (root / "work_dirs/run/best.pth").read_bytes() == b"weights"
    assert (root / "work_dirs/old").is_dir()


def test_pull_keeps_another_training_of_the_same_name(tree):
    """The trainings are distinguished by their ids; a training that was pulled before is updated."""
    root, efs = tree
    for base, run_id, weights in ((efs, "cluster", b"of the cluster"), (root, "local", b"local")):
        (base / "work_dirs/run/fold0").mkdir(parents=True)
        (base / "work_dirs/run/fold0/.run_id").write_text(run_id)
        (base / "work_dirs/run/fold0/best.pth").write_bytes(weights)
    done = sync(tree, "pull")
    assert done.returncode == 2
    assert done.stderr == (f"error: work_dirs/run/fold0: contains another training than {efs}/work_dirs/run/fold0; rename "
                           "it, or use --overwrite to replace it (work dirs that differ: 1)\n")
    assert (root / "work_dirs/run/fold0/best.pth").read_bytes() == b"local"
    assert sync(tree, "pull", "--overwrite").returncode == 0
    assert (root / "work_dirs/run/fold0/best.pth").read_bytes() == b"of the cluster"
    (efs / "work_dirs/run/fold0/best.pth").write_bytes(b"better")
    assert sync(tree, "pull").returncode == 0
    assert (root / "work_dirs/run/fold0/best.pth").read_bytes() == b"better"


def test_verify_finds_a_difference_in_files_of_equal_size_and_time(tree):
    root, efs = tree
    sync(tree, "push")
    stamp = (root / "data/features/v.npz").stat()
    (efs / "data/features/v.npz").write_bytes(b"FEATURES")
    os.utime(efs / "data/features/v.npz", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    done = sync(tree, "push", "--verify")
    assert done.returncode == 1
    assert "differs from its source: data/features/v.npz" in done.stderr


@pytest.mark.parametrize("args, efs, message", [
    pytest.param(["push"], "", "EFS_ROOT is not set", id="no EFS_ROOT"),
    pytest.param(["push", "--dry-run"], "/nowhere/at/all",
                 "/nowhere/at/all: is on this machine's root file system, so the shared file system is not mounted "
                 "there; mount it, or use --unmounted", id="not mounted"),
    pytest.param(["push", "--dry-run", "--verify"], "/tmp/x",
                 "--dry-run copies nothing that --verify could compare; leave one of them out", id="verified dry run"),
    pytest.param(["push", "pull"], "/tmp/x", "push or pull, not both", id="both directions"),
    pytest.param(["copy"], "/tmp/x", "copy: unknown", id="unknown direction"),
    pytest.param(["pull", "--unmounted"], "/tmp/x-none", "nothing was trained there yet", id="no work dirs")])
def test_an_impossible_copy_is_reported(tree, args, efs, message):
    done = call("sync_efs.sh", *args, root=tree[0], EFS_ROOT=efs)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_target_inside_the_checkout_is_refused(tree):
    root, _ = tree
    done = call("sync_efs.sh", "push", "--unmounted", root=root, EFS_ROOT=str(root / "in"))
    assert done.returncode == 2
    assert "is inside" in done.stderr


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 128 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "none", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("processes may not mount file systems on this machine")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_project_on_another_disk_does_not_make_its_target_mounted(tree, small_disk):
    shutil.copytree(tree[0], small_disk / "project")
    done = call("sync_efs.sh", "push", "--dry-run", root=small_disk / "project", EFS_ROOT="/efs-that-is-missing/p")
    assert done.returncode == 2
    assert "is not mounted there" in done.stderr


def test_a_project_may_be_on_the_file_system_that_is_mounted(tree, small_disk):
    shutil.copytree(tree[0], small_disk / "project")
    target = small_disk / "not/yet/there"
    done = call("sync_efs.sh", "push", root=small_disk / "project", EFS_ROOT=str(target))
    assert done.returncode == 0, done.stderr
    assert (target / "data/features/v.npz").read_bytes() == b"features"


def test_links_out_of_the_checkout_are_copied_as_their_target(tree, tmp_path):
    root, efs = tree
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/w.npz").write_bytes(b"elsewhere")
    (root / "data/w.npz").symlink_to(tmp_path / "archive/w.npz")
    (root / "data/archive").symlink_to("../../archive")
    (root / "data/own.npz").symlink_to("features/v.npz")
    done = sync(tree, "push", "--verify")
    assert done.returncode == 0, done.stderr
    shutil.rmtree(tmp_path / "archive")
    assert (efs / "data/w.npz").read_bytes() == b"elsewhere"
    assert (efs / "data/archive/w.npz").read_bytes() == b"elsewhere"
    assert os.readlink(efs / "data/own.npz") == "features/v.npz"


def test_verify_compares_the_targets_of_links(tree, tmp_path):
    """Give source and copy the same size and time, so that only a checksum shows the difference."""
    root, efs = tree
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/w.npz").write_bytes(b"elsewhere")
    (root / "data/archive").symlink_to("../../archive")
    assert sync(tree, "push").returncode == 0
    (efs / "data/archive/w.npz").write_bytes(b"otherwise")
    os.utime(efs / "data/archive/w.npz", (1, 1))
    os.utime(tmp_path / "archive/w.npz", (1, 1))
    done = sync(tree, "push", "--verify")
    assert done.returncode == 1
    assert "data/archive/w.npz" in done.stderr


@pytest.fixture
def fake_rsync(tmp_path):
    """Return a function that installs shell commands as rsync and returns a PATH that finds them."""
    fake = tmp_path / "bin"
    fake.mkdir()

    def install(commands):
        write_program(fake / "rsync", f"#!/bin/sh\n{commands}\n")
        return f"{fake}:{os.environ['PATH']}"
    return install


def test_a_comparison_that_fails_verifies_nothing(tree, fake_rsync):
    root, efs = tree
    path = fake_rsync("case \"$*\" in *--checksum*) echo 'rsync: read errors' >&2; exit 23 ;; esac")
    done = call("sync_efs.sh", "push", "--verify", "--unmounted", root=root, EFS_ROOT=str(efs), PATH=path)
    assert done.returncode == 2
    assert "verified" not in done.stdout
    assert f"error: {efs} could not be compared (rsync status 23)" in done.stderr


def test_a_full_disk_has_no_incomplete_file_and_the_copy_can_be_continued(tree, small_disk):
    root, _ = tree
    (root / "data/features/v.npz").write_bytes(os.urandom(300_000))
    # The target is on another file system than /, so it counts as mounted.
    done = call("sync_efs.sh", "push", root=root, EFS_ROOT=str(small_disk / "p"))
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert "is the target disk full" in done.stderr
    assert not (small_disk / "p/data/features/v.npz").exists()
    subprocess.run(["mount", "-o", "remount,size=2m", small_disk], check=True)
    assert call("sync_efs.sh", "push", "--verify", root=root, EFS_ROOT=str(small_disk / "p")).returncode == 0
    assert (small_disk / "p/data/features/v.npz").read_bytes() == (root / "data/features/v.npz").read_bytes()
    assert not list(small_disk.rglob(".rsync-partial"))


def test_a_copy_that_fails_is_one_error(tree, fake_rsync):
    root, efs = tree
    path = fake_rsync("echo 'rsync: write failed: No space left on device (28)' >&2\nexit 11")
    done = call("sync_efs.sh", "push", "--unmounted", root=root, EFS_ROOT=str(efs), PATH=path)
    assert done.returncode == 2
    assert "error: the copy to" in done.stderr
    assert "is the target disk full" in done.stderr
