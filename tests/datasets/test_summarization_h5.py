"""The dataset of summarization h5 files: items, training targets, predictions and metrics."""

import json

import numpy as np
import pytest
import torch
from nncore.dataset import DATASETS
from nncore.parallel import collate
from scipy.stats import kendalltau, spearmanr

import datasets
from common.build import build
from common.errors import InputError

from .fakes import T, group_with, group_without, video_group, write_h5


@pytest.fixture
def h5(tmp_path):
    """Write four videos; return the path of the file."""
    return write_h5(tmp_path / "v.h5", {f"video_{i}": video_group(i) for i in range(1, 5)})


@pytest.fixture
def split(tmp_path):
    """Write two folds, the second of which has a path in front of a video's name; return the path of the file."""
    folds = [dict(train_keys=["video_1", "video_2"], test_keys=["video_3"]),
             dict(train_keys=["../data/v.h5/video_3"], test_keys=["video_4"])]
    (tmp_path / "s.json").write_text(json.dumps(folds))
    return str(tmp_path / "s.json")


def summarization_dataset(h5_path, **options):
    datasets.register()
    return build(dict(type="SummarizationH5", h5_path=h5_path, **options), DATASETS)


def test_fold_selects_videos(h5, split):
    dataset = summarization_dataset(h5, split_path=split, fold=0, part="train", text="features_text")
    assert [label["vid"] for label in dataset.labels] == ["video_1", "video_2"]
    assert len(dataset) == 2
    item = dataset[0]
    assert np.array_equal(item["video"].data.numpy(), video_group(1)["features"].astype(np.float32))
    assert item["query"].data.shape == (1, 4)
    assert item["meta"].data["query"] == "Title of video_1"
    second_fold = summarization_dataset(h5, split_path=split, fold=1, part="train")
    assert [label["vid"] for label in second_fold.labels] == ["video_3"]
    assert len(summarization_dataset(h5)) == 4


def test_batch_is_padded(h5, tmp_path):
    short = video_group(9)
    for key in ("features", "gtscore", "picks"):
        short[key] = short[key][:5]
    short["user_scores"] = short["user_scores"][:, :5]
    short["features_text"] = np.ones((3, 4))
    dataset = summarization_dataset(write_h5(tmp_path / "w.h5", dict(a=video_group(1), b=short)), text="features_text")
    batch = collate([dataset[0], dataset[1]])
    query, saliency = batch["query"].data[0], batch["saliency"].data[0]
    assert query.shape == (2, 3, 4)
    assert torch.isinf(query[0, 1:]).all()
    assert torch.isfinite(query[0, :1]).all()
    assert (query[1] == 1).all()
    assert saliency.shape == (2, T)
    assert (saliency[1, 5:] == -1).all()
    assert (saliency[1, :5] >= 0).all()


def test_without_user_scores_the_ranking_is_compared_with_gtscore_and_logged(tmp_path, caplog):
    dataset = summarization_dataset(write_h5(tmp_path / "v.h5", dict(v=group_without("user_scores"))))
    saliency = torch.from_numpy(video_group(1)["gtscore"])[None]
    assert dataset.evaluate([dict(meta=[dataset.labels[0]], saliency=saliency)]) == dict(kendall=1, spearman=1)
    assert "v: no user_scores; the ranking is compared with gtscore" in caplog.text


def test_modelscope_keys_and_three_dimensional_text_are_read(tmp_path):
    arrays = video_group(1)
    arrays["features_clip_image"] = arrays.pop("features")
    arrays["features_clip_txt"] = np.arange(14.0).reshape(1, 7, 2)
    dataset = summarization_dataset(write_h5(tmp_path / "m.h5", dict(video_1=arrays)),
                                    features="features_clip_image", text="features_clip_txt")
    assert dataset[0]["query"].data.shape == (7, 2)
    assert dataset[0]["video"].data.shape == (T, 6)


def test_target_is_the_mean_of_standardized_ranks(h5, tmp_path):
    """This target has the highest mean rho. Annotators whose scores are all equal have no ranks and are excluded."""
    users = video_group(1)["user_scores"].astype(float)
    ranks = np.stack([[np.sum(u < x) + (np.sum(u == x) + 1) / 2 for x in u] for u in users])
    z = ((ranks - ranks.mean(axis=1, keepdims=True)) / ranks.std(axis=1, keepdims=True)).mean(axis=0)
    expected = (z - z.min()) / (z.max() - z.min())
    np.testing.assert_allclose(summarization_dataset(h5).targets["video_1"], expected)
    flat = group_with(user_scores=np.concatenate([users, np.full((1, T), 3)]))
    np.testing.assert_allclose(summarization_dataset(write_h5(tmp_path / "w.h5", dict(v=flat))).targets["v"], expected)
    gtscore = video_group(1)["gtscore"]
    scaled = (gtscore - gtscore.min()) / (gtscore.max() - gtscore.min())
    np.testing.assert_allclose(summarization_dataset(h5, target="gtscore").targets["video_1"], scaled)
    # Without user_scores, gtscore is the only possible target.
    without_users = write_h5(tmp_path / "g.h5", dict(v=group_without("user_scores")))
    np.testing.assert_allclose(summarization_dataset(without_users).targets["v"], scaled)


def test_equal_scores_of_each_annotator_are_an_error(tmp_path):
    path = write_h5(tmp_path / "v.h5", dict(video_1=group_with(user_scores=np.ones((3, T)))))
    with pytest.raises(InputError, match=r"the user_scores of each annotator are all equal"):
        summarization_dataset(path)


def test_several_features_are_concatenated_in_order(tmp_path):
    arrays = group_with(more=np.arange(T * 2.0).reshape(T, 2))
    path = write_h5(tmp_path / "v.h5", dict(v=arrays))
    video = summarization_dataset(path, features=["more", "features"])[0]["video"].data
    assert torch.equal(video[:, :2], torch.from_numpy(arrays["more"]).float())
    assert torch.equal(video[:, 2:], summarization_dataset(path)[0]["video"].data)


def test_predictions_are_cut_to_the_rows_of_the_video_and_rounded(h5):
    dataset = summarization_dataset(h5)
    longer = torch.linspace(0, 1, T + 5) / 3
    line, = dataset.predictions([dict(meta=[dataset.labels[0]], saliency=longer[None])])
    assert line == dict(vid="video_1", pred_saliency_scores=[round(x, 6) for x in longer[:T].tolist()])


def test_metrics_are_means_over_annotators(h5):
    dataset = summarization_dataset(h5)
    blob = [dict(meta=[label], saliency=torch.from_numpy(video_group(i)["user_scores"][0].astype(float))[None] / 5)
            for i, label in enumerate(dataset.labels, 1)]
    metrics = dataset.evaluate(blob)
    user_scores = [video_group(i)["user_scores"] for i in range(1, 5)]
    rho = np.mean([[spearmanr(users[0], user).statistic for user in users] for users in user_scores])
    assert metrics["spearman"] == pytest.approx(rho, abs=1e-4)
    tau = np.mean([[kendalltau(users[0], user).statistic for user in users] for users in user_scores])
    assert metrics["kendall"] == pytest.approx(tau, abs=1e-4)
    assert len(dataset.predictions(blob)[0]["pred_saliency_scores"]) == T


def test_invalid_options_are_rejected(h5, split):
    with pytest.raises(InputError, match="target='mean'"):
        summarization_dataset(h5, target="mean")
    with pytest.raises(InputError, match="f1='mean'; use one of avg, max"):
        summarization_dataset(h5, f1="mean")
    with pytest.raises(InputError, match="needs split_path"):
        summarization_dataset(h5, part="train")
    with pytest.raises(InputError, match="no such split file"):
        summarization_dataset(h5, part="train", split_path=split + "x")


@pytest.mark.parametrize("odd", [0, 2])
@pytest.mark.parametrize("key, shown", [("features", "features"), ("features_text", "text embeddings")])
def test_the_one_video_of_another_width_is_named(tmp_path, odd, key, shown):
    videos = {f"video_{i}": video_group(i) for i in range(4)}
    wide = videos[f"video_{odd}"][key]
    videos[f"video_{odd}"][key] = np.concatenate([wide, wide], axis=1)
    path = write_h5(tmp_path / "v.h5", videos)
    width = wide.shape[1]
    with pytest.raises(InputError) as error:
        summarization_dataset(path, text="features_text")
    assert str(error.value) == (f"{path}, video_{odd}: {shown} of width {2 * width}, but those of 3 other videos have "
                                f"width {width}; extract all with the same encoder")
