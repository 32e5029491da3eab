"""The atomic output directory: all files or none, no leftovers, no lost inputs."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from common.errors import InputError
from pipelines.export.output_dir import atomic_output_dir
from tests.paths import ROOT


def contents(folder) -> dict[str, str]:
    """Return the text of each file in a folder."""
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_appear_together_at_the_end(tmp_path):
    out = tmp_path / "a/b"
    with atomic_output_dir(out, ["one", "two"]) as folder:
        (folder / "one").write_text("1")
        (folder / "two").write_text("2")
        assert not (out / "one").exists()
    assert contents(out) == {"one": "1", "two": "2"}


@pytest.mark.parametrize("error", [
    pytest.param(InputError(None, "x"), id="bad-input"), pytest.param(KeyboardInterrupt(), id="interrupt"),
    pytest.param(OSError("disk full"), id="disk-full")])
def test_a_failure_changes_nothing(tmp_path, error):
    old = tmp_path / "old"
    old.mkdir()
    (old / "one").write_text("yesterday's")
    (old / "mine").write_text("mine")
    for out in (old, tmp_path / "new/deep"):
        with pytest.raises(type(error)), atomic_output_dir(out, ["one"]) as folder:
            (folder / "one").write_text("half")
            raise error
    assert contents(old) == {"one": "yesterday's", "mine": "mine"}
    assert not (tmp_path / "new").exists()


def test_a_failure_keeps_files_that_others_wrote_into_the_new_folder(tmp_path):
    with pytest.raises(InputError), atomic_output_dir(tmp_path / "new", ["one"]):
        (tmp_path / "new/mine").write_text("mine")
        raise InputError(None, "x")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mine"]


# A process that writes a file and then waits to be killed.
HALF_DONE = """
import sys, time
from pipelines.export.output_dir import atomic_output_dir
with atomic_output_dir(sys.argv[1], ["one"]) as folder:
    (folder / "one").write_text("half")
    print(folder.name, flush=True)
    time.sleep(60)
"""


def test_leftovers_of_a_killed_process_are_removed_and_those_of_a_running_one_are_kept(tmp_path):
    (tmp_path / "one").write_text("yesterday's")
    processes = [subprocess.Popen([sys.executable, "-c", HALF_DONE, str(tmp_path)], stdout=subprocess.PIPE, text=True,
                                  cwd=ROOT) for _ in range(2)]
    killed, running = (process.stdout.readline().strip() for process in processes)
    try:
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        assert {path.name for path in tmp_path.iterdir()} == {"one", killed, running}
        assert (tmp_path / "one").read_text() == "yesterday's"
        with atomic_output_dir(tmp_path, ["one"]) as folder:
            (folder / "one").write_text("today's")
        assert {path.name for path in tmp_path.iterdir()} == {"one", running}
        assert (tmp_path / "one").read_text() == "today's"
        assert (tmp_path / running / "one").read_text() == "half"
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()


def test_earlier_files_are_replaced_and_others_are_kept(tmp_path):
    (tmp_path / "one").write_text("old")
    (tmp_path / "mine").write_text("mine")
    with atomic_output_dir(tmp_path, ["one"]) as folder:
        (folder / "one").write_text("new")
    assert contents(tmp_path) == {"one": "new", "mine": "mine"}


def test_outdated_files_are_removed(tmp_path):
    for name in ("one", "old", "mine"):
        (tmp_path / name).write_text("earlier")
    with atomic_output_dir(tmp_path, ["one", "two", "three"], outdated=["one", "old", "gone"]) as folder:
        (folder / "two").write_text("2")
    assert {path.name for path in tmp_path.iterdir()} == {"two", "mine"}


@pytest.mark.parametrize("link", [
    pytest.param(None, id="same-path"), pytest.param(os.symlink, id="symlink"), pytest.param(os.link, id="hard-link")])
def test_an_input_is_never_replaced(tmp_path, link):
    source = tmp_path / "summary.mp4" if link is None else tmp_path / "holiday.mp4"
    source.write_text("video")
    if link is not None:
        link(source, tmp_path / "summary.mp4")
    rejected = pytest.raises(InputError, match="would replace the input")
    with rejected, atomic_output_dir(tmp_path, ["summary.mp4"], [source]):
        pytest.fail("must be rejected before the block")
    assert source.read_text() == "video"


def test_an_input_is_never_removed_as_outdated(tmp_path):
    source = tmp_path / "mine"
    source.write_text("video")
    rejected = pytest.raises(InputError, match="would replace the input")
    with rejected, atomic_output_dir(tmp_path, ["one"], [source], outdated=["mine"]):
        pytest.fail("must be rejected before the block")
    assert source.read_text() == "video"


@pytest.mark.parametrize("out", [
    pytest.param("file", id="a-file"), pytest.param("file/below", id="below-a-file"),
    pytest.param("/proc/nowhere", id="not-writable"), pytest.param("x" * 300, id="name-too-long")])
def test_a_folder_that_cannot_be_written_is_refused_before_the_block(tmp_path, out):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot write"), atomic_output_dir(tmp_path / out, ["one"]):
        pytest.fail("must be rejected before the block")
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_with_the_name_of_a_file_is_refused_before_the_block(tmp_path):
    (tmp_path / "folder/one").mkdir(parents=True)
    rejected = pytest.raises(InputError, match="is a folder, but a file is written there")
    with rejected, atomic_output_dir(tmp_path / "folder", ["one"]):
        pytest.fail("must be rejected before the block")


def test_errors_name_the_final_path_of_a_temporary_file(tmp_path):
    with pytest.raises(InputError) as caught, atomic_output_dir(tmp_path, ["one"]) as folder:
        raise InputError(folder / "one", "no room")
    assert str(caught.value) == f"{tmp_path}/one: no room"
    assert caught.value.path == tmp_path / "one"


def test_errors_name_the_final_path_of_an_absolute_path_in_a_relative_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^out/cut.mp4: could not be written$"), atomic_output_dir("out", []) as folder:
        raise InputError((folder / "cut.mp4").absolute(), "could not be written")
    assert not (tmp_path / "out").exists()


def test_errors_of_the_system_name_the_final_path(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught, atomic_output_dir(tmp_path, []) as folder:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "report.html"))
    assert caught.value.filename == str(tmp_path / "report.html")


def test_errors_about_other_files_are_unchanged(tmp_path):
    error = InputError(tmp_path / "input.mp4", "cannot be decoded", "convert it")
    with pytest.raises(InputError) as caught, atomic_output_dir(tmp_path / "out", ["one"]):
        raise error
    assert caught.value is error


def test_a_leftover_that_cannot_be_opened_is_ignored(tmp_path):
    # A dangling link simulates a folder that its process removes concurrently.
    (tmp_path / ".unfinished-gone").symlink_to(tmp_path / "gone")
    with atomic_output_dir(tmp_path, ["one"]) as folder:
        (folder / "one").write_text("1")
    assert (tmp_path / "one").read_text() == "1"
