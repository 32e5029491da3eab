"""Test tools/summarize.py: the written files, queries, invalid input, and the embedded encoders."""

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from skimage import data

from pipelines import summarizer as module
from tests.paths import ROOT
from tools.summarize import OUTPUTS, main


def duration_s(path: Path) -> float:
    """Return the duration of a video from its frames, in seconds."""
    with av.open(str(path)) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
        return times[-1] - times[0] + 1 / float(container.streams.video[0].average_rate)


def run(media: Path, out: Path, *args: str, video: str = "valid.mp4", more: tuple[str, ...] = ()) -> dict:
    assert main([str(media / video), "--out", str(out), *args]) == 0
    assert sorted(p.name for p in out.iterdir()) == sorted([*OUTPUTS, *more])
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def test_the_cut_the_json_and_the_report_are_written(fast_encoders, media, tmp_path, capsys):
    found = run(media, tmp_path / "deep/out", "--text", "red")
    assert (found["moments"][0]["start"], found["moments"][0]["end"]) == (20, 28)
    (first, last), = [s["frame"] for s in found["summary"]]
    assert 200 <= first < last < 280
    assert last - first + 1 <= 60
    assert duration_s(tmp_path / "deep/out/summary.mp4") == pytest.approx((last - first + 1) / 10, abs=0.1)
    with av.open(str(tmp_path / "deep/out/summary.mp4")) as container:
        assert len(container.streams.audio) == 1
        middle = next(container.decode(video=0)).to_ndarray(format="rgb24").mean(axis=(0, 1))
        # The frame is from the red part of the video.
        assert middle[0] > 180
        assert middle[1:].max() < 70
    printed = capsys.readouterr()
    assert "0:20 -    0:28" in printed.out
    assert "red" in printed.out
    assert "zero-shot" in printed.out
    assert all(str(tmp_path / "deep/out" / name) in printed.out for name in OUTPUTS)
    assert "encoding video and audio" in printed.err


QUERIES = {
    "none": [], "two": ["red", "green"], "one long word": ["x" * 10_000],
    "10,000 characters": ["word " * 2000], "chinese": ["某人在走路"], "arabic": ["شخص يمشي"],
    "emoji": ["🏃‍♀️"], "markup": ["<b>red</b> & \"co\""],
}


@pytest.mark.parametrize("texts", QUERIES.values(), ids=QUERIES)
def test_any_text_is_a_valid_query(fast_encoders, media, tmp_path, texts, capsys):
    args = [a for text in texts for a in ("--text", text)]
    found = run(media, tmp_path / "out", *args)
    assert found["text"] == [t.strip() for t in texts]
    assert max(map(len, capsys.readouterr().out.splitlines())) < 300
    kept = sum(last - first + 1 for first, last in (s["frame"] for s in found["summary"]))
    assert 0 < kept <= 0.15 * 400


@pytest.mark.parametrize("video, kept", [("silent.mp4", 60), ("frame.mp4", 1)])
def test_videos_without_audio_or_with_one_frame_are_summarized(fast_encoders, media, tmp_path, video, kept):
    found = run(media, tmp_path / "out", "--text", "red", video=video)
    assert 0 < sum(b - a + 1 for a, b in (s["frame"] for s in found["summary"])) <= kept
    with av.open(str(tmp_path / "out/summary.mp4")) as container:
        assert not container.streams.audio
        assert next(container.decode(video=0)).width == 64


def test_subtitles_are_read(fast_encoders, media, tmp_path):
    found = run(media, tmp_path / "out", "--text", "green", "--subtitles", str(media / "talk.srt"),
                more=("summary.srt",))
    assert found["subtitles"] == 1
    assert found["moments"][0]["start"] <= 2
    assert found["moments"][0]["end"] >= 5


def test_a_second_run_replaces_the_files_of_the_first_only(fast_encoders, media, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for text in ("red", "grey"):
        assert main([str(media / "valid.mp4"), "--text", text, "--out", str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*OUTPUTS, "mine.txt"])
    assert json.loads((tmp_path / "summary.json").read_text())["text"] == ["grey"]


@pytest.mark.parametrize("video, args, message", [
    ("none.mp4", [], "none.mp4"),
    ("", [], "media"),
    ("text.mp4", [], "text.mp4"),
    ("empty.mp4", [], "empty.mp4"),
    ("truncated.mp4", [], "truncated.mp4"),
    ("audio_only.mp4", [], "audio_only.mp4"),
    ("valid.mp4", ["--text", ""], "query 1 is empty"),
    ("valid.mp4", ["--text", "a", "--text", " \n"], "query 2 is empty"),
    ("valid.mp4", ["--text", "caf\udce9"], "not valid UTF-8"),
    ("valid.mp4", ["--budget", "0"], "budget 0.0 is not a share"),
    ("valid.mp4", ["--budget", "15"], "budget 15.0 is not a share"),
    ("valid.mp4", ["--budget", "nan"], "budget nan is not a share"),
    ("valid.mp4", ["--budget", "a lot"], "budget 'a lot' is neither a share nor a time"),
    ("valid.mp4", ["--budget", "0s"], "is not a positive time"),
    ("valid.mp4", ["--mode", "short"], "mode 'short' does not exist"),
    ("valid.mp4", ["--mode", "shorts", "--budget", "60s"], "--budget 60s does not apply to shorts"),
    ("valid.mp4", ["--mode", "shorts", "--count", "0"], "0 shorts are too few"),
    ("valid.mp4", ["--mode", "shorts", "--length", "60"], "'60' is not a range of seconds"),
    ("valid.mp4", ["--count", "2"], "--count and --length apply to shorts, but the mode is summary"),
    ("valid.mp4", ["--export", "csv,xml"], "export format 'xml' does not exist; choose from csv, edl, otio"),
    ("valid.mp4", ["--export", " ,"], "export list ' ,' is empty"),
    ("valid.mp4", ["--aspect", "9-16"], "aspect '9-16' is not a ratio"),
    ("valid.mp4", ["--aspect", "1:9"], "aspect '1:9' is not a ratio from 1:4 to 4:1"),
    ("valid.mp4", ["--aspect", "9:16", "--copy"], "leave out --copy or --aspect"),
    ("old.mkv", ["--copy=always"], "its video codec (mpeg2video) cannot be copied to an mp4"),
    ("valid.mp4", ["--subtitles", "none.srt"], "none.srt"),
    ("valid.mp4", ["--subtitles", "noise.srt"], "noise.srt"),
    ("valid.mp4", ["--subtitles", "valid.mp4"], "valid.mp4"),
    ("valid.mp4", ["--checkpoint", "best.pth"], "needs the config"),
    ("valid.mp4", ["--config", "none.py"], "none.py"),
    ("valid.mp4", ["--config", "talk.srt"], "talk.srt"),
])
def test_invalid_input_is_one_error_and_writes_nothing(media, tmp_path, capsys, video, args, message):
    before = sorted(media.iterdir())
    args = [str(media / a) if a.endswith((".srt", ".py", ".mp4")) else a for a in args]
    assert main([str(media / video), "--out", str(tmp_path / "new/out"), *args]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []
    assert sorted(media.iterdir()) == before


def fail_if_called(*args):
    raise AssertionError("the summarizer was built")


def test_an_unwritable_folder_is_rejected_before_the_summarizer_is_built(media, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "build_summarizer", fail_if_called)
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file/deeper", Path("/proc/nowhere"), Path("/proc/nowhere.mp4")):
        assert main([str(media / "valid.mp4"), "--out", str(out)]) == 2
        printed = capsys.readouterr().err
        assert printed.startswith("error: ")
        assert str(out.with_suffix("")) in printed   # The folder of the other files.
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_the_input_is_never_replaced(media, tmp_path, capsys, monkeypatch, link):
    monkeypatch.setattr(module, "build_summarizer", fail_if_called)
    original = (media / "valid.mp4").read_bytes()
    source = tmp_path / ("summary.mp4" if link is None else "holiday.mp4")
    source.write_bytes(original)
    if link is not None:
        link(source, tmp_path / "summary.mp4")
    assert main([str(source), "--out", str(tmp_path)]) == 2
    assert "would replace the input" in capsys.readouterr().err
    assert source.read_bytes() == original


@pytest.mark.usefixtures("fast_encoders")
@pytest.mark.parametrize("error, status, message", [
    pytest.param(OSError(28, "No space left on device"), 2, "cannot be written, because the disk is full", id="full disk"),
    pytest.param(KeyboardInterrupt(), 130, "Interrupted. No files were written.", id="interrupt")])
def test_a_failure_while_writing_leaves_no_files(media, tmp_path, capsys, monkeypatch, error, status, message):
    def fail(path, value):
        raise error

    monkeypatch.setattr("pipelines.export.writer.write_json", fail)
    assert main([str(media / "valid.mp4"), "--text", "red", "--out", str(tmp_path / "out")]) == status
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_real_encoders_find_the_cat(tmp_path, monkeypatch):
    """Summarize a video of photographs with the embedded encoders; the cat is visible from 16 to 24 s."""
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for photo in (data.rocket(), data.coffee(), data.chelsea(), data.rocket(), data.coffee()):
            still = np.asarray(Image.fromarray(photo).resize((320, 240)))
            for _ in range(5 * 8):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(still, format="rgb24")))
        container.mux(stream.encode(None))
    monkeypatch.chdir(tmp_path)
    assert main(["film.mp4", "--text", "a cat", "--out", "out"]) == 0
    found = json.loads((tmp_path / "out/summary.json").read_text())
    best = found["moments"][0]
    assert 14 <= best["start"] < 20 < best["end"] <= 26
    kept = {frame // 5 for s in found["summary"] for frame in s["frame"]}
    assert kept
    assert kept <= set(range(14, 26))
    assert found["scored_by"]["config"] == "configs/zeroshot/offline.py"


def test_the_command_runs_in_any_folder_and_returns_an_exit_status(media, tmp_path):
    command = [sys.executable, str(ROOT / "tools/summarize.py"), str(media / "text.mp4"), "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
