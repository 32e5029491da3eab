"""Test killed processes, full disks, and files without read permission."""

import os
import signal
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from common.files import TEMPORARY_MARKER
from pipelines.editing.reencode import cut
from pipelines.editing.stream_copy import copy_cut, plan_copy
from pipelines.features.cache import cache_key, encode_cached
from pipelines.features.extract import extract_queries, extract_videos
from pipelines.media.probe import probe
from tests.media import clicks, noisy_frame
from tests.media import write_video as write_small_video
from tests.paths import ROOT

from .fakes import color_encoders, write_video

LABELS = [dict(qid=1, query="red"), dict(qid=2, query="blue")]
NAMES = ("first", "second " + "x" * 45)
KILLED_WRITERS = """
import os, sys, time
import numpy as np
from pathlib import Path
from pipelines.features.cache import encode_cached
from pipelines.features.extract import extract_queries, extract_videos
from tests.pipelines.fakes import color_encoders

folder, savez, files = Path(sys.argv[1]), np.savez_compressed, []

def write_partially(file, **arrays):
    # Complete the first of two files; the cache writes only one.
    files.append(file)
    if len(files) == 1 and target != "cache":
        return savez(file, **arrays)
    file.write(b"PK")
    file.flush()
    print(os.getpid(), flush=True)
    time.sleep(600)

np.savez_compressed = np.savez = write_partially
videos = [folder / f"{name}.mp4" for name in sys.argv[2:]]
for target in ("videos", "queries", "cache"):
    if os.fork() == 0:
        if target == "videos":
            extract_videos(videos, color_encoders(), folder / "f")
        elif target == "queries":
            extract_queries([dict(qid=1, query="red"), dict(qid=2, query="blue")], color_encoders(), folder / "f")
        else:
            encode_cached(videos[0], color_encoders(), folder / "cache", progress=False)
"""


def written_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for part in ("f", "cache") for path in (folder / part).rglob("*")
                  if path.is_file())


@pytest.mark.slow
def test_runs_that_were_killed_while_writing_are_resumed(tmp_path):
    videos = [write_video(tmp_path / f"{name}.mp4", ["red", "blue"]) for name in NAMES]
    command = [sys.executable, "-c", KILLED_WRITERS, tmp_path, *NAMES]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        for _ in range(3):
            os.kill(int(run.stdout.readline()), signal.SIGKILL)
    # Temporary files remain of a video, of a query, and of the cache.
    assert [TEMPORARY_MARKER in name for name in written_files(tmp_path)].count(True) == 3
    complete = tmp_path / "f/color/first.npz"
    before = complete.stat().st_mtime_ns

    of_videos = extract_videos(videos, color_encoders(), tmp_path / "f")
    assert (list(of_videos.written), of_videos.n_kept, of_videos.failed) == ([videos[1].name], 1, {})
    of_queries = extract_queries(LABELS, color_encoders(), tmp_path / "f")
    assert (list(of_queries.written), of_queries.n_kept) == (["qid2"], 1)
    encode_cached(videos[0], color_encoders(), tmp_path / "cache", progress=False)
    names = written_files(tmp_path)
    assert complete.stat().st_mtime_ns == before
    assert [name for name in names if name.startswith("f/")] == [
        "f/color/first.npz", f"f/color/{NAMES[1]}.npz", "f/color_text/qid1.npz", "f/color_text/qid2.npz"]
    assert len(names) == 5
    assert not any(TEMPORARY_MARKER in name for name in names)
    for name in names:
        with np.load(tmp_path / name) as data:
            assert all(np.isfinite(data[key]).all() for key in data.files if data[key].dtype.kind == "f")


@pytest.fixture
def full_disk(tmp_path):
    """Mount a file system with 8 kB left."""
    folder = tmp_path / "full"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system is not permitted here")
    (folder / "others").write_bytes(bytes(56 * 1024))
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return write_small_video(tmp_path_factory.mktemp("large") / "large.mp4", 50, render=noisy_frame,
                             audio=clicks([1], 2), options=dict(crf="1", preset="ultrafast", g="10"))


def error_without_permission(use) -> str:
    """Return the message of the error that `use` raises for a file that its process may not read.

    A child process drops the privileges of the superuser, to whom permissions do not apply.
    """
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        path = write_small_video(Path(name) / "a.mp4", 3)
        path.chmod(0)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                if os.geteuid() == 0:
                    os.setuid(65534)
                use(path)
            except InputError as err:
                os.write(write, str(err).encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as pipe:
            message = pipe.read()
        os.waitpid(child, 0)
        return message.replace(name, "")


@pytest.mark.parametrize("use", [probe, lambda path: cut(path, [(0, 1)], "/dev/null/out.mp4"),
                                 lambda path: cache_key(path, color_encoders(), "exact")])
def test_a_file_without_read_permission(use):
    message = error_without_permission(use)
    assert message.startswith("/a.mp4: ")
    assert any(part in message for part in ("cannot be read (permission denied); change its permissions",
                                            "check its name and permissions"))


def test_a_cut_on_a_full_disk(full_disk, large):
    pieces = [(Fraction(0), Fraction(1)), (Fraction(6, 5), Fraction(2))]
    for write in (lambda out: cut(large, pieces, out), lambda out: copy_cut(large, plan_copy(large, pieces), out)):
        with pytest.raises(InputError, match=r"full/cut\.mp4: cannot be written, because the disk is full; free some space"):
            write(full_disk / "cut.mp4")
        assert [path.name for path in full_disk.iterdir()] == ["others"]


def test_features_on_a_full_disk(full_disk, large):
    (full_disk / "others").write_bytes(bytes(64 * 1024))
    message = r"full: cannot be written \(No space left on device\); free some space and run the command again"
    with pytest.raises(InputError, match=message):
        extract_videos([large], color_encoders(), full_disk)
    assert [path.name for path in full_disk.rglob("*") if path.is_file()] == ["others"]


def test_a_cache_on_a_full_disk_is_not_used(full_disk, large, capsys):
    encoders = color_encoders()
    encoders.visual.clip_len_s = 0.02
    video = encode_cached(large, encoders, full_disk)
    assert video.n_clips == 100
    assert f"not cached in {full_disk} (No space left on device)" in capsys.readouterr().err
    assert [path.name for path in full_disk.iterdir()] == ["others"]
