"""Feature packs: reading, comparison with the packed folder, errors, and the command that creates them."""

import errno
import json
import os
import pickle

import numpy as np
import pytest

from common.errors import InputError
from datasets.features.pack import PackedFeatures, pack_folder
from datasets.features.source import FeatureSource
from tests.datasets.fakes import write_features
from tools.pack_features import main


@pytest.fixture
def folder(tmp_path):
    for name, T in (("b", 3), ("a.0_2.5", 2), ("c", 4)):
        write_features(tmp_path / f"clip/{name}.npz", T, 5, "features", "float16")
    return tmp_path / "clip"


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_pack_reads_as_its_folder(folder, dtype):
    pack = pack_folder(folder, dtype=dtype)
    assert pack == folder.with_name("clip.pack")
    assert PackedFeatures(pack).data.dtype == dtype
    plain, packed = FeatureSource(folder, "{vid}.npz", "features"), FeatureSource(pack, "{vid}.npz", "features")
    for vid in ("b", "a.0_2.5", "c"):
        assert packed.read(vid=vid).dtype == dtype
        np.testing.assert_array_equal(packed.read(vid=vid), plain.read(vid=vid))
    assert packed.differences() == []
    assert PackedFeatures(pack).differences(deep=True) == []
    assert sorted(p.name for p in folder.parent.iterdir()) == ["clip", "clip.pack"]


def test_changing_rows_in_memory_does_not_change_the_pack(folder):
    pack = pack_folder(folder)
    PackedFeatures(pack).read("b")[:] = 7
    assert not (PackedFeatures(pack).read("b") == 7).any()


def test_changed_sources_are_detected(folder):
    pack = PackedFeatures(pack_folder(folder))
    values = np.load(folder / "b.npz")["features"]
    np.savez(folder / "b.npz", features=values + 1)
    os.utime(folder / "b.npz", ns=(1, 1))
    write_features(folder / "d.npz", 1, 5, "features")
    for deep in (False, True):
        errors = pack.differences(deep)
        assert len(errors) == 2
        assert "lacks d, which" in str(errors[0])
        assert str(errors[1]).endswith(f"outdated, since files of {folder} have changed: b.npz; pack its folder again with "
                                       "tools/pack_features.py")
    (folder / "d.npz").unlink()
    pack_folder(folder)
    np.testing.assert_array_equal(PackedFeatures(pack.path).read("b"), values + 1)


def test_many_changed_and_missing_files_are_two_errors(tmp_path):
    for i in range(50):
        write_features(tmp_path / f"clip/v{i:02}.npz", 2, 5, "features")
    pack = PackedFeatures(pack_folder(tmp_path / "clip"))
    for i in range(50):
        os.utime(tmp_path / f"clip/v{i:02}.npz", ns=(1, 1))
        write_features(tmp_path / f"clip/w{i:02}.npz", 2, 5, "features")
    folder = tmp_path / "clip"
    assert [error.problem for error in pack.differences()] == [
        f"lacks w00, w01, w02 and 47 more, which {folder} contains",
        f"outdated, since files of {folder} have changed: v00.npz, v01.npz, v02.npz and 47 more"]
    assert len(pack.differences(deep=True)) == 50   # The values are equal.


def test_a_source_file_that_is_damaged_now_differs(folder, capsys):
    assert main([str(folder)]) == 0
    np.savez(folder / "b.npz", features=np.full((3, 5), np.nan))
    (folder / "c.npz").write_bytes(b"no")
    assert main(["--check", str(folder)]) == 1
    assert capsys.readouterr().err.count("have changed") == 2


def test_a_pack_without_its_folder_works(folder):
    pack = PackedFeatures(pack_folder(folder))
    folder.rename(folder.with_name("away"))
    assert pack.differences() == []
    assert pack.read("c").shape == (4, 5)


@pytest.mark.parametrize("spoil, message", [
    (lambda d: np.savez(d / "x.npz", features=np.zeros((2, 6))),
     "x.npz: width 6, but 3 other files in its folder have width 5"),
    (lambda d: np.savez(d / "x.npz", features=np.full((2, 5), np.nan)), "x.npz: contains NaN"),
    # The width of most files is the expected width of all files.
    (lambda d: np.savez(d / "a.0_2.5.npz", features=np.full((2, 6), 1e6)),
     r"^\S*a.0_2.5.npz: width 6, but 2 other files in its folder have width 5; extract both with the same encoder$"),
    (lambda d: np.savez(d / "x.npz", features=np.full((2, 5), 1e6)), "x.npz: contains 1e\\+06, too large for float16"),
    (lambda d: (d / "x.npz").write_bytes(b"no"), "x.npz: cannot be read"),
    (lambda d: np.save(d / "b.npy", np.zeros((2, 5))), "has the same name as b.npy|has the same name as b.npz")])
def test_invalid_files_are_named_and_no_pack_is_left(folder, spoil, message):
    spoil(folder)
    with pytest.raises(InputError, match=message):
        pack_folder(folder, dtype="float16")
    assert [p.name for p in folder.parent.iterdir()] == ["clip"]


def test_a_failed_run_keeps_the_old_pack(folder, monkeypatch):
    pack = pack_folder(folder)
    (folder / "b.npz").write_bytes(b"no")
    with pytest.raises(InputError):
        pack_folder(folder)
    assert PackedFeatures(pack).read("b").shape == (3, 5)


@pytest.mark.parametrize("damage", [
    lambda p: (p / "index.json").write_text("{"),
    lambda p: (p / "index.json").write_text("[]"),
    lambda p: (p / "index.json").write_text((p / "index.json").read_text().replace('"b": [2, 3', '"b": [2, 30')),
    lambda p: (p / "index.json").unlink(),
    lambda p: (p / "data.npy").write_bytes((p / "data.npy").read_bytes()[:100]),
    lambda p: (p / "index.json").write_text((p / "index.json").read_text().replace('"rows": 9', '"rows": 8')),
    lambda p: (p / "index.json").write_text(json.dumps({**json.loads((p / "index.json").read_text()), "version": 2})),
])
def test_damaged_packs_are_refused(folder, damage):
    pack = pack_folder(folder)
    damage(pack)
    message = "clip.pack: (not a feature pack|damaged feature pack|feature pack of another version)"
    with pytest.raises(InputError, match=message):
        PackedFeatures(pack)


def test_a_pack_is_pickled_as_its_path(folder):
    pack = PackedFeatures(pack_folder(folder))
    sent = pickle.dumps(pack)
    assert len(sent) < 500
    np.testing.assert_array_equal(pickle.loads(sent).read("b"), pack.read("b"))


def test_a_missing_entry_is_named(folder):
    with pytest.raises(InputError, match="clip.pack/z: is not in this feature pack; pack its folder again"):
        PackedFeatures(pack_folder(folder)).read("z")


def test_the_command_packs_and_checks(folder, capsys):
    assert main([str(folder)]) == 0
    assert "3 files, 9 rows of 5, float16" in capsys.readouterr().out
    assert main(["--check", str(folder)]) == 0
    assert "equals its folder" in capsys.readouterr().out
    np.savez(folder / "b.npz", features=np.zeros((3, 5)))
    assert main(["--check", str(folder)]) == 1
    assert "have changed: b.npz" in capsys.readouterr().err
    assert main([str(folder / "none")]) == 2
    assert "no such folder of features" in capsys.readouterr().err


def test_check_reports_every_difference(folder, capsys):
    """Report a removed file, a removed folder, and NaN in the pack with exit status 1."""
    assert main([str(folder)]) == 0
    assert main(["--check", str(folder)]) == 0
    pack = folder.with_name("clip.pack")
    (folder / "c.npz").unlink()
    # A training does not need the removed file, so only the complete check reports it.
    assert PackedFeatures(pack).differences() == []
    assert main(["--check", str(pack)]) == 1
    assert f"contains c, which is no longer in {folder}" in capsys.readouterr().err
    folder.rename(folder.with_name("away"))
    assert main(["--check", str(folder)]) == 1
    shown = capsys.readouterr()
    assert "clip does not exist, so it cannot be compared" in shown.err
    assert "equals" not in shown.out
    raw = bytearray((pack / "data.npy").read_bytes())
    raw[-2:] = np.float16(np.nan).tobytes()
    (pack / "data.npy").write_bytes(raw)
    assert main(["--check", str(folder)]) == 1
    assert "clip.pack: contains NaN or infinity" in capsys.readouterr().err


def test_the_dtype_of_the_files_is_kept_by_default(tmp_path, capsys):
    values = np.array([[1e-9, 0.1]], np.float32)
    (tmp_path / "v").mkdir()
    np.savez(tmp_path / "v/a.npz", features=values)
    assert main([str(tmp_path / "v")]) == 0
    assert "rounded" not in capsys.readouterr().out
    np.testing.assert_array_equal(PackedFeatures(tmp_path / "v.pack").read("a"), values)
    assert main([str(tmp_path / "v"), "--dtype", "float16"]) == 0
    assert "float16, 0.0 MB, rounded by at most 2.4e-05" in capsys.readouterr().out


def test_a_pack_larger_than_memory_is_read(folder, monkeypatch):
    pack, load = pack_folder(folder, dtype="float32"), np.load

    def full(path, mmap_mode=None, **more):
        if mmap_mode == "c":
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return load(path, mmap_mode=mmap_mode, **more)

    expected = PackedFeatures(pack).read("b").copy()
    monkeypatch.setattr(np, "load", full)
    found = PackedFeatures(pack).read("b")
    np.testing.assert_array_equal(found, expected)
    # torch warns about arrays that are not writable.
    assert found.flags.writeable


def test_a_folder_that_is_not_a_pack_is_not_replaced(folder):
    not_a_pack = folder.rename(folder.with_name("mine.pack"))
    message = "not a feature pack, so it is not replaced|the name of a pack must end in .pack"
    for out in (not_a_pack, not_a_pack / "b.npz"):
        with pytest.raises(InputError, match=message):
            pack_folder(not_a_pack, out=out)
    assert len(list(not_a_pack.iterdir())) == 3


def test_a_link_to_a_pack_is_kept(folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "clip.pack").symlink_to(tmp_path / "other/clip.pack")
    for _ in range(2):
        pack_folder(folder, out=tmp_path / "clip.pack")
    assert (tmp_path / "clip.pack").is_symlink()
    assert PackedFeatures(tmp_path / "clip.pack").read("c").shape == (4, 5)


def test_a_full_disk_is_one_error_and_keeps_the_old_pack(folder, monkeypatch):
    def raise_disk_full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    pack = pack_folder(folder)
    monkeypatch.setattr("datasets.features.pack.write_array_header_1_0", raise_disk_full)
    with pytest.raises(InputError, match="clip.pack: cannot be written .No space left on device"):
        pack_folder(folder)
    assert sorted(p.name for p in folder.parent.iterdir()) == ["clip", "clip.pack"]
    assert PackedFeatures(pack).read("b").shape == (3, 5)
    with pytest.raises(InputError, match="x.pack: cannot be written .No such file or directory"):
        pack_folder(folder, out=folder.parent / "none/x.pack")
