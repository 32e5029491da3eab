"""A full disk during a training is one error, the last checkpoint stays intact, and the training can be resumed."""

import errno
import json
import resource
import subprocess
import sys

import pytest
import torch

from tests.paths import ROOT
from tools.launch import main
from training import checkpoints
from training.hooks.best_checkpoint_hook import BestCheckpointHook
from training.hooks.step_hook import StepHook

from .test_trust import equal
from .tiny import config

DISK_BYTES = 3 * 2**20
# A program that limits the size of files to the number of bytes in its first argument, and runs tools/launch.py.
LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from tools.launch import main
raise SystemExit(main(sys.argv[1:]))
"""


@pytest.fixture
def disk(tmp_path):
    """Mount a small file system."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("processes may not mount file systems on this machine")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)   # The log of a failed training is still open.


@pytest.fixture(scope="module", autouse=True)
def no_curves():
    """Draw no curves, which takes most of the time of a short training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.launcher.draw_curves", lambda *args: None)
        yield


@pytest.fixture(scope="module")
def uninterrupted(tiny, no_curves):
    cfg = config(tiny, tiny / "full_disk.py", epochs=3)
    assert main([cfg, "--work-dir", str(tiny / "uninterrupted")]) == 0
    return cfg, tiny / "uninterrupted"


def fill(folder):
    """Fill a file system to the last byte."""
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as err:
            assert err.errno == errno.ENOSPC


def before_call(owner, name, condition, action):
    """Return a method that calls an action before the original method if a condition holds for the engine."""
    original = getattr(owner, name)

    def method(self, engine):
        if condition(engine):
            action()
        return original(self, engine)
    return method


@pytest.mark.parametrize("owner, name, epoch", [
    pytest.param(StepHook, "after_train_iter", 1, id="in a step", marks=pytest.mark.slow),
    pytest.param(BestCheckpointHook, "after_val_epoch", 2, id="in a validation")])
def test_a_full_disk_is_one_error_and_the_training_resumes(uninterrupted, disk, monkeypatch, capfd, owner, name, epoch):
    cfg, expected = uninterrupted
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, before_call(owner, name, lambda engine: engine.epoch == epoch,
                                               lambda: fill(disk)))
        assert main([cfg, "--work-dir", str(disk / "w")]) == 2
    error = capfd.readouterr().err
    assert error.startswith(f"error: {disk}/w")
    assert error.endswith("cannot be written, because the disk is full; free some space, and continue with --resume; "
                          "the last complete checkpoint is intact\n")
    assert error.count("\n") == 1
    assert torch.load(disk / "w/last.pth")["meta"]["epoch"] == 1
    assert not list((disk / "w").glob(".*.pth"))
    (disk / "filler").unlink()
    assert main([cfg, "--work-dir", str(disk / "w"), "--resume"]) == 0
    assert equal(*(torch.load(work / "last.pth") for work in (disk / "w", expected)))
    for name in ("history.json", "metrics.json"):
        assert (disk / "w" / name).read_text() == (expected / name).read_text()
    assert [json.loads(line)["epoch"] for line in (disk / "w/log.jsonl").read_text().splitlines()] == [
        1, 1, 2, 2, 3, 3]


def test_a_disk_that_is_full_at_the_start_is_one_error(uninterrupted, disk, capfd):
    cfg, _ = uninterrupted
    (disk / "w").mkdir()
    fill(disk)
    assert main([cfg, "--work-dir", str(disk / "w")]) == 2
    error = capfd.readouterr().err
    assert "because the disk is full; free some space" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("number, problem", [
    (errno.ENOSPC, "the disk is full; free some space"),
    (errno.EDQUOT, "the disk quota is used up; free some space"),
    (errno.EFBIG, "it would exceed the maximum file size; raise the limit (ulimit -f)"),
    (errno.EROFS, "the file system is read-only; use another folder")])
def test_each_reason_has_its_own_message(uninterrupted, tmp_path, monkeypatch, capfd, number, problem):
    cfg, _ = uninterrupted
    written = []

    def write(self, data):
        written.append(len(data))
        if sum(written) > 100_000:
            self.error = OSError(number, "reason")
            raise self.error
        return len(data)

    monkeypatch.setattr(checkpoints.ErrorRecordingFile, "write", write)
    assert main([cfg, "--work-dir", str(tmp_path / "w")]) == 2
    error = capfd.readouterr().err
    assert f"pth: cannot be written, because {problem}, and continue with --resume" in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_limit_of_the_file_size_is_one_error(uninterrupted, tmp_path):
    cfg, _ = uninterrupted
    done = subprocess.run([sys.executable, "-c", LIMITED, "20000", cfg, "--work-dir", tmp_path / "w"], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {tmp_path}/w/best.pth: cannot be written, because it would exceed the maximum file size; raise the "
        "limit (ulimit -f), and continue with --resume; the last complete checkpoint is intact\n")
    assert not (tmp_path / "w/best.pth").exists()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_failed_write_keeps_the_earlier_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "last.pth"
    checkpoints.write_checkpoint(path, dict(epoch=1))

    def write(self, data):
        self.error = OSError(errno.ENOSPC, "No space left on device")
        raise self.error

    monkeypatch.setattr(checkpoints.ErrorRecordingFile, "write", write)
    with pytest.raises(OSError, match="No space left on device") as err:
        checkpoints.write_checkpoint(path, dict(epoch=2, weights=torch.zeros(10)))
    assert err.value.filename == str(path)
    assert torch.load(path) == dict(epoch=1)
    assert [p.name for p in tmp_path.iterdir()] == ["last.pth"]
