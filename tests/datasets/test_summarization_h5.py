"""The field's h5 files: what is read, what is learned, and what each fault is called."""

import json

import h5py
import numpy as np
import pytest
import torch
from nncore.dataset import DATASETS
from nncore.parallel import collate
from scipy.stats import kendalltau, spearmanr

import datasets
from common.build import build
from common.errors import InputError

T, FRAMES, USERS = 12, 120, 3


def group_values(seed):
    r = np.random.default_rng(seed)
    shots = np.array([[0, 39], [40, 79], [80, 119]])
    return dict(features=r.normal(size=(T, 6)).astype(np.float16), gtscore=r.random(T), user_scores=r.integers(1, 6, (USERS, T)),
                user_summary=r.integers(0, 2, (USERS, FRAMES)), change_points=shots, n_frame_per_seg=shots[:, 1] - shots[:, 0] + 1,
                n_frames=FRAMES, picks=np.arange(0, FRAMES, 10), n_steps=T, features_text=r.normal(size=(1, 4)))


def write(path, videos):
    with h5py.File(path, "w") as file:
        for name, values in videos.items():
            group = file.create_group(name)
            group.attrs["title"] = f"Title of {name}"
            for key, value in values.items():
                group.create_dataset(key, data=value)
    return str(path)


@pytest.fixture
def h5(tmp_path):
    return write(tmp_path / "v.h5", {f"video_{i}": group_values(i) for i in range(1, 5)})


@pytest.fixture
def split(tmp_path):
    folds = [dict(train_keys=["video_1", "video_2"], test_keys=["video_3"]),
             dict(train_keys=["../data/v.h5/video_3"], test_keys=["video_4"])]
    (tmp_path / "s.json").write_text(json.dumps(folds))
    return str(tmp_path / "s.json")


def make(h5_path, **options):
    datasets.register()
    return build(dict(type="SummarizationH5", h5_path=h5_path, **options), DATASETS)


def test_reads_the_videos_of_a_fold(h5, split):
    dataset = make(h5, split_path=split, fold=0, part="train", text="features_text")
    assert [label["vid"] for label in dataset.labels] == ["video_1", "video_2"]
    assert len(dataset) == 2
    item = dataset[0]
    assert np.array_equal(item["video"].data.numpy(), group_values(1)["features"].astype(np.float32))
    assert item["query"].data.shape == (1, 4)
    assert item["meta"].data["query"] == "Title of video_1"
    assert [label["vid"] for label in make(h5, split_path=split, fold=1, part="train").labels] == ["video_3"]
    assert len(make(h5)) == 4


def test_a_batch_is_padded(h5, tmp_path):
    short = group_values(9)
    for key in ("features", "gtscore", "picks"):
        short[key] = short[key][:5]
    short["user_scores"] = short["user_scores"][:, :5]
    short["features_text"] = np.ones((3, 4))
    dataset = make(write(tmp_path / "w.h5", dict(a=group_values(1), b=short)), text="features_text")
    batch = collate([dataset[0], dataset[1]])
    query, saliency = batch["query"].data[0], batch["saliency"].data[0]
    assert query.shape == (2, 3, 4)
    assert torch.isinf(query[0, 1:]).all()
    assert torch.isfinite(query[0, :1]).all()
    assert (query[1] == 1).all()
    assert saliency.shape == (2, T)
    assert (saliency[1, 5:] == -1).all()
    assert (saliency[1, :5] >= 0).all()


def test_without_annotators_gtscore_counts_and_the_log_says_so(tmp_path, caplog):
    dataset = make(write(tmp_path / "v.h5", dict(v=without("user_scores"))))
    found = dataset.evaluate([dict(meta=[dataset.labels[0]], saliency=torch.from_numpy(group_values(1)["gtscore"])[None])])
    assert found == dict(kendall=1, spearman=1)
    assert "v: no user_scores; the ranking is compared with gtscore" in caplog.text


def test_modelscope_keys_and_three_dimensional_text_are_read(tmp_path):
    values = group_values(1)
    values["features_clip_image"] = values.pop("features")
    values["features_clip_txt"] = np.arange(14.0).reshape(1, 7, 2)
    dataset = make(write(tmp_path / "m.h5", dict(video_1=values)), features="features_clip_image", text="features_clip_txt")
    assert dataset[0]["query"].data.shape == (7, 2)
    assert dataset[0]["video"].data.shape == (T, 6)


def test_the_target_is_the_mean_of_standardised_ranks(h5, tmp_path):
    """So that no scores have a greater mean rho; who rates all alike has no ranks."""
    users = group_values(1)["user_scores"].astype(float)
    ranks = np.stack([[np.sum(u < x) + (np.sum(u == x) + 1) / 2 for x in u] for u in users])
    z = ((ranks - ranks.mean(axis=1, keepdims=True)) / ranks.std(axis=1, keepdims=True)).mean(axis=0)
    expected = (z - z.min()) / (z.max() - z.min())
    np.testing.assert_allclose(make(h5).targets["video_1"], expected)
    flat = changed(user_scores=np.concatenate([users, np.full((1, T), 3)]))
    np.testing.assert_allclose(make(write(tmp_path / "w.h5", dict(v=flat))).targets["v"], expected)
    gtscore = group_values(1)["gtscore"]
    scaled = (gtscore - gtscore.min()) / (gtscore.max() - gtscore.min())
    np.testing.assert_allclose(make(h5, target="gtscore").targets["video_1"], scaled)
    np.testing.assert_allclose(make(write(tmp_path / "g.h5", dict(v=without("user_scores")))).targets["v"], scaled)   # all that there is


def test_several_features_stand_side_by_side_in_their_order(tmp_path):
    values = changed(more=np.arange(T * 2.0).reshape(T, 2))
    path = write(tmp_path / "v.h5", dict(v=values))
    video = make(path, features=["more", "features"])[0]["video"].data
    assert torch.equal(video[:, :2], torch.from_numpy(values["more"]).float())
    assert torch.equal(video[:, 2:], make(path)[0]["video"].data)


def test_predictions_are_of_the_rows_that_exist_and_of_six_decimals(h5, tmp_path):
    dataset = make(h5)
    longer = torch.linspace(0, 1, T + 5) / 3
    line, = dataset.predictions([dict(meta=[dataset.labels[0]], saliency=longer[None])])
    assert line == dict(vid="video_1", pred_saliency_scores=[round(x, 6) for x in longer[:T].tolist()])


def test_evaluates_against_every_annotator(h5):
    dataset = make(h5)
    blob = [dict(meta=[label], saliency=torch.from_numpy(group_values(i)["user_scores"][0].astype(float))[None] / 5)
            for i, label in enumerate(dataset.labels, 1)]
    found = dataset.evaluate(blob)
    expected = np.mean([[spearmanr(group_values(i)["user_scores"][0], u).statistic for u in group_values(i)["user_scores"]]
                        for i in range(1, 5)])
    assert found["spearman"] == pytest.approx(expected, abs=1e-4)
    tau = np.mean([[kendalltau(group_values(i)["user_scores"][0], u).statistic for u in group_values(i)["user_scores"]] for i in range(1, 5)])
    assert found["kendall"] == pytest.approx(tau, abs=1e-4)
    assert len(dataset.predictions(blob)[0]["pred_saliency_scores"]) == T


def changed(**values):
    return {**group_values(1), **values}


def without(key):
    return {k: v for k, v in group_values(1).items() if k != key}


@pytest.mark.parametrize("values, message", [
    (without("gtscore"), r"v.h5, video_1: no 'gtscore'"),
    (without("change_points"), r"no 'change_points'"),
    (changed(features=np.zeros((5, 6))), r"features has 5 sampled frames, but gtscore has 12"),
    (changed(picks=np.arange(3)), r"picks has 3 sampled frames, but gtscore has 12"),
    (changed(user_scores=np.ones((2, 7))), r"user_scores has 7 sampled frames"),
    (changed(user_summary=np.ones((2, 7))), r"user_summary has 7 frames, but n_frames is 120"),
    (changed(gtscore=np.full(T, np.nan)), r"gtscore contains NaN"),
    (changed(gtscore=np.full(T, 0.5)), r"gtscore is 0.5 everywhere"),
    (changed(user_scores=np.ones((3, T))), r"the user_scores of each annotator are all equal"),
    (changed(picks=np.arange(0, 1200, 100)), r"picks must be two or more ascending frames within 0..119"),
    (changed(picks=np.array([0, 10, 10, *range(30, 120, 10)])), r"picks must be two or more ascending frames"),
    (changed(change_points=np.array([[0, 200]])), r"change_points \(1, 2\) must be first and last frames"),
    (changed(features=np.full((T, 6), np.inf)), r"features contains NaN or infinity"),
    (changed(n_frames=[3, 4]), r"n_frames is .*; it must be one integer"),
    (changed(n_frames=np.nan), r"n_frames is 'nan'; it must be one integer"),
    (changed(n_frames="many"), r"n_frames is .*many.*; it must be one integer"),
    (changed(n_frames=0), r"n_frames is '0'; it must be one integer"),
    (changed(picks=["a"] * T), r"picks is object of shape \(12,\), not numbers in 1 dimensions"),
    (changed(picks=np.arange(0, FRAMES, 10) + 0.5), r"picks contains 0.5; frames must be integers"),
    (changed(picks=np.empty(0)), r"picks is float64 of shape \(0,\), not numbers"),
    (changed(change_points=[["a", "b"]]), r"change_points is object of shape"),
    (changed(change_points=np.empty((0, 2))), r"change_points is float64 of shape \(0, 2\), not numbers"),
    (changed(change_points=np.array([[40, 0], [41, 119]])), r"change_points has a shot from 40 to 0, which ends before it starts"),
    (changed(change_points=np.array([[0, 60], [40, 119]])), r"ends with frame 60, and the next starts with frame 40; shots must be contiguous"),
    (changed(change_points=np.array([[0, 30], [40, 119]])), r"ends with frame 30, and the next starts with frame 40; shots must be contiguous"),
    (changed(change_points=np.array([[40, 119], [0, 39]])), r"ends with frame 119, and the next starts with frame 0; shots must be contiguous"),
    (without("features") | {"features/inside": np.ones((T, 6))}, r"features is a group, not an array"),
    (without("gtscore") | {"gtscore/inside": np.ones(T)}, r"gtscore is a group, not an array"),
])
def test_a_fault_of_a_video_is_named(tmp_path, values, message):
    with pytest.raises(InputError, match=message):
        make(write(tmp_path / "v.h5", dict(video_1=values)))


def test_a_damaged_or_empty_file_is_one_error(tmp_path):
    """Bytes at random places: whatever h5py raises of them, it is the file's name that is told, or it is read."""
    path = write(tmp_path / "v.h5", {})
    with pytest.raises(InputError, match="v.h5: contains no videos"):
        make(path)
    write(tmp_path / "v.h5", dict(video_1=group_values(1)))
    good = (tmp_path / "v.h5").read_bytes()
    r, refused = np.random.default_rng(0), 0
    for _ in range(60):
        bad = bytearray(good)
        for place in r.integers(0, 3000, 20):
            bad[place] = r.integers(256)
        (tmp_path / "v.h5").write_bytes(bad)
        try:
            make(path)
        except InputError as err:
            refused += 1
            assert "v.h5" in str(err)
    assert refused > 20


def test_splits_in_yaml_are_read_as_dsnet_has_them(h5, tmp_path):
    (tmp_path / "tvsum.yml").write_text("- test_keys:\n  - ../datasets/x.h5/video_4\n  train_keys:\n  - ../datasets/x.h5/video_1\n"
                                        "  - ../datasets/x.h5/video_3\n")
    for part, names in dict(train=["video_1", "video_3"], test=["video_4"]).items():
        dataset = make(h5, split_path=str(tmp_path / "tvsum.yml"), part=part)
        assert [label["vid"] for label in dataset.labels] == names
    for text in ("- test_keys: [", "a: !!python/object/apply:os.getcwd []"):
        (tmp_path / "tvsum.yml").write_text(text)
        with pytest.raises(InputError, match="tvsum.yml: not a YAML file"):
            make(h5, split_path=str(tmp_path / "tvsum.yml"), part="test")


@pytest.mark.parametrize("content, message", [(None, "no such h5 file"), (b"text", "cannot be read as an h5 file")])
def test_a_file_that_is_none_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(InputError, match=f"x.h5: {message}"):
        make(str(tmp_path / "x.h5"))


@pytest.mark.parametrize("folds, options, message", [
    ([dict(train_keys=["video_1"], test_keys=["video_7"])], dict(part="test"), r"v.h5: no video 'video_7'; did you mean"),
    ([dict(train_keys=["video_1"], test_keys=["video_1"])], dict(part="test"), "fold 0 has video_1 in train_keys and in test_keys"),
    ([dict(train_keys=["video_1"])], dict(part="test"), "fold 0 has no list of test_keys"),
    ([dict(train_keys=["video_1"], test_keys=["video_2"])], dict(part="test", fold=3), r"no fold 3, only 0..0"),
    ([dict(train_keys=["video_1"], test_keys=["video_2"])], dict(part="tset"), "did you mean 'test'"),
    ({}, dict(part="test"), "must be a list of folds"),
    ([dict(train_keys=[1], test_keys=["video_2"])], dict(part="test"), "fold 0 names 1 in train_keys; names of videos must be text"),
    ([dict(train_keys=["video_1"], test_keys=[["video_2"]])], dict(part="test"), r"fold 0 names \['video_2'\] in test_keys"),
])
def test_a_fault_of_a_split_is_named(h5, tmp_path, folds, options, message):
    (tmp_path / "s.json").write_text(json.dumps(folds))
    with pytest.raises(InputError, match=message):
        make(h5, split_path=str(tmp_path / "s.json"), **options)


def test_other_options_are_refused(h5, split):
    with pytest.raises(InputError, match="target='mean'"):
        make(h5, target="mean")
    with pytest.raises(InputError, match="f1='mean'; use one of avg, max"):
        make(h5, f1="mean")
    with pytest.raises(InputError, match="needs split_path"):
        make(h5, part="train")
    with pytest.raises(InputError, match="no such split file"):
        make(h5, part="train", split_path=split + "x")
