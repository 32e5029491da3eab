"""pipelines/editing/reencode.py: a cut that fails raises one clear error and leaves no file, or the old one."""

import os
import shutil
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from pipelines.editing import reencode
from pipelines.editing.reencode import cut
from pipelines.media.frames import frames_from
from pipelines.media.probe import probe
from tests.media import clicks, write_numbered_video, write_video
from tests.paths import ROOT


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Return the path of a video of 4 s."""
    return write_numbered_video(tmp_path_factory.mktemp("cut") / "video.mp4")


@pytest.mark.parametrize("name", [
    pytest.param("-i.mp4", id="like-an-option"),
    pytest.param("a:b.mp4", id="like-a-protocol"),
    pytest.param("quo'te\".mp4", id="quotes"),
    pytest.param("two\nlines.mp4", id="line-break"),
    pytest.param("%03d.mp4", id="like-a-pattern"),
    pytest.param(os.fsdecode(b"\xff.mp4"), id="invalid-utf-8"),
])
def test_unusual_file_names(tmp_path, monkeypatch, video, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(video, name)
    (tmp_path / "out").mkdir()
    cut(name, [(1, 2)], Path("out") / name)
    assert probe(Path("out") / name).n_frames == 25


@pytest.mark.parametrize(("intervals_s", "message"), [
    pytest.param([], "no interval to cut; give at least one", id="none"),
    pytest.param([(2, 1)], "cannot cut from 2 to 1 s; start a piece at 0 s or later, and end it after its start",
                 id="end-before-start"),
    pytest.param([(1, 1)], "cannot cut from 1 to 1 s; start a piece at 0 s or later, and end it after its start",
                 id="empty"),
    pytest.param([(-1, 1)], "cannot cut from -1 to 1 s; start a piece at 0 s or later, and end it after its start",
                 id="negative"),
    pytest.param([(float("nan"), 1)],
                 "cannot cut from nan to 1 s; start a piece at 0 s or later, and end it after its start", id="nan-start"),
    pytest.param([(0, float("nan"))],
                 "cannot cut from 0 to nan s; start a piece at 0 s or later, and end it after its start", id="nan-end"),
    pytest.param([(0, 2), (1, 3)], "cannot cut from 1.0 s after 2.0 s; give disjoint pieces in ascending order",
                 id="overlapping"),
    pytest.param([(4, 5)], "cannot cut from 4.0 s, because the video ends at 4.000 s; start the piece before the end",
                 id="beyond-the-end"),
])
def test_invalid_intervals(tmp_path, video, intervals_s, message):
    with pytest.raises(InputError) as caught:
        cut(video, intervals_s, tmp_path / "out.mp4")
    assert str(caught.value) == f"{video}: {message}"
    assert list(tmp_path.iterdir()) == []


def test_an_interval_is_clipped_to_the_end_of_the_video(tmp_path, video):
    cut(video, [(3.5, float("inf"))], tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").duration_s == Fraction(1, 2)


def test_invalid_outputs(tmp_path, video):
    source = Path(shutil.copy(video, tmp_path))
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to(source)
    for out, message in [(source, "is the video itself; choose another output file"),
                         (tmp_path / "link.mp4", "is the video itself; choose another output file"),
                         (tmp_path / "folder.mp4", "is a folder; specify a file in it"),
                         (tmp_path / "out.avi", "is not an .mp4 file; choose a name that ends in .mp4"),
                         (source / "below" / "out.mp4", "cannot write to this folder")]:
        with pytest.raises(InputError, match=message):
            cut(source, [(0, 1)], out)
    assert source.read_bytes() == video.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.mp4", "link.mp4", "video.mp4"]


@pytest.fixture(scope="module")
def large_video(tmp_path_factory):
    """Return the path of a video of moving noise, whose cut is larger than the buffers of the writer."""
    noise = np.random.default_rng(0).integers(0, 255, (128, 192, 3), dtype=np.uint8)
    return write_video(tmp_path_factory.mktemp("large") / "large.mp4", 50, size=(192, 128), audio=clicks([1], 2),
                       render=lambda i, _: np.roll(noise, 5 * i, axis=1), options=dict(crf="20"))


@pytest.mark.parametrize("share", [0, 0.3, 0.999])
def test_full_disk(tmp_path, large_video, share):
    """Simulate a full disk by a limit of the file size, which is a share of the required size."""
    intervals_s = [(0, 1), (1.2, 2)]
    cut(large_video, intervals_s, tmp_path / "complete.mp4")
    limit = int(share * (tmp_path / "complete.mp4").stat().st_size)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cut.mp4").write_text("the old one")
    script = ("import resource, sys\nfrom pipelines.editing.reencode import cut\nfrom common.errors import InputError\n"
              f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
              f"try:\n    cut(sys.argv[1], {intervals_s}, sys.argv[2])\n"
              "except InputError as err:\n    print(err)\n")
    run = subprocess.run([sys.executable, "-c", script, large_video, tmp_path / "out" / "cut.mp4"], cwd=ROOT,
                         text=True, capture_output=True, timeout=60)
    assert run.stdout.startswith(f"{tmp_path}/out/cut.mp4: cannot be written, because it would exceed the maximum "
                                 "file size; raise the limit (ulimit -f), and run the command again"), run
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["cut.mp4"]
    assert (tmp_path / "out" / "cut.mp4").read_text() == "the old one"


def test_an_interrupted_cut_leaves_no_file(tmp_path, video):
    def interrupt(share):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut(video, [(0, 4)], tmp_path / "out.mp4", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_a_video(tmp_path):
    (tmp_path / "a.mp4").write_text("no")
    with pytest.raises(InputError, match=r"a.mp4: is not a readable video"):
        cut(tmp_path / "a.mp4", [(0, 1)], tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.timeout(60)
def test_an_error_before_the_first_frame_does_not_block_the_other_pieces(tmp_path, video, monkeypatch):
    """The second piece has decoded a frame by then, and waits for the first frame of the first piece."""
    second_piece_decoded = threading.Event()

    def frames(path, zero_s, start_s, opened=None):
        if start_s == 0:
            assert second_piece_decoded.wait(30)
            time.sleep(0.2)
            raise InputError(None, "the first piece")
        for time_s, frame in frames_from(path, zero_s, start_s, opened):
            if time_s >= start_s:
                second_piece_decoded.set()
            yield time_s, frame

    monkeypatch.setattr(reencode, "frames_from", frames)
    monkeypatch.setattr(reencode.os, "cpu_count", lambda: 2)
    with pytest.raises(InputError, match="the first piece"):
        cut(video, [(0, 1), (2, 3)], tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("aspect", [
    pytest.param(None, id="seeking-the-next-piece"),
    pytest.param(Fraction(9, 16), id="planning-the-camera-of-the-next-piece"),
])
def test_an_interruption_does_not_wait_for_the_frames_before_the_next_piece(tmp_path, video, monkeypatch, aspect):
    """The second piece reads slowly, as a file that cannot be sought or as a long piece whose camera is planned."""
    reading = threading.Event()
    frames_read = []

    def frames(path, zero_s, start_s, opened=None):
        for time_s, frame in frames_from(path, zero_s, start_s, opened):
            while start_s > 0 and len(frames_read) < 1000:   # Takes five seconds.
                reading.set()
                time.sleep(0.005)
                frames_read.append(time_s)
                yield time_s, frame
            yield time_s, frame

    def interrupt(share):
        assert reading.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr(reencode, "frames_from", frames)
    monkeypatch.setattr(reencode.os, "cpu_count", lambda: 2)
    with pytest.raises(KeyboardInterrupt):
        cut(video, [(0, 1), (2, 3)], tmp_path / "out.mp4", progress=interrupt, aspect=aspect)
    assert len(frames_read) < 500
    assert list(tmp_path.iterdir()) == []
