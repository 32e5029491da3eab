"""Files appear complete or not at all."""

import json
import os

import pytest

from common import locks
from common.errors import InputError
from common.files import atomic_path, make_folder, remove_leftovers, write_json


def test_a_failure_keeps_the_old_file_and_leaves_no_other(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_temporary_file_has_the_folder_and_the_suffix_of_its_target(tmp_path):
    with atomic_path(tmp_path / "new" / "a.mp4") as temporary:
        assert temporary.suffix == ".mp4"
        assert temporary.parent == tmp_path / "new"
        temporary.write_bytes(b"complete")
    assert (tmp_path / "new" / "a.mp4").read_bytes() == b"complete"


def test_an_atomic_file_has_the_permissions_of_other_files(tmp_path):
    with atomic_path(tmp_path / "a.mp4") as temporary:
        temporary.write_bytes(b"complete")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "a.mp4").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_file_is_replaced_and_never_rewritten(tmp_path):
    """Whoever has opened the old file, or linked to it, still reads its complete content."""
    target, link = tmp_path / "a.txt", tmp_path / "link.txt"
    target.write_text("old")
    os.link(target, link)
    with target.open() as opened:
        with atomic_path(target) as temporary:
            temporary.write_text("new")
            inode = temporary.stat().st_ino
        assert opened.read() == "old"
    assert link.read_text() == "old"
    assert target.read_text() == "new"
    assert target.stat().st_ino == inode


def test_a_temporary_file_that_was_deleted_before_it_was_locked_is_created_again(tmp_path, monkeypatch):
    """Another process may take the new file for a leftover until it is locked."""
    try_lock, deleted = locks.try_lock, []

    def delete_first(handle, wait=False):
        if not deleted:
            deleted.extend(os.listdir(tmp_path))
            remove_leftovers(tmp_path)
        return try_lock(handle, wait)

    monkeypatch.setattr(locks, "try_lock", delete_first)
    with atomic_path(tmp_path / "a.npz") as temporary:
        assert len(deleted) == 1
        assert os.listdir(tmp_path) == [temporary.name] != deleted
        remove_leftovers(tmp_path)   # It is locked.
        assert temporary.is_file()
        temporary.write_text("complete")
    assert (tmp_path / "a.npz").read_text() == "complete"
    assert os.listdir(tmp_path) == ["a.npz"]


def test_only_leftovers_of_dead_processes_are_deleted(tmp_path):
    (tmp_path / ".gone.unfinished-abcdefgh.npz").touch()   # Not locked, as after its process was killed.
    (tmp_path / ".mine.settings.npz").touch()
    (tmp_path / ".a.unfinished-folder").mkdir()
    with atomic_path(tmp_path / "a.npz") as temporary:
        remove_leftovers(tmp_path)
        assert sorted(os.listdir(tmp_path)) == sorted([temporary.name, ".a.unfinished-folder", ".mine.settings.npz"])
        temporary.write_text("complete")
    assert (tmp_path / "a.npz").read_text() == "complete"


def test_removing_leftovers_of_a_missing_folder_does_nothing(tmp_path):
    remove_leftovers(tmp_path / "none")


def test_json_refuses_nan_and_writes_nothing(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "m.json", dict(a=float("nan")))
    assert not list(tmp_path.iterdir())


def test_json_is_written_in_utf8(tmp_path):
    write_json(tmp_path / "m.json", dict(a="ü"))
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8")) == dict(a="ü")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/out: cannot write to this folder"):
        make_folder(tmp_path / "file" / "out")


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(InputError, match="is a folder; specify a file"):
        write_json(tmp_path, {})
    assert not list(tmp_path.iterdir())
