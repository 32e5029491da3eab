"""Cuts that cannot be made: one clear error, and no file or the old one; odd names, which are no error."""

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
from pipelines.editing import reencode as module
from pipelines.editing.reencode import cut
from pipelines.media.frames import frames_from
from pipelines.media.probe import probe
from tests.media import clicks, write_numbered_video, write_video
from tests.paths import ROOT


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_numbered_video(tmp_path_factory.mktemp("cut") / "film.mp4")


@pytest.mark.parametrize("name", ["-i.mp4", "a:b.mp4", "quo'te\".mp4", "two\nlines.mp4", "%03d.mp4", os.fsdecode(b"\xff.mp4")])
def test_odd_names(tmp_path, monkeypatch, film, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(film, name)
    (tmp_path / "out").mkdir()
    cut(name, [(1, 2)], Path("out") / name)
    assert probe(Path("out") / name).n_frames == 25


@pytest.mark.parametrize(("intervals_s", "message"), [
    ([], "nothing to cut, no interval is given"),
    ([(2, 1)], "cannot cut from 2 to 1 s; a piece begins at 0 or later"),
    ([(1, 1)], "cannot cut from 1 to 1 s"),
    ([(-1, 1)], "cannot cut from -1 to 1 s"),
    ([(float("nan"), 1)], "cannot cut from nan to 1 s"),
    ([(0, float("nan"))], "cannot cut from 0 to nan s"),
    ([(0, 2), (1, 3)], "cannot cut from 1.0 s after 2.0 s; give the pieces in their order"),
    ([(4, 5)], r"cannot cut from 4.0 s, the video ends at 4.000 s"),
])
def test_bad_intervals(tmp_path, film, intervals_s, message):
    with pytest.raises(InputError, match=message) as caught:
        cut(film, intervals_s, tmp_path / "out.mp4")
    assert str(caught.value).startswith(f"{film}: ")
    assert list(tmp_path.iterdir()) == []


def test_what_lies_beyond_the_end_is_left_out(tmp_path, film):
    cut(film, [(3.5, float("inf"))], tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").duration_s == Fraction(1, 2)


def test_bad_outputs(tmp_path, film):
    source = Path(shutil.copy(film, tmp_path))
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to(source)
    for out, message in [(source, "is the video itself"), (tmp_path / "link.mp4", "is the video itself"),
                         (tmp_path / "folder.mp4", "a folder; name a file in it"),
                         (tmp_path / "out.avi", "give it a name that ends in .mp4"),
                         (source / "below" / "out.mp4", "cannot write to this folder")]:
        with pytest.raises(InputError, match=message):
            cut(source, [(0, 1)], out)
    assert source.read_bytes() == film.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.mp4", "folder.mp4", "link.mp4"]


@pytest.fixture(scope="module")
def heavy(tmp_path_factory):
    noise = np.random.default_rng(0).integers(0, 255, (128, 192, 3), dtype=np.uint8)
    return write_video(tmp_path_factory.mktemp("heavy") / "heavy.mp4", 50, size=(192, 128), audio=clicks([1], 2),
                       render=lambda i, _: np.roll(noise, 5 * i, axis=1), options=dict(crf="20"))


@pytest.mark.parametrize("share", [0, 0.02, 0.3, 0.9, 0.999])
def test_a_full_disk(tmp_path, heavy, share):
    """A limit on the size of files, as a full disk: one error that names the output, the old file stays."""
    intervals_s = [(0, 1), (1.2, 2)]
    cut(heavy, intervals_s, tmp_path / "whole.mp4")
    limit = int(share * (tmp_path / "whole.mp4").stat().st_size)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cut.mp4").write_text("the old one")
    script = ("import resource, sys\nfrom pipelines.editing.reencode import cut\nfrom common.errors import InputError\n"
              f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
              f"try:\n    cut(sys.argv[1], {intervals_s}, sys.argv[2])\n"
              "except InputError as err:\n    print(err)\n")
    run = subprocess.run([sys.executable, "-c", script, heavy, tmp_path / "out" / "cut.mp4"], cwd=ROOT, text=True,
                         capture_output=True, timeout=60)
    assert run.stdout.startswith(f"{tmp_path}/out/cut.mp4: could not be written (File too large); make room"), run
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["cut.mp4"]
    assert (tmp_path / "out" / "cut.mp4").read_text() == "the old one"


def test_nothing_is_left_when_it_is_stopped(tmp_path, film):
    def stop(share):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut(film, [(0, 4)], tmp_path / "out.mp4", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_no_video(tmp_path):
    (tmp_path / "a.mp4").write_text("no")
    with pytest.raises(InputError, match=r"a.mp4: not a video"):
        cut(tmp_path / "a.mp4", [(0, 1)], tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.timeout(60)
def test_a_piece_that_fails_before_its_first_picture_keeps_nobody_waiting(tmp_path, film, monkeypatch):
    """The next one has its first picture by then, and waits to be told what the cut looks like."""
    began = threading.Event()

    def frames(path, zero_s, start_s, opened=None):
        if start_s == 0:
            assert began.wait(30)
            time.sleep(0.2)
            raise InputError("the first piece")
        for time_s, frame in frames_from(path, zero_s, start_s, opened):
            if time_s >= start_s:
                began.set()
            yield time_s, frame

    monkeypatch.setattr(module, "frames_from", frames)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 2)
    with pytest.raises(InputError, match="the first piece"):
        cut(film, [(0, 1), (2, 3)], tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("aspect", [None, Fraction(9, 16)])
def test_stopping_does_not_wait_for_what_leads_to_the_next_piece(tmp_path, film, monkeypatch, aspect):
    """Such as all of a file that cannot be sought, or a look through a long piece for where its crop lies."""
    on_its_way = threading.Event()
    read = []

    def frames(path, zero_s, start_s, opened=None):
        for time_s, frame in frames_from(path, zero_s, start_s, opened):
            while start_s > 0 and len(read) < 1000:   # five seconds
                on_its_way.set()
                time.sleep(0.005)
                read.append(time_s)
                yield time_s, frame
            yield time_s, frame

    def stop(share):
        assert on_its_way.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "frames_from", frames)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 2)
    with pytest.raises(KeyboardInterrupt):
        cut(film, [(0, 1), (2, 3)], tmp_path / "out.mp4", progress=stop, aspect=aspect)
    assert len(read) < 500 and list(tmp_path.iterdir()) == []
