"""Test the files, messages and exit status of tools/extract_features.py."""

import json

import numpy as np
import pytest

from models import encoders as package
from tests.pipelines.fakes import color_encoders, write_video
from tools.extract_features import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Write three videos and a file that is not a video, and use color encoders with clips of 4 s."""
    encoders = color_encoders()
    encoders.visual.clip_len_s = 4
    monkeypatch.setattr(package, "build_encoders", lambda cfg: encoders)
    (tmp_path / "v").mkdir()
    for name in "abc":
        write_video(tmp_path / "v" / f"{name}.mp4", ["red"] * 8)
    (tmp_path / "v" / "bad.mp4").write_text("no video")
    return tmp_path


def names(folder):
    return sorted(p.name for p in (folder / "f").rglob("*.np?"))


def test_readable_videos_are_extracted_and_the_others_reported(folder, capsys):
    assert main([str(folder / "v"), "--out", str(folder / "f")]) == 1
    printed = capsys.readouterr().err
    assert "videos: 3 extracted, 0 already done, 1 failed" in printed
    assert "bad.mp4: is not a readable video" in printed.splitlines()[-1]
    assert names(folder) == ["a.npz", "b.npz", "c.npz"]
    stored = np.load(folder / "f" / "color" / "a.npz")["features"]
    assert stored.dtype == np.float16
    assert stored.shape == (2, 3)
    (folder / "v" / "bad.mp4").unlink()
    (folder / "f" / "color" / "b.npz").write_bytes(b"PK")
    assert main([str(folder / "v"), "--out", str(folder / "f")]) == 0
    printed = capsys.readouterr().err
    assert "videos: 1 extracted, 2 already done, 0 failed" in printed
    assert "videos: computed again, since their features were damaged: 1 (b.mp4)" in printed
    assert main([str(folder / "v"), "--out", str(folder / "f"), "--dtype", "float32"]) == 0
    printed = capsys.readouterr().err
    assert "videos: 3 extracted, 0 already done, 0 failed" in printed
    assert "since their data type was float16, not float32: 3 (a.mp4, b.mp4, c.mp4)" in printed
    assert np.load(folder / "f/color/c.npz")["features"].dtype == np.float32


def test_a_file_name_that_begins_with_a_dash(folder, monkeypatch):
    monkeypatch.chdir(folder / "v")
    (folder / "v" / "a.mp4").rename(folder / "v" / "-a.mp4")
    assert main(["-a.mp4", "b.mp4", "--out", str(folder / "f")]) == 0
    assert names(folder) == ["-a.npz", "b.npz"]


def test_shards_and_key_frames(folder):
    (folder / "v" / "bad.mp4").unlink()
    for shard, found in (("2/2", ["b.npz"]), ("1/2", ["a.npz", "b.npz", "c.npz"])):
        args = [str(folder / "v" / "*.mp4"), "--out", str(folder / "f"), "--shard", shard, "--sampling", "keyframes"]
        assert main(args) == 0
        assert names(folder) == found


def test_labels_are_checked_against_the_encoders_clip_length(folder, capsys):
    (folder / "v" / "bad.mp4").unlink()
    label = dict(qid=1, query="red", vid="a", duration=8, relevant_windows=[[0, 4]], relevant_clip_ids=[0],
                 saliency_scores=[[4, 4, 4]])
    args = [str(folder / "v" / "a.mp4"), "--out", str(folder / "f"), "--labels", str(folder / "l.jsonl")]
    (folder / "l.jsonl").write_text(json.dumps(label) + "\n")
    assert main(args) == 0
    assert names(folder) == ["a.npz", "qid1.npz"]
    # Clip 3 exists only in clips of 2 s.
    (folder / "l.jsonl").write_text(json.dumps(label | dict(relevant_clip_ids=[3])) + "\n")
    assert main(args) == 2
    assert "line 1" in capsys.readouterr().err


def test_queries_without_videos(folder, capsys):
    (folder / "l.jsonl").write_text(json.dumps(dict(qid=7, query="red", vid="none", duration=8)) + "\n")
    assert main(["--labels", str(folder / "l.jsonl"), "--out", str(folder / "f")]) == 0
    assert names(folder) == ["qid7.npz"]
    assert main(["--out", str(folder / "g")]) == 2
    assert "nothing to extract; specify videos, --labels or both" in capsys.readouterr().err
    assert not (folder / "g").exists()


@pytest.mark.parametrize(("more", "with_audio"), [
    pytest.param([], True, id="default"),
    pytest.param(["--no-audio"], False, id="no-audio"),
    pytest.param(["--no-sound"], False, id="deprecated-alias")])
def test_audio_is_skipped_on_request(folder, monkeypatch, more, with_audio):
    built = []
    monkeypatch.setattr(package, "build_encoders", lambda cfg: built.append(cfg) or color_encoders())
    assert main([str(folder / "v/a.mp4"), "--out", str(folder / "f"), *more]) == 0
    assert (built[0]["audio"] is not None) == with_audio


@pytest.mark.parametrize("args, message", [
    (["--shard", "3/2"], "--shard 3/2 is not a shard; give I/N"), (["--encoders", "none.py"], "no such config"),
    (["--encoders", "configs/_base_/runtime.py"], "has no 'encoders'")])
def test_invalid_options(folder, capsys, args, message):
    assert main([str(folder / "v"), "--out", str(folder / "f"), *args]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "f").exists()


def test_interruption(folder, monkeypatch, capsys):
    def stop(*_args, **_keys):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.features.extract.encode_video", stop)
    assert main([str(folder / "v"), "--out", str(folder / "f")]) == 130
    assert "Interrupted; finished files are kept" in capsys.readouterr().err
