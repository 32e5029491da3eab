"""tools/build_summarization_h5.py: every value against a direct computation, and invalid input."""

import itertools
import math
import shutil

import av
import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from datasets.annotations.summarization_h5 import disjoint_folds, read_folds, read_summarization_h5
from models.encoders import build_encoders
from pipelines.h5_builder import frame_shots, user_summary
from pipelines.shots.segmentation import change_points
from tests.paths import ROOT
from tests.pipelines.fakes import write_video
from tools.build_summarization_h5 import main
from training.cross_validation import cross_validate

FPS = 10
SHOTS_S = dict(one=[4, 6, 2, 8, 6, 4, 4, 8, 6, 6, 5], two=[6, 2, 4, 6, 2, 4, 6])   # Seconds of every shot.
COLORS = ["red", "green", "blue", "grey"]
TITLES = dict(one="A día in the Škoda", two="Two dogs & a cat")
USERS = 4


def duration_s(name):
    return sum(SHOTS_S[name])


def rated_frames(name):
    """Return the number of rated frames: that of the video, but 1.5 times as many for `two`, rated at another rate."""
    return duration_s(name) * FPS * (3 if name == "two" else 2) // 2


def ratings(name):
    """Return (U, frames) scores that change every second, twice as often as TVSum's, so that each frame matters."""
    frames = rated_frames(name)
    r = np.random.default_rng(len(name) + frames)
    steps = r.integers(1, 6, (USERS, duration_s(name)))
    return steps[:, np.arange(frames) * duration_s(name) // frames].astype(float)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Write a folder of videos, with annotations in the formats in which TVSum and SumMe were released."""
    root = tmp_path_factory.mktemp("h5")
    for folder in ("videos", "GT"):
        (root / folder).mkdir()
    for name, shots in SHOTS_S.items():
        colors = [COLORS[i % 4] for i, length in enumerate(shots) for _ in range(length)]
        write_video(root / "videos" / f"{name}.mp4", colors, FPS)
        frames = rated_frames(name)
        kept = (ratings(name) >= 4) * np.arange(1, frames + 1)   # Order of selection, 0 if not selected.
        savemat(root / "GT" / f"{name}.mat", dict(
            user_score=kept.T.astype(float), nFrames=frames, video_duration=float(duration_s(name)), FPS=float(FPS),
            gt_score=(kept > 0).mean(axis=0)[:, None], all_userIDs=np.arange(USERS)))
    (root / "videos" / "one.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nnot a video\n")
    write_mat(root / "ydata-tvsum50.mat")
    write_tsv(root)
    return root


def write_mat(path):
    """Write MATLAB v7.3: columns of references, texts as columns of UTF-16 units; `absent` has no video file."""
    with h5py.File(path, "w") as file:
        columns = {key: [] for key in ("video", "category", "title", "length", "nframes", "user_anno", "gt_score")}
        for name in ("absent", *SHOTS_S):
            known = name if name in SHOTS_S else "one"
            texts = dict(video=name, category="VT", title=TITLES[known])
            values = {key: np.frombuffer(text.encode("utf-16-le"), "<u2")[:, None] for key, text in texts.items()}
            values |= dict(length=np.array([[float(duration_s(known))]]),
                           nframes=np.array([[float(rated_frames(known))]]),
                           user_anno=ratings(known), gt_score=ratings(known).mean(axis=0)[None])
            for key, value in values.items():
                columns[key].append(file.create_dataset(f"#refs#/{name}_{key}", data=value).ref)
        for key, refs in columns.items():
            file.create_dataset(f"tvsum50/{key}", data=np.array(refs, dtype=h5py.ref_dtype)[:, None])


def write_tsv(root):
    rows = [f"{name}\tVT\t{','.join(f'{int(score)}' for score in row)}" for name in SHOTS_S for row in ratings(name)]
    (root / "ydata-tvsum50-anno.tsv").write_text("\n".join(rows) + "\n")
    info = [f"VT\t{name}\t{title}\thttps://e.org\t{duration_s(name) // 60}:{duration_s(name) % 60:02}"
            for name, title in TITLES.items()]
    text = "\n".join(["category\tvideo_id\ttitle\turl\tlength", *info]) + "\n"
    (root / "ydata-tvsum50-info.tsv").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def tvsum(root):
    assert main([str(root / "videos"), "--ratings", str(root / "ydata-tvsum50.mat"),
                 "--out", str(root / "tvsum.h5")]) == 0
    return root / "tvsum.h5"


@pytest.fixture(scope="module")
def encoders():
    return build_encoders(dict(visual=dict(type="EfficientNetConSE"), text=dict(type="MiniLMText")))


def center_frames(path, clips_s):
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [frames[int((a + b) / 2 * FPS)] for a, b in clips_s]


def clips(name):
    return [(t, min(t + 2, duration_s(name))) for t in range(0, duration_s(name), 2)]


def best_summary(shots, scores):
    """Return the greatest sum of mean scores of any set of shots within 15 % of the frames, and these frames."""
    room = int(0.15 * len(scores))
    sets = [s for k in range(1, 4) for s in itertools.combinations(shots, k) if sum(b - a + 1 for a, b in s) <= room]
    best = max(sets, key=lambda s: sum(scores[a:b + 1].mean() for a, b in s))
    return sum(scores[a:b + 1].mean() for a, b in best), room


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOTS_S)
def test_every_value_equals_a_direct_computation(root, tvsum, encoders, name):
    frames, rated = rated_frames(name), ratings(name)
    per_second = frames / duration_s(name)
    with h5py.File(tvsum) as file:
        group = {key: value[()] for key, value in file[name].items()}
        assert dict(file[name].attrs) == dict(title=TITLES[name], fps=per_second)
    assert group["video_name"] == name.encode()
    assert group["n_frames"] == frames
    assert group["n_steps"] == len(clips(name)) == len(group["picks"])
    assert group["picks"].tolist() == [math.ceil(start * per_second) for start, _ in clips(name)]
    sampled = rated[:, [int((a + b) / 2 * per_second) for a, b in clips(name)]]
    np.testing.assert_array_equal(group["user_scores"], sampled)
    np.testing.assert_allclose(group["gtscore"], (sampled.mean(axis=0) - 1) / 4, atol=1e-6)
    ends = np.cumsum(SHOTS_S[name])
    ends_of_shots = [round(end * per_second) for end in ends]
    starts_of_shots = [0, *ends_of_shots[:-1]]
    assert group["change_points"].tolist() == [[a, b - 1] for a, b in zip(starts_of_shots, ends_of_shots, strict=True)]
    assert group["n_frame_per_seg"].tolist() == [round(length * per_second) for length in SHOTS_S[name]]
    for user, kept in zip(rated, group["user_summary"], strict=True):
        chosen = [shot for shot in group["change_points"] if kept[shot[0]]]
        assert sum(b - a + 1 for a, b in chosen) == kept.sum()
        assert set(kept) == {0, 1}
        best, room = best_summary(group["change_points"], user)
        assert kept.sum() <= room
        assert sum(user[a:b + 1].mean() for a, b in chosen) == pytest.approx(best)
    with torch.inference_mode():
        frames_at_centers = center_frames(root / f"videos/{name}.mp4", clips(name))
        expected = encoders.visual(torch.stack([encoders.visual.preprocess(frame) for frame in frames_at_centers]))
    # The tolerance is that of float16.
    np.testing.assert_allclose(group["features"], expected["efficientnet_lite0"], atol=2e-3, rtol=2e-3)
    np.testing.assert_allclose(group["features_shared"], expected["conse"], atol=1e-5)
    title = encoders.text.encode([TITLES[name]])[0].pooler_output
    np.testing.assert_allclose(group["features_text"], [title], atol=1e-6)
    assert group["features"].dtype == np.float16
    assert read_summarization_h5(tvsum)[name].n_frames == frames


def same(a, b, *but):
    with h5py.File(a) as one, h5py.File(b) as other:
        assert list(one) == list(other)
        for name in one:
            assert {*one[name]} - {*but} == {*other[name]} - {*but}
            for key in {*one[name]} - {*but}:
                np.testing.assert_array_equal(one[name][key][()], other[name][key][()])
            assert dict(one[name].attrs) == dict(other[name].attrs)


@pytest.mark.slow
def test_tsv_and_mat_are_equivalent_and_unmatched_names_are_reported(root, tvsum, capsys, monkeypatch):
    def checked(rows):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)   # As KTS requires.
        return change_points(rows)

    monkeypatch.setattr("pipelines.h5_builder.change_points", checked)
    shutil.copy(root / "videos/two.mp4", root / "videos/not_annotated.mp4")
    assert main([str(root / "videos"), "--ratings", str(root / "ydata-tvsum50-anno.tsv"),
                 "--out", str(root / "tsv.h5")]) == 0
    (root / "videos/not_annotated.mp4").unlink()
    assert "note: skipping not_annotated, without annotation" in capsys.readouterr().err
    same(tvsum, root / "tsv.h5")
    assert main([str(root / "videos"), "--ratings", str(root / "ydata-tvsum50.mat"),
                 "--out", str(root / "again.h5")]) == 0
    assert "note: skipping absent, without video file" in capsys.readouterr().err
    same(tvsum, root / "again.h5")


@pytest.mark.slow
def test_summe_summaries_are_kept_and_can_be_cross_validated(root, tvsum):
    assert main([str(root / "videos"), "--ratings", str(root / "GT"), "--out", str(root / "summe.h5"),
                 "--split", str(root / "splits.json"), "--folds", "2"]) == 0
    for name, video in read_summarization_h5(root / "summe.h5").items():
        kept = ratings(name) >= 4
        np.testing.assert_array_equal(video.user_summary, kept)
        per_second = rated_frames(name) / duration_s(name)
        centers = [int((a + b) / 2 * per_second) for a, b in clips(name)]
        np.testing.assert_allclose(video.gtscore, kept[:, centers].mean(axis=0), atol=1e-6)
        assert video.user_scores is None
        assert video.title == name
    with h5py.File(root / "summe.h5") as file, h5py.File(tvsum) as other:
        assert {*other["one"]} - {*file["one"]} == {"user_scores"}
    assert [fold["test_keys"] for fold in read_folds(root / "splits.json")] in ([["one"], ["two"]], [["two"], ["one"]])
    (root / "leaf.py").write_text(f"""_base_ = "{ROOT}/configs/summe/clip_it_offline.py"
files = dict(h5_path="{root}/summe.h5", split_path="{root}/splits.json")
data = dict(train=files, val=files)
model = dict(axes=16)
stages = dict(epochs=2, validation=dict(interval=2))
del files
""")
    result = cross_validate(str(root / "leaf.py"), [1], root / "work")
    assert set(result["floors"]["human"]) == {"f1"}
    assert 0 < result["model"]["mean"]["f1"] <= 100
    expected = np.mean([mean_best_f1(ratings(name) >= 4) for name in SHOTS_S])
    assert result["floors"]["human"]["f1"] == pytest.approx(expected, abs=1e-3)


def mean_best_f1(kept):
    """Return the mean of every annotator's best F1 with another annotator, in percent."""
    return np.mean([max(200 * (a & b).sum() / (a.sum() + b.sum()) for j, b in enumerate(kept) if j != i)
                    for i, a in enumerate(kept)])


def test_folds_test_every_video_once():
    names = [f"v{i}" for i in range(11)]
    folds = disjoint_folds(names, 4)
    assert sorted(name for fold in folds for name in fold["test_keys"]) == sorted(names)
    assert {len(fold["test_keys"]) for fold in folds} == {2, 3}
    assert folds == disjoint_folds(names[::-1], 4)
    assert all(sorted(fold["train_keys"] + fold["test_keys"]) == sorted(names) for fold in folds)
    assert folds[0]["test_keys"] != disjoint_folds(names, 4, seed=1)[0]["test_keys"]


def test_shots_of_rows_become_shots_of_frames():
    shots = frame_shots(np.array([2]), np.array([0, 20, 40, 60]), 80)
    assert shots.tolist() == [[0, 39], [40, 79]]
    assert frame_shots(np.array([], dtype=int), np.array([0]), 10).tolist() == [[0, 9]]


def test_a_user_summary_is_the_best_shot_that_fits():
    shots = np.array([[i, i + 9] for i in range(0, 100, 10)])
    kept = user_summary(shots, np.repeat([1.0, 1, 5, 2, 1, 1, 1, 1, 1, 1], 10))
    assert np.flatnonzero(kept).tolist() == list(range(20, 30))


def write_summe_mat(path, name, **values):
    """Write SumMe's .mat of a synthetic video with other values; None removes a key."""
    frames = rated_frames(name)
    valid = dict(user_score=(ratings(name) >= 4).T.astype(float), nFrames=frames,
                 video_duration=float(duration_s(name)))
    savemat(path, {key: value for key, value in {**valid, **values}.items() if value is not None})


@pytest.mark.parametrize("values, message", [
    (dict(user_score=None), "one.mat: not a SumMe annotation file as released (KeyError"),
    (dict(nFrames=7), "one.mat: user_score has shape (590, 4) but nFrames is 7"),
    (dict(user_score=np.full((590, 4), np.nan)), "it must be (frames, users), without NaN"),
    (dict(user_score=np.zeros((590, 4))),
     "one.mp4: its annotations (4, 590) must be finite, not constant, and of shape (annotators, frames)"),
    (dict(video_duration=300.0), "one.mp4: lasts 59.0 s, but the annotated video lasts 300.0 s; it is another version"),
    (dict(user_score=np.eye(8)[:, :4], nFrames=8), "one.mp4: 8 annotated frames are too few for 30 clips")])
def test_invalid_annotations(root, tmp_path, capsys, values, message):
    (tmp_path / "GT").mkdir()
    write_summe_mat(tmp_path / "GT" / "one.mat", "one", **values)
    assert main([str(root / "videos"), "--ratings", str(tmp_path / "GT"), "--out", str(tmp_path / "o.h5")]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("error:") == 1
    assert not (tmp_path / "o.h5").exists()


@pytest.mark.parametrize("given, content, message", [
    ("none.mat", None, "none.mat: no such file; specify TVSum's ratings"),
    ("x.mat", b"text", "x.mat: not TVSum's .mat file as released"),
    ("x.txt", b"text", "x.txt: TVSum's released ratings must be a .mat or .tsv file"),
    ("x.tsv", b"one\tVT\t1,2\n", "needs ydata-tvsum50-info.tsv in the same folder"),
    ("GT", None, "GT: TVSum's released ratings must be a .mat or .tsv file")])
def test_invalid_annotation_files(root, tmp_path, capsys, given, content, message):
    if content is not None:
        (tmp_path / given).write_bytes(content)
    assert main([str(root / "videos"), "--ratings", str(tmp_path / given), "--out", str(tmp_path / "o.h5")]) == 2
    assert message in capsys.readouterr().err


def test_folders_without_an_annotated_video(root, tmp_path, capsys):
    options = ["--ratings", str(root / "GT"), "--out", str(tmp_path / "o.h5")]
    assert main([str(tmp_path / "nowhere"), *options]) == 2
    assert "no such folder of videos" in capsys.readouterr().err
    shutil.copy(root / "videos/two.mp4", tmp_path / "three.mp4")
    assert main([str(tmp_path), *options]) == 2
    assert "no file is named as one of the 2 videos of" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main([str(root / "videos"), "--ratings", str(tmp_path / "empty"), "--out", str(tmp_path / "o.h5")]) == 2
    assert "empty: no .mat files; specify SumMe's GT folder" in capsys.readouterr().err
    assert main([str(root / "videos"), *options, "--split", str(tmp_path / "s.json"), "--folds", "3"]) == 2
    assert "3 folds of 2 videos are not possible; use 2 to 2" in capsys.readouterr().err


@pytest.mark.parametrize("content, message", [
    pytest.param(None, "v.h5: no such h5 file", id="missing"),
    pytest.param(b"x", "v.h5: is not a readable h5 file (", id="not-h5"),
])
def test_invalid_h5_files(tmp_path, capsys, content, message):
    if content is not None:
        (tmp_path / "v.h5").write_bytes(content)
    assert main(["--complete", str(tmp_path / "v.h5"), "--out", str(tmp_path / "o.h5")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o.h5").exists()


def test_other_features_are_rejected(tmp_path, capsys):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_group("video_1").create_dataset("features", data=np.zeros((3, 7)))
    assert main(["--complete", str(tmp_path / "v.h5"), "--out", str(tmp_path / "o.h5")]) == 2
    assert "video 'video_1' needs 'features' of width 1280 and a title" in capsys.readouterr().err
    assert not (tmp_path / "o.h5").exists()


def test_shared_features_are_added_to_a_file_of_pooled_features(tmp_path, capsys):
    """ConSE embeddings against their definition, the title's embedding, and folds of a YAML file."""
    r = np.random.default_rng(0)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        for name, rows in dict(video_1=7, video_2=4).items():
            shots = np.array([[0, 10 * rows - 1]])
            group = file.create_group(name)
            values = dict(features=abs(r.normal(size=(rows, 1280))).astype(np.float16), gtscore=r.random(rows),
                          n_frames=10 * rows, picks=np.arange(0, 10 * rows, 10), change_points=shots)
            for key, value in values.items():
                group.create_dataset(key, data=value)
            group.attrs["title"] = f"How to {name}"
    (tmp_path / "s.yml").write_text("- {train_keys: [x.h5/video_1], test_keys: [x.h5/video_2]}\n")
    options = ["--complete", str(tmp_path / "v.h5"), "--out", str(tmp_path / "o.h5"),
               "--split", str(tmp_path / "s.json")]
    assert main([*options, "--folds-of", str(tmp_path / "s.yml")]) == 0
    assert "o.h5: 2 videos" in capsys.readouterr().out
    assert read_folds(tmp_path / "s.json") == [dict(train_keys=["video_1"], test_keys=["video_2"])]
    encoders = build_encoders(dict(visual=dict(type="EfficientNetConSE"), text=dict(type="MiniLMText")))
    videos = read_summarization_h5(tmp_path / "o.h5", None, ("features", "features_shared"), "features_text")
    for name, video in videos.items():
        assert video.features.shape == (len(video.picks), 1664)
        np.testing.assert_allclose(video.text[0], encoders.text.encode([f"How to {name}"])[0].pooler_output, atol=1e-6)
        with torch.inference_mode():
            odds = encoders.visual.probabilities(torch.from_numpy(video.features[:, :1280])).sqrt().double()
            points = (odds / odds.sum(dim=1, keepdim=True)) @ encoders.visual.classes.double()
        np.testing.assert_allclose(video.features[:, 1280:], points.numpy(), atol=1e-4)
        assert np.abs(video.features[:, 1280:]).max() > 1e-3
    (tmp_path / "s.yml").write_text("- {train_keys: [video_1], test_keys: [video_22]}\n")
    assert main([*options, "--folds-of", str(tmp_path / "s.yml")]) == 2
    assert "s.yml: fold 0 names 'video_22', which is not one of the 2 videos; did you mean" in capsys.readouterr().err
