import json

import numpy as np
import pytest

from models import encoders as package
from tests.pipelines.fakes import color_encoders, write_video
from tools.extract_features import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three videos and a bad one, with encoders that see colours in clips of four seconds."""
    eyes = color_encoders()
    eyes.visual.clip_len_s = 4
    monkeypatch.setattr(package, "build_encoders", lambda cfg: eyes)
    (tmp_path / "v").mkdir()
    for name in "abc":
        write_video(tmp_path / "v" / f"{name}.mp4", ["red"] * 8)
    (tmp_path / "v" / "bad.mp4").write_text("no video")
    return tmp_path


def names(folder):
    return sorted(p.name for p in (folder / "f").rglob("*.np?"))


def test_all_that_can_be_is_extracted_and_the_status_tells(folder, capsys):
    assert main([str(folder / "v"), "--out", str(folder / "f")]) == 1
    printed = capsys.readouterr().err
    assert "3 videos extracted, 0 were there, 1 failed" in printed and "bad.mp4: not a video" in printed.splitlines()[-1]
    assert names(folder) == ["a.npz", "b.npz", "c.npz"]
    stored = np.load(folder / "f" / "color" / "a.npz")["features"]
    assert stored.dtype == np.float16 and stored.shape == (2, 3)
    (folder / "v" / "bad.mp4").unlink()
    (folder / "f" / "color" / "b.npz").write_bytes(b"PK")
    assert main([str(folder / "v"), "--out", str(folder / "f"), "--dtype", "float32"]) == 0
    assert "1 videos extracted, 2 were there, 0 failed" in capsys.readouterr().err


def test_a_name_that_begins_with_a_dash(folder, monkeypatch):
    monkeypatch.chdir(folder / "v")
    (folder / "v" / "a.mp4").rename(folder / "v" / "-a.mp4")
    assert main(["-a.mp4", "b.mp4", "--out", str(folder / "f")]) == 0 and names(folder) == ["-a.npz", "b.npz"]


def test_shards_and_key_frames(folder):
    (folder / "v" / "bad.mp4").unlink()
    for shard, found in (("2/2", ["b.npz"]), ("1/2", ["a.npz", "b.npz", "c.npz"])):
        args = [str(folder / "v" / "*.mp4"), "--out", str(folder / "f"), "--shard", shard, "--sampling", "keyframes"]
        assert main(args) == 0 and names(folder) == found


def test_labels_are_checked_by_the_encoders_clips(folder, capsys):
    (folder / "v" / "bad.mp4").unlink()
    label = dict(qid=1, query="red", vid="a", duration=8, relevant_windows=[[0, 4]], relevant_clip_ids=[0],
                 saliency_scores=[[4, 4, 4]])
    args = [str(folder / "v" / "a.mp4"), "--out", str(folder / "f"), "--labels", str(folder / "l.jsonl")]
    (folder / "l.jsonl").write_text(json.dumps(label) + "\n")
    assert main(args) == 0 and names(folder) == ["a.npz", "qid1.npz"]
    (folder / "l.jsonl").write_text(json.dumps(label | dict(relevant_clip_ids=[3])) + "\n")   # there in clips of 2 s
    assert main(args) == 2 and "line 1" in capsys.readouterr().err


def test_text_alone_needs_no_video(folder, capsys):
    (folder / "l.jsonl").write_text(json.dumps(dict(qid=7, query="red", vid="none", duration=8)) + "\n")
    assert main(["--labels", str(folder / "l.jsonl"), "--out", str(folder / "f")]) == 0 and names(folder) == ["qid7.npz"]
    assert main(["--out", str(folder / "g")]) == 2 and "nothing to extract; name videos, --labels or both" in capsys.readouterr().err
    assert not (folder / "g").exists()


@pytest.mark.parametrize("more, ears", [([], True), (["--no-sound"], False)])
def test_sound_is_left_out_when_asked(folder, monkeypatch, more, ears):
    built = []
    monkeypatch.setattr(package, "build_encoders", lambda cfg: built.append(cfg) or color_encoders())
    assert main([str(folder / "v/a.mp4"), "--out", str(folder / "f"), *more]) == 0
    assert (built[0]["audio"] is not None) == ears


@pytest.mark.parametrize("args, message", [
    (["--shard", "3/2"], "--shard 3/2: give PART/PARTS"), (["--encoders", "none.py"], "no such config"),
    (["--encoders", "configs/_base_/runtime.py"], "has no 'encoders'")])
def test_mistakes_are_named(folder, capsys, args, message):
    assert main([str(folder / "v"), "--out", str(folder / "f"), *args]) == 2
    assert message in capsys.readouterr().err and not (folder / "f").exists()


def test_stopped_it_says_so(folder, monkeypatch, capsys):
    def stop(*_args, **_keys):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.features.extract.encode_video", stop)
    assert main([str(folder / "v"), "--out", str(folder / "f")]) == 130
    assert "what is done stays done" in capsys.readouterr().err
