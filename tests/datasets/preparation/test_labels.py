"""Creation of a training set from rated clips, by command."""

import json
import shutil

import numpy as np
import pytest

from datasets import HotstarHighlight865
from datasets.annotations.qvhighlights import read_labels
from tests.audio.fakes import small_disk
from tests.datasets.fakes import rated_clips, write_features
from tools.process_feature_and_label import main

HEADER = "clip,video,start,end,text,rating\n"


@pytest.fixture
def studio(tmp_path):
    """Write four videos of three clips, with visual features per clip and audio features per video."""
    lines, text = [], iter("abcdefghijkl")
    for v in range(4):
        for i in range(3):
            lines.append(f"v{v}_{i},v{v},{20 * i},{20 * i + 20},{next(text) if i else ''},{1 + (v + 2 * i) % 5}")
            write_features(tmp_path / f"f/clip_b32/v{v}_{i}.npz", 10, 4, "features", "float16")
        write_features(tmp_path / f"f/panns/v{v}.npy", 30, 3)
        (tmp_path / "s").mkdir(exist_ok=True)
        (tmp_path / f"s/v{v}.srt").write_text("1\n00:00:01,000 --> 00:00:03,000\nsaid\nearly\n\n"
                                              "2\n00:00:30,000 --> 00:00:31,000\nlater\n")
    (tmp_path / "r.csv").write_text(HEADER + "\n".join(lines))
    return tmp_path


def args(studio, *more):
    return [str(studio / "r.csv"), "--visual", str(studio / "f/clip_b32"), "--audio", str(studio / "f/panns"),
            "--subtitles", str(studio / "s"), "--out", str(studio / "out"), "--val-share", "0.25", *more]


@pytest.mark.parametrize("options", [pytest.param([], id="symlinks"), pytest.param(["--copy"], id="copies")])
def test_the_created_dataset_can_be_trained_on(studio, capsys, options):
    assert main(args(studio, *options)) == 0
    out = studio / "out"
    splits = {name: read_labels(out / f"{name}.jsonl") for name in ("train", "val")}
    assert (len(splits["train"]), len(splits["val"])) == (9, 3)
    assert (out / "clip_b32/v0_0.npz").is_symlink() == (not options)
    labels = {label["vid"]: label for split in splits.values() for label in split}
    np.testing.assert_array_equal(np.load(out / "panns/v2_1.npy"),
                                  np.load(studio / "f/panns/v2.npy")[10:20].astype(np.float16))
    assert labels["v2_1"]["query"] == "e"
    assert labels["v2_1"]["qid"] == 8
    assert labels["v2_0"]["query"] == "said early"
    report = json.loads((out / "report.json").read_text())
    assert report["train"]["clips"] == 9
    assert report["dropped"] == 0
    assert "report.json" in capsys.readouterr().out
    for label in splits["val"]:
        write_features(out / f"text/qid{label['qid']}.npz", 3, 5, "last_hidden_state")
    dataset = HotstarHighlight865(str(out / "val.jsonl"), str(out / "clip_b32"), str(out / "text"), str(out / "panns"),
                                  video_dims=4)
    assert dataset.check() == []
    item = {key: value.data for key, value in dataset[0].items()}
    assert item["video"].shape == (10, 4)
    assert item["audio"].shape == (10, 3)
    # Further runs replace the dataset.
    assert main(args(studio, *options)) == 0
    assert main(args(studio, "--copy")) == 0
    assert not any(p.is_symlink() for p in out.rglob("*"))
    np.testing.assert_array_equal(np.load(out / "clip_b32/v0_0.npz")["features"],
                                  np.load(studio / "f/clip_b32/v0_0.npz")["features"])
    assert (studio / "f/clip_b32/v0_0.npz").is_file()
    assert not (studio / "f/clip_b32/v0_0.npz").is_symlink()


def test_unusable_clips_are_listed_and_nothing_is_written(studio, capsys):
    (studio / "f/clip_b32/v1_1.npz").unlink()
    write_features(studio / "f/panns/v3.npy", 15, 3)
    write_features(studio / "f/clip_b32/v0_0.npz", 5, 4, "features")
    (studio / "s/v2.srt").unlink()
    # Clip v1_2 has audio features under its own name and does not need those of its video.
    write_features(studio / "f/panns/v1_2.npy", 10, 3)
    (studio / "f/panns/v1.npy").unlink()
    assert main(args(studio)) == 2
    error = capsys.readouterr().err
    for line in ("line 6: clip v1_1: no features in", "line 12: clip v3_1: past the end of its video",
                 "line 2: clip v0_0: features in", "line 8: clip v2_0: no text", "line 13: clip v3_2: past the end",
                 f"line 5: clip v1_0: no features in {studio}/f/panns", "or exclude them with --drop"):
        assert line in error
    assert "v1_2" not in error
    assert not (studio / "out").exists()
    assert main(args(studio, "--drop")) == 0
    report = json.loads((studio / "out/report.json").read_text())
    assert report["dropped"] == 6
    assert report["dropped_clips"]["v2_0"] == "no text"
    assert report["train"]["clips"] + report["val"]["clips"] == 6


def test_a_clip_after_the_end_of_its_video_is_not_an_empty_file(studio, capsys):
    # The audio features of v3 end at row 20, where v3_2 begins.
    write_features(studio / "f/panns/v3.npy", 20, 3)
    (studio / "r.csv").write_text((studio / "r.csv").read_text().replace("v3_2,v3,40,60", "v3_2,v3,40,44"))
    write_features(studio / "f/clip_b32/v3_2.npz", 2, 4, "features", "float16")
    assert main(args(studio)) == 2
    assert "line 13: clip v3_2: past the end of its video" in capsys.readouterr().err


def test_broken_feature_files_are_listed_and_dropped(studio, capsys):
    (studio / "f/clip_b32/v1_1.npz").write_bytes(b"PK no zip")
    np.save(studio / "f/panns/v3.npy", np.full((30, 3), np.nan))
    assert main(args(studio)) == 2
    error = capsys.readouterr().err
    assert "line 6: clip v1_1: " in error
    assert "v1_1.npz: cannot be read as a feature file" in error
    assert all(f"line {line}: clip v3_{line - 11}: {studio}/f/panns/v3.npy: contains NaN" in error
               for line in (11, 12, 13))
    assert not (studio / "out").exists()
    assert main(args(studio, "--drop")) == 0
    report = json.loads((studio / "out/report.json").read_text())
    assert sorted(report["dropped_clips"]) == ["v1_1", "v3_0", "v3_1", "v3_2"]


def test_a_full_disk_keeps_the_old_labels(studio, capsys):
    def labels():
        return {name: (studio / "out" / name).read_text() for name in ("train.jsonl", "val.jsonl", "report.json")}

    assert main(args(studio)) == 0
    before = labels()
    shutil.move(studio / "out", studio / "old")
    with small_disk(studio / "out", 64):
        for path in (studio / "old").iterdir():
            if path.is_file():
                shutil.copy(path, studio / "out")
        assert main(args(studio, "--seed", "5", "--copy")) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ")
        assert "No space left on device" in error
        assert labels() == before
        assert not [p for p in (studio / "out").rglob(".*")]


@pytest.mark.parametrize("change, message", [
    (["--clip-len", "0"], "clip length 0.0 s is out of range"),
    (["--clip-len", "nan"], "clip length nan s is out of range"),
    (["--seed", "-1"], "seed -1 is negative"),
    (["--positive-over", "nan"], "threshold nan is out of range; ratings are from 1 to 5"),
    (["--positive-over", "5"], "threshold 5.0 is out of range"),
    (["--val-share", "nan"], "validation share nan is out of range"),
    (["--visual", "none"], "none: no such folder of features"),
    (["--subtitles", "none"], "none: no such folder of subtitles"),
    (["--val-share", "0"], "validation share 0.0 is out of range"),
    (["--positive-over", "x"], "invalid float"),
])
def test_wrong_options_are_named(studio, capsys, change, message):
    try:
        status = main([*args(studio), *change])
    except SystemExit as exit_:
        status = exit_.code
    assert status == 2
    assert not (studio / "out").exists()
    assert message in capsys.readouterr().err


def test_865_clips_take_no_time(tmp_path, capsys):
    clips = rated_clips(40, 43)[:865]
    assert len(clips) == 865
    (tmp_path / "r.csv").write_text(HEADER + "\n".join(
        f"{c.clip},{c.video},{c.start_s},{c.end_s},t,{c.rating}" for c in clips))
    for video in {c.video for c in clips}:
        (tmp_path / "f").mkdir(exist_ok=True)
        np.savez(tmp_path / f"f/{video}.npz", features=np.zeros((75 * 45, 2), np.float16))
    assert main([str(tmp_path / "r.csv"), "--visual", str(tmp_path / "f"), "--out", str(tmp_path / "o")]) == 0
    assert sum(len(read_labels(tmp_path / f"o/{s}.jsonl")) for s in ("train", "val")) == 865
