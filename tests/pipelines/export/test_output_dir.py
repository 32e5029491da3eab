import os
import signal
import subprocess
import sys

import pytest

from common.errors import InputError
from pipelines.export.output_dir import atomic_output_dir
from tests.paths import ROOT


def test_files_appear_together_at_the_end(tmp_path):
    out = tmp_path / "a/b"
    with atomic_output_dir(out, ["one", "two"]) as folder:
        (folder / "one").write_text("1")
        (folder / "two").write_text("2")
        assert not (out / "one").exists()
    assert {p.name: p.read_text() for p in out.iterdir()} == {"one": "1", "two": "2"}


@pytest.mark.parametrize("error", [InputError("x"), KeyboardInterrupt(), OSError("disk full")])
def test_a_failure_leaves_everything_as_it_was(tmp_path, error):
    old = tmp_path / "old"
    old.mkdir()
    (old / "one").write_text("yesterday's")
    (old / "mine").write_text("mine")
    for out in (old, tmp_path / "new/deep"):
        with pytest.raises(type(error)), atomic_output_dir(out, ["one"]) as folder:
            (folder / "one").write_text("half")
            raise error
    assert {p.name: p.read_text() for p in old.iterdir()} == {"one": "yesterday's", "mine": "mine"}
    assert not (tmp_path / "new").exists()


def test_a_failure_keeps_what_somebody_else_put_into_the_new_folder(tmp_path):
    with pytest.raises(InputError), atomic_output_dir(tmp_path / "new", ["one"]):
        (tmp_path / "new/mine").write_text("mine")
        raise InputError("x")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["mine"]


HALF_DONE = """
import sys, time
from pipelines.export.output_dir import atomic_output_dir
with atomic_output_dir(sys.argv[1], ["one"]) as folder:
    (folder / "one").write_text("half")
    print(folder.name, flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_goes_and_a_living_ones_stays(tmp_path):
    (tmp_path / "one").write_text("yesterday's")
    processes = [subprocess.Popen([sys.executable, "-c", HALF_DONE, str(tmp_path)], stdout=subprocess.PIPE, text=True,
                                  cwd=ROOT) for _ in range(2)]
    killed, living = (process.stdout.readline().strip() for process in processes)
    try:
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        assert {p.name for p in tmp_path.iterdir()} == {"one", killed, living}
        assert (tmp_path / "one").read_text() == "yesterday's"
        with atomic_output_dir(tmp_path, ["one"]) as folder:
            (folder / "one").write_text("today's")
        assert {p.name for p in tmp_path.iterdir()} == {"one", living} and (tmp_path / "one").read_text() == "today's"
        assert (tmp_path / living / "one").read_text() == "half"
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()


def test_earlier_files_are_replaced_and_others_stay(tmp_path):
    (tmp_path / "one").write_text("old")
    (tmp_path / "mine").write_text("mine")
    with atomic_output_dir(tmp_path, ["one"]) as folder:
        (folder / "one").write_text("new")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"one": "new", "mine": "mine"}


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_never_replaces_an_input(tmp_path, link):
    source = tmp_path / "summary.mp4" if link is None else tmp_path / "holiday.mp4"
    source.write_text("video")
    if link is not None:
        link(source, tmp_path / "summary.mp4")
    refused = pytest.raises(InputError, match="would replace the input")
    with refused, atomic_output_dir(tmp_path, ["summary.mp4"], [source]):
        pytest.fail("must refuse before the work")
    assert source.read_text() == "video"


def test_refuses_a_place_that_cannot_be_written_before_the_work(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder/one").mkdir(parents=True)
    for out in (tmp_path / "file", tmp_path / "file/below", "/proc/nowhere", tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match="cannot write"), atomic_output_dir(out, ["one"]):
            pytest.fail("must refuse before the work")
    with pytest.raises(InputError, match="a folder, where a file"), atomic_output_dir(tmp_path / "folder", ["one"]):
        pytest.fail("must refuse before the work")
    assert (tmp_path / "file").read_text() == "x"


def test_errors_name_the_files_by_their_place_and_outdated_ones_go(tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path}/one: no room$"), atomic_output_dir(tmp_path, ["one"]) as folder:
        raise InputError(f"{folder / 'one'}: no room")
    for name in ("one", "old", "mine"):
        (tmp_path / name).write_text("earlier")
    with atomic_output_dir(tmp_path, ["one", "two", "three"], outdated=["one", "old", "gone"]) as folder:
        (folder / "two").write_text("2")
    assert {p.name for p in tmp_path.iterdir()} == {"two", "mine"}
    source = tmp_path / "mine"
    with pytest.raises(InputError, match="would replace the input"), atomic_output_dir(tmp_path, ["one"], [source], outdated=["mine"]):
        pytest.fail("must refuse before the work")


def test_what_cannot_be_opened_is_left_alone(tmp_path):
    (tmp_path / ".unfinished-gone").symlink_to(tmp_path / "gone")   # as one that its process has just removed
    with atomic_output_dir(tmp_path, ["one"]) as folder:
        (folder / "one").write_text("1")
    assert (tmp_path / "one").read_text() == "1"
