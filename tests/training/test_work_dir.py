"""The work dir of a run: earlier results are kept, trainings continue in their folder, and runs exclude each other."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.paths import ROOT
from tools.launch import main
from training.run_dir import RunDir
from training.work_dir import claimed_work_dir

from .tiny import config

# A program that locks a work dir as another run does, and holds the lock until its stdin is closed.
HOLDER = """
import sys
from pathlib import Path
from training.run_dir import RunDir
from training.work_dir import claimed_work_dir
with claimed_work_dir(Path(sys.argv[1]), numbered=False, has_results=RunDir.has_results):
    print("locked", flush=True)
    sys.stdin.read()
"""


def epochs_of(work):
    return torch.load(work / "last.pth")["meta"]["epoch"]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", autouse=True)
def no_curves():
    """Draw no curves, which takes most of the time of a short training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.launcher.draw_curves", lambda *args: None)
        yield


@pytest.fixture
def short(tiny, tmp_path):
    """Return a config of one epoch."""
    return config(tiny, tmp_path / "short.py", epochs=1)


@pytest.fixture(scope="module")
def first_run(tiny, tmp_path_factory, no_curves):
    """Train one epoch; return the content of the work dir."""
    folder = tmp_path_factory.mktemp("first")
    assert main([config(tiny, folder / "short.py", epochs=1), "--work-dir", str(folder / "w")]) == 0
    return contents(folder / "w")


@pytest.fixture
def work(first_run, tmp_path):
    """Return a work dir of a training of one epoch."""
    for path, data in first_run.items():
        (tmp_path / "w" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "w" / path).write_bytes(data)
    return tmp_path / "w"


def test_a_new_training_keeps_an_earlier_one_and_uses_the_next_free_number(tiny, work, tmp_path, capsys):
    before = contents(work)
    longer = config(tiny, tmp_path / "longer.py", epochs=2)
    for number in (1, 2):
        assert main([longer, "--work-dir", str(work), "--work-dir-file", str(tmp_path / "used")]) == 0
        assert (tmp_path / "used").read_text() == f"{work}_{number}\n"
        assert epochs_of(tmp_path / f"w_{number}") == 2
        assert (f"{work} contains the results of another run or is in use, so this run writes to {work}_{number}"
                in capsys.readouterr().out)
    assert contents(work) == before
    assert not (tmp_path / "w_3").exists()


@pytest.mark.parametrize("names, expected", [
    (["best.pth"], "w_1"), (["last.pth"], "w_1"), (["epoch_5.pth"], "w_1"), (["history.json"], "w_1"),
    (["metrics.json"], "w_1"),
    ([], "w"), (["slurm-7.log", "notes.txt", "weights.pth", "train.log", ".lock"], "w")], ids=str)
def test_results_of_a_run_are_kept_and_other_files_do_not_matter(tmp_path, names, expected):
    """Slurm's log is written before the training starts; other files belong to the user."""
    (tmp_path / "w").mkdir()
    for name in names:
        (tmp_path / "w" / name).touch()
    with claimed_work_dir(tmp_path / "w", numbered=True, has_results=RunDir.has_results) as run_dir:
        assert run_dir.path == tmp_path / expected


@pytest.mark.slow
def test_the_default_folder_is_numbered(short, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("short", "short_1"):
        assert main([short]) == 0
        assert epochs_of(tmp_path / "work_dirs" / name) == 1


def test_overwrite_replaces_the_results_but_not_other_files(tiny, work, tmp_path):
    for name in ("epoch_7.pth", "summary.mp4", "slurm-7.log"):
        (work / name).write_text("earlier")
    events = list((work / "tf_logs").iterdir())
    longer = config(tiny, tmp_path / "longer.py", epochs=2)
    assert main([longer, "--work-dir", str(work), "--overwrite"]) == 0
    assert epochs_of(work) == 2
    assert [e["epoch"] for e in json.loads((work / "history.json").read_text())["epochs"]] == [1, 2]
    assert not (work / "epoch_7.pth").exists()
    assert not any(path.exists() for path in events)
    assert (work / "summary.mp4").read_text() == (work / "slurm-7.log").read_text() == "earlier"
    assert not (tmp_path / "w_1").exists()


def test_overwrite_keeps_the_results_until_the_new_training_can_start(tiny, work, tmp_path, capsys):
    before = contents(work)
    invalid = config(tiny, tmp_path / "invalid.py", change=lambda text: text.replace("/text", "/txet"))
    assert main([invalid, "--work-dir", str(work), "--overwrite"]) == 2
    assert main([invalid, "--work-dir", str(work), "--overwrite", "--check"]) == 2
    assert contents(work) == before


def test_resume_continues_in_the_folder(tiny, work, tmp_path):
    longer = config(tiny, tmp_path / "longer.py", epochs=2)
    assert main([longer, "--work-dir", str(work), "--resume"]) == 0
    assert epochs_of(work) == 2
    assert not (tmp_path / "w_1").exists()


def test_resume_of_a_file_continues_in_its_folder(tiny, work, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    longer = config(tiny, tmp_path / "longer.py", epochs=2)
    assert main([longer, "--resume", "w/last.pth"]) == 0
    assert epochs_of(work) == 2
    assert not (tmp_path / "work_dirs").exists()


@pytest.mark.slow
def test_resume_of_a_file_keeps_an_earlier_training_in_another_folder(tiny, work, tmp_path):
    longer = config(tiny, tmp_path / "longer.py", epochs=2)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/best.pth").write_text("of another run")
    before = contents(work)
    assert main([longer, "--resume", str(work / "last.pth"), "--work-dir", str(tmp_path / "other")]) == 0
    assert epochs_of(tmp_path / "other_1") == 2
    assert (tmp_path / "other/best.pth").read_text() == "of another run"
    assert contents(work) == before


@pytest.mark.parametrize("change, options, difference", [
    (lambda text: text.replace("lr=3e-3", "lr=1e-3"), [], "stages[0].optimizer.lr (0.003, now 0.001)"),
    (lambda text: text.replace("p=0.1", "p=0.2"), [], "model.video_enc.p (0.1, now 0.2)"),
    (lambda text: text.replace("batch_size=4", "batch_size=2"), [], "train.loader.batch_size (4, now 2)"),
    (lambda text: text + "\namp = 'bf16'", [], "amp (None, now 'bf16')"),
    (lambda text: text, ["--seed", "4"], "seed (3, now 4)"),
], ids=["optimizer", "model", "batch size", "precision", "seed"])
def test_resume_with_another_config_names_the_difference(tiny, work, tmp_path, capsys, change, options, difference):
    before = contents(work)
    other = config(tiny, tmp_path / "other.py", epochs=2, change=change)
    assert main([other, "--work-dir", str(work), "--resume", *options]) == 2
    assert capsys.readouterr().err == (
        f"error: {work}/last.pth: was trained with another config, which differs in {difference}; specify that config, "
        "or leave out --resume to start a new training in another work dir\n")
    assert {path: data for path, data in contents(work).items() if path.name != ".lock"} == {
        path: data for path, data in before.items() if path.name != ".lock"}


@pytest.mark.slow
def test_resume_with_fewer_epochs_is_an_error(tiny, tmp_path, capsys):
    assert main([config(tiny, tmp_path / "two.py", epochs=2), "--work-dir", str(tmp_path / "w")]) == 0
    assert main([config(tiny, tmp_path / "one.py", epochs=1), "--work-dir", str(tmp_path / "w"), "--resume"]) == 2
    assert "last.pth: was trained for 2 epochs, but the config has 1" in capsys.readouterr().err


def with_numbered_checkpoints_only(text):
    return text + "\nkeep = dict(last=False, every=1)"


@pytest.mark.slow
def test_resume_uses_the_newest_numbered_checkpoint_if_there_is_no_last_one(tiny, tmp_path, capsys):
    for epochs in (1, 2):
        cfg = config(tiny, tmp_path / "c.py", epochs, with_numbered_checkpoints_only)
        assert main([cfg, "--work-dir", str(tmp_path / "w"), "--resume"]) == 0
    assert "Resumed from" in capsys.readouterr().out
    assert torch.load(tmp_path / "w/epoch_2.pth")["meta"]["epoch"] == 2
    (tmp_path / "w/epoch_10.pth").write_bytes((tmp_path / "w/epoch_2.pth").read_bytes())
    assert RunDir(tmp_path / "w").newest_checkpoint() == tmp_path / "w/epoch_10.pth"


def test_resume_never_replaces_a_finished_training_without_resumable_checkpoints(tiny, tmp_path, capsys):
    cfg = config(tiny, tmp_path / "c.py", 1, lambda text: text + "\nkeep = dict(last=False)")
    assert main([cfg, "--work-dir", str(tmp_path / "w")]) == 0
    before = (tmp_path / "w/best.pth").read_bytes()
    assert main([cfg, "--work-dir", str(tmp_path / "w"), "--resume"]) == 2
    assert "contains a finished training, but no last.pth to resume from" in capsys.readouterr().err
    assert (tmp_path / "w/best.pth").read_bytes() == before


def test_a_training_killed_before_its_first_last_checkpoint_restarts_in_its_folder(short, work, tmp_path):
    for name in ("last.pth", "history.json", "metrics.json"):
        (work / name).unlink()
    assert main([short, "--work-dir", str(work), "--resume", "--checkpoint", str(work / "best.pth")]) == 0
    assert epochs_of(work) == 1
    assert not (tmp_path / "w_1").exists()


@pytest.mark.slow
def test_an_earlier_epoch_is_not_resumed_if_its_best_weights_are_lost(tiny, tmp_path, capsys, monkeypatch):
    cfg = config(tiny, tmp_path / "c.py", 2, lambda text: text + "\nkeep = dict(last=True, every=1)")
    assert main([cfg, "--work-dir", str(tmp_path / "w")]) == 0
    best = torch.load(tmp_path / "w/best.pth")
    best["meta"]["epoch"] = 2
    torch.save(best, tmp_path / "w/best.pth")
    assert main([cfg, "--resume", str(tmp_path / "w/epoch_1.pth")]) == 2
    assert "epoch_1.pth: cannot be resumed, because its training continued, and best.pth is now of epoch 2" \
        in capsys.readouterr().err


def test_resume_without_the_best_weights_is_an_error_at_the_start(tiny, work, tmp_path, capsys):
    (work / "best.pth").unlink()
    longer = config(tiny, tmp_path / "longer.py", epochs=2)
    assert main([longer, "--work-dir", str(work), "--resume"]) == 2
    assert "best.pth: missing, but a resumed training needs the best weights so far" in capsys.readouterr().err
    assert epochs_of(work) == 1


@pytest.mark.parametrize("options", [["--overwrite", "--resume"], ["--overwrite", "--eval", "--checkpoint", "x.pth"]])
def test_contradicting_options_are_reported(short, tmp_path, capsys, options):
    assert main([short, "--work-dir", str(tmp_path / "w"), *options]) == 2
    assert f"--overwrite and {options[1]} are mutually exclusive" in capsys.readouterr().err


def test_a_newer_numbered_training_is_mentioned_when_an_older_one_is_resumed(short, work, capsys):
    assert main([short, "--work-dir", str(work)]) == 0
    capsys.readouterr()
    assert main([short, "--work-dir", str(work), "--resume"]) == 0
    assert f"{work}_1 contains a newer training, which continues with --resume --work-dir {work}_1" \
        in capsys.readouterr().out


def test_an_interruption_names_the_folder_that_was_used(short, work, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.launcher._train", interrupt)
    assert main([short, "--work-dir", str(work)]) == 130
    assert capsys.readouterr().err.endswith(
        f"Run the same command with --resume --work-dir {work}_1 to continue after the last complete epoch.\n")


def test_an_evaluation_keeps_the_metrics_of_a_training(short, work, tmp_path):
    """Evaluating the training's own checkpoint updates its metrics; another checkpoint gets another folder."""
    before = contents(work)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/best.pth").write_bytes((work / "best.pth").read_bytes())
    for _ in range(2):   # A repeated evaluation, e.g. of a requeued job, uses the same folder.
        assert main([short, "--eval", "--checkpoint", str(tmp_path / "foreign/best.pth"), "--work-dir", str(work)]) == 0
    assert contents(work) == before
    assert (tmp_path / "w_1/metrics.json").read_bytes() == (work / "metrics.json").read_bytes()
    assert not (tmp_path / "w_2").exists()
    assert main([short, "--eval", "--checkpoint", str(work / "best.pth"), "--work-dir", str(work)]) == 0
    assert not (tmp_path / "w_2").exists()


@pytest.fixture
def held(tmp_path):
    """Return a folder that another process has locked."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "held"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert holder.stdout.readline() == "locked\n"
    yield tmp_path / "held", holder
    holder.stdin.close()
    holder.wait()


@pytest.mark.slow
def test_a_folder_in_use_is_left_to_the_other_run(short, held, tmp_path, capsys):
    folder, holder = held
    for option in ("--resume", "--overwrite"):
        assert main([short, "--work-dir", str(folder), option]) == 2
        assert f"another run is using this work dir (process {holder.pid} on " in capsys.readouterr().err
    assert main([short, "--work-dir", str(folder)]) == 0
    assert epochs_of(tmp_path / "held_1") == 1
    holder.stdin.close()
    holder.wait()
    assert main([short, "--work-dir", str(folder), "--resume"]) == 0   # The lock ends with its process.
    assert epochs_of(folder) == 1


def claim(path, barrier, queue):
    barrier.wait()
    with claimed_work_dir(path, numbered=True, has_results=RunDir.has_results) as run_dir:
        queue.put(run_dir.path.name)
        barrier.wait()


def test_runs_that_start_at_the_same_time_use_different_folders(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(4), context.Queue()
    processes = [context.Process(target=claim, args=(tmp_path / "w", barrier, queue)) for _ in range(4)]
    for process in processes:
        process.start()
    names = sorted(queue.get(timeout=30) for _ in processes)
    for process in processes:
        process.join()
    assert names == ["w", "w_1", "w_2", "w_3"]
    assert not list(tmp_path.iterdir())   # Nothing was written, so the folders are removed.


@pytest.mark.slow
def test_all_processes_of_a_run_use_the_same_folder(tiny, work, tmp_path):
    before = contents(work)
    cfg = config(tiny, tmp_path / "c.py", epochs=1)
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
                           "tools/launch.py", cfg, "--work-dir", work], cwd=ROOT, capture_output=True, text=True,
                          check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    assert contents(work) == before
    assert len(torch.load(tmp_path / "w_1/last.pth")["random"]) == 2
    assert not (tmp_path / "w_2").exists()


@pytest.mark.parametrize("requested, expected", [("a/b", "a/b_1"), ("a/b/", "a/b_1"), ("a/b.v2", "a/b.v2_1")])
def test_the_number_is_appended_to_the_name(tmp_path, requested, expected):
    (tmp_path / requested).mkdir(parents=True)
    (tmp_path / requested / "best.pth").touch()
    with claimed_work_dir(tmp_path / requested, numbered=True, has_results=RunDir.has_results) as run_dir:
        assert run_dir.path == tmp_path / expected


def test_the_current_folder_gets_a_numbered_sibling(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/best.pth").touch()
    monkeypatch.chdir(tmp_path / "here")
    with claimed_work_dir(Path("."), numbered=True, has_results=RunDir.has_results) as run_dir:
        assert run_dir.path.resolve() == tmp_path / "here_1"
