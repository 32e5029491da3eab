import json
import shutil
from collections import Counter

import numpy as np
import pytest
import torch

from common.errors import InputError
from datasets import HotstarHighlight865
from datasets.annotations.qvhighlights import read_labels
from datasets.eval.rated_clips import eval_by_video, eval_clips
from datasets.preparation.ratings import RatedClip, make_label, read_ratings, split_by_video
from tests.audio.fakes import small_disk
from tests.datasets.fakes import write_features
from tools.process_feature_and_label import main

HEADER = "clip,video,start,end,text,rating\n"


def table(tmp_path, text, encoding="utf-8"):
    (tmp_path / "r.csv").write_text(text, encoding=encoding)
    return tmp_path / "r.csv"


@pytest.mark.parametrize("text, encoding", [
    (HEADER + 'e1_0,e1,0,150,"a six, at last",3.5\ne1_1,e1,0:02:30,5:00,,2\n', "utf-8"),
    (HEADER + 'e1_0,e1,0,150,"a six, at last",3.5\r\ne1_1,e1,0:02:30,5:00,,2\r\n', "utf-8-sig"),
    ("Clip ID;Source Video;Start;End;Description;Rating A;Rating B\ne1_0;e1;0;150;a six, at last;3;4\n\ne1_1;e1;150;300,0;;2;\n", "utf-8-sig"),
    ("id\tepisode\tstart_s\tend_s\tsubtitle\trating\ne1_0\te1\t0\t150\ta six, at last\t3,5\ne1_1\te1\t150\t300\t\t2\n", "utf-8")])
def test_tables_as_people_save_them(tmp_path, text, encoding):
    clips = read_ratings(table(tmp_path, text, encoding))
    assert [(c.clip, c.video, c.start_s, c.end_s, c.text, c.rating) for c in clips] == [
        ("e1_0", "e1", 0, 150, "a six, at last", 3.5), ("e1_1", "e1", 150, 300, "", 2)]
    assert [c.positive() for c in clips] == [True, False]


@pytest.mark.parametrize("line, message", [
    ("c,v,0,150,t,6", r"clip c is rated \[6.0\]; ratings are from 1 to 5"), ("c,v,0,150,t,0.5", "ratings are from 1 to 5"),
    ("c,v,0,150,t,", "clip c has no rating"), ("c,v,0,150,t,good", "rating 'good' is not a number"), ("c,v,0,150,t,nan", "rating 'nan'"),
    ("c,v,zero,150,t,3", "start 'zero' is not a number"), ("c,v,1:2:3:4,150,t,3", "start '1:2:3:4' is not a number of seconds or h:mm:ss"),
    ("c,v,-5,150,t,3", "clip c starts at -5.0 s, before its video"), ("c,v,0,150,t,3,also said", "7 cells, but the header has 6; put quotes around texts with commas"),
    ("c,ok_v,0,9,t,3\nd2,ok_v,0,9,t,4", "line 4: clip d2 is ok_v from 0.0 to 9.0 s, like clip c in line 3"),
    ("c,v,150,150,t,3", "clip c ends at 150.0 s, not after its start"), ("a/b,v,0,1,t,3", "clip 'a/b' is not a valid file name"), (",v,0,1,t,3", "clip ''"),
    ("ok,v,0,1,t,3", "duplicate clip ok, first used in line 2")])
def test_faulty_lines_are_listed_together(tmp_path, line, message):
    path = table(tmp_path, HEADER + "ok,v,0,150,t,3\n" + line + "\nd,v,0,x,t,3\n")
    with pytest.raises(InputError, match=rf"(?s)r\.csv: .*{message}.*line {4 + line.count(chr(10))}: end 'x' is not a number"):
        read_ratings(path)


def test_lines_are_counted_as_an_editor_shows_them(tmp_path):
    text = HEADER + 'a,v,0,1,"two\nlines, at ""last""",3\n\nb,v,1,2,t,9\nc,v,2,3,"x\ny\nz",zero\n'
    with pytest.raises(InputError, match=r"(?s)line 5: clip b is rated.*line 6: rating 'zero'"):
        read_ratings(table(tmp_path, text))
    clips = read_ratings(table(tmp_path, text.replace(",9", ",2").replace("zero", "1")))
    assert [(c.clip, c.line, c.text) for c in clips] == [("a", 2, 'two\nlines, at "last"'), ("b", 5, "t"), ("c", 6, "x\ny\nz")]


@pytest.mark.parametrize("text, message", [
    ('a,v,0,1,t,3\nb,v,1,2,"open,3\nc,v,2,3,t,4\n', r"r\.csv: line 3: not CSV \(unexpected end of data\); check for a missing closing quote"),
    ('a,v,0,1,"t" and,3\n', r"line 2: not CSV \('.' expected after"), (f"a,v,0,1,{'t' * 200_000},3\n", r"line 2: not CSV \(field larger than field limit")])
def test_text_that_is_no_csv_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_ratings(table(tmp_path, HEADER + text))


@pytest.mark.parametrize("names, ratings", [("rating", "3"), ("Rating 1,Rating 2", "3,4"), ("rating_a,rating_b,raters", "3,4,900"), ("rating-m,rating-n", "1,5"),
                                            ("rating (Nora),rating (Paul)", "2,2")])
def test_columns_of_ratings(tmp_path, names, ratings):
    clip, = read_ratings(table(tmp_path, f"clip,video,start,end,{names}\nc,v,0,1,{ratings}\n"))
    assert clip.ratings == tuple(float(x) for x in ratings.split(",")[:2])


@pytest.mark.parametrize("name", ["rating_count", "Rating Mean", "rating_n", "ratings_total", "rating-std", "ratingcount", "rating_avg"])
def test_columns_that_tell_of_ratings_are_refused(tmp_path, name):
    """A column of 1 to 5 that is a count would be averaged as a person's opinion."""
    with pytest.raises(InputError, match=rf"column '{name}' does not contain a person's ratings; rename or remove it"):
        read_ratings(table(tmp_path, f"clip,video,start,end,rating,{name}\nc,v,0,1,5,2\n"))


@pytest.mark.parametrize("text, message", [
    ("", "has no clip, no video"), (HEADER, "contains no clips"), ("clip,video,start,end\nx,y,0,1", "no rating"),
    ("clip,id,video,start,end,rating\n", "two columns of clip"), ("\x00", "has no clip")])
def test_tables_that_are_none_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_ratings(table(tmp_path, text))
    with pytest.raises(InputError, match="no such file"):
        read_ratings(tmp_path / "none.csv")


def rated(n_videos=40, per_video=30, seed=0):
    r = np.random.default_rng(seed)
    return [RatedClip(f"v{v}_{i}", f"v{v}", 150.0 * i, 150.0 * (i + 1), "text", (float(r.integers(1, 6)),), 2)
            for v in range(n_videos) for i in range(int(r.integers(1, per_video + 1)))]


def test_no_video_is_on_both_sides_and_the_split_is_even():
    clips = rated()
    train, val = split_by_video(clips, 0.2, seed=3)
    assert not {c.video for c in train} & {c.video for c in val}
    assert Counter(train) + Counter(val) == Counter(clips)
    assert abs(len(val) / len(clips) - 0.2) < 0.02
    share = [sum(c.positive() for c in side) / len(side) for side in (train, val)]
    assert abs(share[0] - share[1]) < 0.03
    assert split_by_video(clips, 0.2, seed=3) == (train, val) != split_by_video(clips, 0.2, seed=4)
    assert {c.video for c in split_by_video(clips[::-1], 0.2, seed=3)[1]} == {c.video for c in val}


def test_what_cannot_be_split_is_named():
    with pytest.raises(InputError, match="all .* clips are from one video .v0."):
        split_by_video(rated(1))
    with pytest.raises(InputError, match="validation share 1 is out of range"):
        split_by_video(rated(3), 1)
    train, val = split_by_video(rated(2), 0.01)
    assert train
    assert val


@pytest.mark.parametrize("rating, grade", [(3.2, 1), (4, 2), (4.5, 3), (5, 4)])
def test_positive_clips_are_one_window_as_salient_as_rated(rating, grade):
    label = make_label(RatedClip("c", "v", 300, 450, "", (rating,), 2), 7, "words")
    assert label["relevant_windows"] == [[0, 150]]
    assert label["relevant_clip_ids"] == list(range(75))
    assert label["positive"] is True
    assert label["saliency_scores"] == [[grade] * 3] * 75
    assert (label["qid"], label["query"], label["vid"], label["rating"]) == (7, "words", "c", rating)


def test_negative_clips_have_nothing_to_find():
    label = make_label(RatedClip("c", "v", 0, 150, "", (3.0,), 2), 7, "words")
    assert (label["relevant_windows"], label["relevant_clip_ids"], label["saliency_scores"], label["positive"]) == ([], [], [], False)


@pytest.fixture
def studio(tmp_path):
    """Four videos of three clips; pictures by clip, sound by video."""
    lines, text = [], iter("abcdefghijkl")
    for v in range(4):
        for i in range(3):
            lines.append(f"v{v}_{i},v{v},{20 * i},{20 * i + 20},{next(text) if i else ''},{1 + (v + 2 * i) % 5}")
            write_features(tmp_path / f"f/clip_b32/v{v}_{i}.npz", 10, 4, "features", "float16")
        write_features(tmp_path / f"f/panns/v{v}.npy", 30, 3)
        (tmp_path / "s").mkdir(exist_ok=True)
        (tmp_path / f"s/v{v}.srt").write_text("1\n00:00:01,000 --> 00:00:03,000\nsaid\nearly\n\n2\n00:00:30,000 --> 00:00:31,000\nlater\n")
    (tmp_path / "r.csv").write_text(HEADER + "\n".join(lines))
    return tmp_path


def args(studio, *more):
    return [str(studio / "r.csv"), "--visual", str(studio / "f/clip_b32"), "--audio", str(studio / "f/panns"), "--subtitles", str(studio / "s"),
            "--out", str(studio / "out"), "--val-share", "0.25", *more]


@pytest.mark.parametrize("way", [[], ["--copy"]])
def test_a_dataset_is_made_that_trains(studio, capsys, way):
    assert main(args(studio, *way)) == 0
    out = studio / "out"
    sides = {name: read_labels(out / f"{name}.jsonl") for name in ("train", "val")}
    assert (len(sides["train"]), len(sides["val"])) == (9, 3)
    assert (out / "clip_b32/v0_0.npz").is_symlink() == (not way)
    label = next(label for side in sides.values() for label in side if label["vid"] == "v2_1")
    np.testing.assert_array_equal(np.load(out / "panns/v2_1.npy"), np.load(studio / "f/panns/v2.npy")[10:20].astype(np.float16))
    assert label["query"] == "e"
    assert label["qid"] == 8
    assert next(label for side in sides.values() for label in side if label["vid"] == "v2_0")["query"] == "said early"
    report = json.loads((out / "report.json").read_text())
    assert report["train"]["clips"] == 9
    assert report["dropped"] == 0
    assert "report.json" in capsys.readouterr().out
    for label in sides["val"]:
        write_features(out / f"text/qid{label['qid']}.npz", 3, 5, "last_hidden_state")
    dataset = HotstarHighlight865(str(out / "val.jsonl"), str(out / "clip_b32"), str(out / "text"), str(out / "panns"), video_dims=4)
    assert dataset.check() == []
    item = {key: value.data for key, value in dataset[0].items()}
    assert item["video"].shape == (10, 4)
    assert item["audio"].shape == (10, 3)
    assert main(args(studio, *way)) == 0   # again, over itself
    assert main(args(studio, "--copy")) == 0
    assert not any(p.is_symlink() for p in out.rglob("*"))
    np.testing.assert_array_equal(np.load(out / "clip_b32/v0_0.npz")["features"], np.load(studio / "f/clip_b32/v0_0.npz")["features"])
    assert (studio / "f/clip_b32/v0_0.npz").is_file()
    assert not (studio / "f/clip_b32/v0_0.npz").is_symlink()


def test_clips_that_cannot_be_used_are_listed_and_nothing_is_written(studio, capsys):
    (studio / "f/clip_b32/v1_1.npz").unlink()
    write_features(studio / "f/panns/v3.npy", 15, 3)
    write_features(studio / "f/clip_b32/v0_0.npz", 5, 4, "features")
    (studio / "s/v2.srt").unlink()
    write_features(studio / "f/panns/v1_2.npy", 10, 3)   # of the clip itself, so it needs none of the video's
    (studio / "f/panns/v1.npy").unlink()
    assert main(args(studio)) == 2
    error = capsys.readouterr().err
    for line in ("line 6: clip v1_1: no features in", "line 12: clip v3_1: past the end of its video", "line 2: clip v0_0: features in",
                 "line 8: clip v2_0: no text", "line 13: clip v3_2: past the end", f"line 5: clip v1_0: no features in {studio}/f/panns",
                 "or exclude them with --drop"):
        assert line in error
    assert "v1_2" not in error
    assert not (studio / "out").exists()
    assert main(args(studio, "--drop")) == 0
    report = json.loads((studio / "out/report.json").read_text())
    assert report["dropped"] == 6
    assert report["dropped_clips"]["v2_0"] == "no text"
    assert report["train"]["clips"] + report["val"]["clips"] == 6


def test_a_clip_just_behind_its_videos_end_is_not_an_empty_file(studio, capsys):
    write_features(studio / "f/panns/v3.npy", 20, 3)   # v3_2 begins at row 20 and has 10
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
    assert all(f"line {line}: clip v3_{line - 11}: {studio}/f/panns/v3.npy: contains NaN" in error for line in (11, 12, 13))
    assert not (studio / "out").exists()
    assert main(args(studio, "--drop")) == 0
    report = json.loads((studio / "out/report.json").read_text())
    assert sorted(report["dropped_clips"]) == ["v1_1", "v3_0", "v3_1", "v3_2"]


def test_a_full_disk_leaves_labels_as_they_were(studio, capsys):
    def labels():
        return {name: (studio / "out" / name).read_text() for name in ("train.jsonl", "val.jsonl", "report.json")}

    assert main(args(studio)) == 0
    before = labels()
    shutil.move(studio / "out", studio / "made")
    with small_disk(studio / "out", 64):
        for path in (studio / "made").iterdir():
            if path.is_file():
                shutil.copy(path, studio / "out")
        assert main(args(studio, "--seed", "5", "--copy")) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ")
        assert "No space left on device" in error
        assert labels() == before
        assert not [p for p in (studio / "out").rglob(".*")]


@pytest.mark.parametrize("change, message", [
    (["--clip-len", "0"], "clip length 0.0 s is out of range"), (["--clip-len", "nan"], "clip length nan s is out of range"), (["--seed", "-1"], "seed -1 is negative"),
    (["--positive-over", "nan"], "threshold nan is out of range; ratings are from 1 to 5"), (["--positive-over", "5"], "threshold 5.0 is out of range"), (["--val-share", "nan"], "validation share nan is out of range"),
    (["--visual", "none"], "none: no such folder of features"), (["--subtitles", "none"], "none: no such folder of subtitles"),
    (["--val-share", "0"], "validation share 0.0 is out of range"), (["--positive-over", "x"], "invalid float")])
def test_wrong_options_are_named(studio, capsys, change, message):
    try:
        status = main([*args(studio), *change])
    except SystemExit as exit_:
        status = exit_.code
    assert status == 2
    assert not (studio / "out").exists()
    assert message in capsys.readouterr().err


def test_865_clips_take_no_time(tmp_path, capsys):
    clips = rated(40, 43)[:865]
    assert len(clips) == 865
    (tmp_path / "r.csv").write_text(HEADER + "\n".join(f"{c.clip},{c.video},{c.start_s},{c.end_s},t,{c.rating}" for c in clips))
    for video in {c.video for c in clips}:
        np.savez((tmp_path / "f").mkdir(exist_ok=True) or tmp_path / f"f/{video}.npz", features=np.zeros((75 * 45, 2), np.float16))
    assert main([str(tmp_path / "r.csv"), "--visual", str(tmp_path / "f"), "--out", str(tmp_path / "o")]) == 0
    assert sum(len(read_labels(tmp_path / f"o/{s}.jsonl")) for s in ("train", "val")) == 865


def test_one_score_per_clip_is_evaluated_as_sklearn_does():
    assert eval_clips([0.9, 0.8, 0.1, 0.4], [1, 0, 0, 1]) == {"AP": 83.33, "ROC-AUC": 75.0}   # (1/1 + 2/3) / 2; 3 of 4 pairs
    assert eval_clips([1, 2], [0, 0]) == dict(AP=0.0)
    assert eval_clips([1, 2], [1, 1]) == dict(AP=100.0)
    with pytest.raises(InputError, match="must have one value per clip, at least one, and scores must be finite"):
        eval_clips([1, float("nan")], [0, 1])


def test_clips_are_ranked_within_their_source_video():
    videos = ["a"] * 3 + ["b"] * 3 + ["c"] * 2 + ["d"]
    positive = [1, 0, 1, 0, 0, 1, 1, 1, 0]   # c has no negative, d no positive
    scores = [0.9, 0.8, 0.1, 0.3, 0.2, 0.1, 5, 6, 7]
    # a: (1/1 + 2/3) / 2, its best clip is positive; b: 1/3, its best is not
    assert eval_by_video(scores, positive, videos) == {
        "HD-mAP-by-video": round(100 * (5 / 6 + 1 / 3) / 2, 2), "HD-HIT@1-by-video": 50.0, "HD-videos": 2, "HD-videos-left-out": 2}
    order = [8, 3, 0, 6, 1, 4, 2, 7, 5]
    assert eval_by_video(*(list(np.array(x)[order]) for x in (scores, positive, videos))) == eval_by_video(scores, positive, videos)
    assert eval_by_video([1, 1, 1, 1], [1, 0, 0, 0], ["a"] * 4)["HD-HIT@1-by-video"] == 25.0   # equal scores guess
    assert eval_by_video([1], [1], ["a"]) == {"HD-videos": 0, "HD-videos-left-out": 1}
    with pytest.raises(InputError, match="must have one value per clip"):
        eval_by_video([1, 2], [0, 1], ["a"])


def rated_set(tmp_path, clips):
    with (tmp_path / "l.jsonl").open("w") as file:
        for qid, clip in enumerate(clips, 1):
            file.write(json.dumps(make_label(clip, qid, "t")) + "\n")
    return HotstarHighlight865(str(tmp_path / "l.jsonl"), str(tmp_path), str(tmp_path))


def told(dataset, scores):
    """The metrics of a model that scores all of a clip's parts alike."""
    return dataset.evaluate([dict(meta=[label], saliency=torch.full((1, 75), float(score)), boundary=torch.tensor([[[0.0, 150.0, 1.0]]]))
                             for label, score in zip(dataset.labels, scores, strict=True)])


def test_metrics_and_floors_tell_good_models_from_bad(tmp_path):
    dataset = rated_set(tmp_path, rated(12, 30))
    baselines, ratings = dataset.baselines(), np.array([label["rating"] for label in dataset.labels])
    good, bad = told(dataset, ratings), told(dataset, -ratings)
    for key in ("AP", "ROC-AUC", "HD-mAP-by-video", "HD-HIT@1-by-video"):
        assert good[key] == baselines["oracle"][key] == 100.0
        assert bad[key] + 5 < baselines["random"][key] < 70, key
    assert good["HD-videos"] + good["HD-videos-left-out"] == 12
    assert not [key for name in (good, *baselines.values()) for key in name if key.startswith("HL-")]   # all parts of a clip are graded alike


def test_labels_of_rated_clips_name_their_source_video(tmp_path):
    label = make_label(rated(2)[0], 1, "t")
    assert label["video"] == "v0"
    del label["video"]
    (tmp_path / "l.jsonl").write_text(json.dumps(label))
    write_features(tmp_path / f"{label['vid']}.npz", 75, 4, "features")
    write_features(tmp_path / "qid1.npz", 3, 5, "last_hidden_state")
    faults = HotstarHighlight865(str(tmp_path / "l.jsonl"), str(tmp_path), str(tmp_path)).check()
    assert len(faults) == 1
    assert "line 1: no 'video'" in str(faults[0])
    assert "create the labels with tools/process_feature_and_label.py" in str(faults[0])
