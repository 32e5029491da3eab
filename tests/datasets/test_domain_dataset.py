"""The datasets of TVSum and YouTube Highlights, from files in UMT's layout."""

import json

import numpy as np
import pytest
import torch

from common.errors import InputError
from datasets import TVSum, YouTubeHighlights
from datasets.eval import tvsum_top5_map

from .fakes import write_features

BK_TRAIN, BK_VAL = ["WxtbjNsCQ8A", "EE-bNr36nyA", "oDXZc0tZe04", "uGu_10sucQo"], "Se3oxnaPsz0"
DOG_VAL = ["a2nj7XCo2Rk", "9rP5yF9EC3Y"]
T = 9


def ratings(seed, clips=T):
    return np.random.default_rng(seed).integers(1, 6, (clips, 20))


@pytest.fixture
def tvsum(tmp_path):
    """Write all five videos of the domain BK; return the options of the dataset that reads them."""
    labels = {vid: dict(anno=ratings(i).tolist()) for i, vid in enumerate([*BK_TRAIN, BK_VAL])}
    for vid in labels:
        write_features(tmp_path / f"video_features/{vid}_rgb.npy", T, 4)
        write_features(tmp_path / f"video_features/{vid}_opt.npy", T + 1, 3)
        write_features(tmp_path / f"audio_features/{vid}.npy", T - 1, 2)
        write_features(tmp_path / f"query_features/{vid}.npz", 5, 6, "token")
    (tmp_path / "tvsum_anno.json").write_text(json.dumps(labels))
    return dict(domain="BK", label_path=str(tmp_path / "tvsum_anno.json"), audio_path=str(tmp_path / "audio_features"),
                video_path=[str(tmp_path / "video_features/{vid}_rgb.npy"),
                            str(tmp_path / "video_features/{vid}_opt.npy")],
                query_path=str(tmp_path / "query_features/{qid}.npz"), query_key="token", video_dims=[4, 3])


def test_tvsum_items_equal_those_of_umt(tvsum, tmp_path):
    dataset = TVSum(split="train", **tvsum)
    assert [label["vid"] for label in dataset.labels] == BK_TRAIN
    assert dataset.check() == []
    item = {key: value.data for key, value in dataset[1].items()}
    vid = BK_TRAIN[1]
    assert item["video"].shape == (T - 1, 7)
    assert item["audio"].shape == (T - 1, 2)
    assert item["query"].shape == (5, 6)
    np.testing.assert_array_equal(item["video"][:, 4:], np.load(tmp_path / f"video_features/{vid}_opt.npy")[:T - 1])
    expected = (ratings(1).sum(axis=1) - 20) / 80   # The scale of UMT.
    np.testing.assert_allclose(item["saliency"], expected[:T - 1], rtol=1e-6)
    assert [label["vid"] for label in TVSum(split="val", **tvsum).labels] == [BK_VAL]


def test_tvsum_is_evaluated_on_the_clips_of_the_features(tvsum):
    dataset = TVSum(split="val", **tvsum)
    scores = torch.rand(1, T + 3)   # Padded beyond the T - 1 rows of the features.
    blob = [dict(meta=[dataset.labels[0]], saliency=scores)]
    expected = tvsum_top5_map({BK_VAL: [*scores[0, :T - 1].tolist(), -1]}, {BK_VAL: ratings(4)})
    assert dataset.evaluate(blob) == dict(mAP=pytest.approx(expected, abs=1e-5))
    assert dataset.predictions(blob)[0]["pred_saliency_scores"] == pytest.approx(scores[0, :T - 1].tolist(), abs=1e-6)


def youtube_dataset(tmp_path, matches):
    for vid in matches:
        write_features(tmp_path / f"v/{vid}.npz", len(matches[vid]) - 1, 4, "features")
    (tmp_path / "y.json").write_text(json.dumps({vid: dict(match=match) for vid, match in matches.items()}))
    return YouTubeHighlights("dog", "val", str(tmp_path / "y.json"), str(tmp_path / "v"))


def test_youtube_clips_with_a_positive_match_are_positive(tmp_path, caplog):
    dataset = youtube_dataset(tmp_path, {DOG_VAL[0]: [1, -1, 0, 1, 1], DOG_VAL[1]: [-1, 0, -1]})
    assert "no labels for 22 of the 24 videos of dog, val" in caplog.text
    assert dataset[0]["saliency"].data.tolist() == [1, 0, 0, 1]
    assert "audio" not in dataset[0]
    blob = [dict(meta=dataset.labels, saliency=torch.tensor([[0.9, 0.1, 0.8, 0.5, 0.95], [0.1, 0.2, 0.3, 0, 0]]))]
    # The hits are at ranks 1 and 3 of the four clips of the features. A video without positive clips counts as 0.
    expected = (1 + ((1 / 2 + 2 / 3) / 2)) / 2
    assert dataset.evaluate(blob) == dict(mAP=pytest.approx(expected / 2, abs=1e-5))


@pytest.mark.parametrize("options, message", [
    pytest.param(dict(domain="Bk"), "no domain 'Bk'.*BK", id="domain"),
    pytest.param(dict(split="test"), "BK has no split 'test'", id="split"),
    pytest.param(dict(domain="BT"), "no labels for the 4 videos of BT, train", id="labels"),
    pytest.param(dict(label_path="none.json"), "none.json: no such file", id="label-file"),
])
def test_missing_domain_split_or_file_is_an_error(tvsum, options, message):
    with pytest.raises(InputError, match=message):
        TVSum(**{**tvsum, "split": "train", **options})


def test_swapped_folders_are_reported_with_their_widths(tvsum):
    swapped = {**tvsum, "video_path": tvsum["video_path"][::-1]}
    error, = TVSum(split="train", **swapped).check()
    assert error.path == f"{BK_TRAIN[0]}, {BK_TRAIN[1]}, {BK_TRAIN[2]} and 1 more"
    assert "_opt.npy (3) + " in error.problem
    assert "video_dims in the config is [4, 3]" in error.problem
    assert f"(needed by {tvsum['label_path']}, video {BK_TRAIN[0]}, video {BK_TRAIN[1]}, " in error.problem


def test_baselines_of_a_domain(tvsum, tmp_path):
    data = TVSum(split="val", **tvsum)
    baselines = data.baselines()
    ratings = {BK_VAL: np.array(data.labels[0]["anno"])}
    assert baselines["oracle"] == dict(mAP=round(tvsum_top5_map({BK_VAL: ratings[BK_VAL].mean(axis=1)}, ratings), 5))
    draws = [tvsum_top5_map({BK_VAL: np.random.default_rng(seed).random(T)}, ratings) for seed in range(20)]
    assert baselines["random"]["mAP"] == pytest.approx(np.mean(draws), abs=2e-5)
