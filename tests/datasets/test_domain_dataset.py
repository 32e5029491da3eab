"""TVSum and YouTube Highlights from files in UMT's layout."""

import json

import numpy as np
import pytest
import torch

from common.errors import InputError
from datasets import TVSum, YouTubeHighlights
from datasets.annotations.domain_splits import SPLITS, domain_videos
from datasets.annotations.tvsum import read_tvsum
from datasets.annotations.youtube_highlights import read_youtube
from datasets.errors import LabelErrors
from datasets.eval import tvsum_top5_map, youtube_map
from datasets.eval.tvsum import pad_scores
from tests.paths import SHARED

from .fakes import write_features

BK_TRAIN, BK_VAL = ["WxtbjNsCQ8A", "EE-bNr36nyA", "oDXZc0tZe04", "uGu_10sucQo"], "Se3oxnaPsz0"
DOG_VAL = ["a2nj7XCo2Rk", "9rP5yF9EC3Y"]
T = 9


def ratings(seed, clips=T):
    return np.random.default_rng(seed).integers(1, 6, (clips, 20))


@pytest.fixture
def tvsum(tmp_path):
    """A folder with all five videos of BK; the options that read it."""
    labels = {vid: dict(anno=ratings(i).tolist()) for i, vid in enumerate([*BK_TRAIN, BK_VAL])}
    for vid in labels:
        write_features(tmp_path / f"video_features/{vid}_rgb.npy", T, 4)
        write_features(tmp_path / f"video_features/{vid}_opt.npy", T + 1, 3)
        write_features(tmp_path / f"audio_features/{vid}.npy", T - 1, 2)
        write_features(tmp_path / f"query_features/{vid}.npz", 5, 6, "token")
    (tmp_path / "tvsum_anno.json").write_text(json.dumps(labels))
    return dict(domain="BK", label_path=str(tmp_path / "tvsum_anno.json"), audio_path=str(tmp_path / "audio_features"),
                video_path=[str(tmp_path / "video_features/{vid}_rgb.npy"), str(tmp_path / "video_features/{vid}_opt.npy")],
                query_path=str(tmp_path / "query_features/{qid}.npz"), query_key="token", video_dims=[4, 3])


def test_tvsum_items_are_umts(tvsum, tmp_path):
    dataset = TVSum(split="train", **tvsum)
    assert [label["vid"] for label in dataset.labels] == BK_TRAIN
    assert dataset.check() == []
    item = {key: value.data for key, value in dataset[1].items()}
    vid = BK_TRAIN[1]
    assert item["video"].shape == (T - 1, 7)
    assert item["audio"].shape == (T - 1, 2)
    assert item["query"].shape == (5, 6)
    np.testing.assert_array_equal(item["video"][:, 4:], np.load(tmp_path / f"video_features/{vid}_opt.npy")[:T - 1])
    expected = (ratings(1).sum(axis=1) - 20) / 80   # peers' scale
    np.testing.assert_allclose(item["saliency"], expected[:T - 1], rtol=1e-6)
    assert [label["vid"] for label in TVSum(split="val", **tvsum).labels] == [BK_VAL]


def test_tvsum_is_evaluated_on_what_the_features_hold(tvsum):
    dataset = TVSum(split="val", **tvsum)
    scores = torch.rand(1, T + 3)   # padded beyond the T - 1 rows
    blob = [dict(meta=[dataset.labels[0]], saliency=scores)]
    expected = tvsum_top5_map({BK_VAL: [*scores[0, :T - 1].tolist(), -1]}, {BK_VAL: ratings(4)})
    assert dataset.evaluate(blob) == dict(mAP=pytest.approx(expected, abs=1e-5))
    assert dataset.predictions(blob)[0]["pred_saliency_scores"] == pytest.approx(scores[0, :T - 1].tolist(), abs=1e-6)


def youtube(tmp_path, matches):
    for vid in matches:
        write_features(tmp_path / f"v/{vid}.npz", len(matches[vid]) - 1, 4, "features")
    (tmp_path / "y.json").write_text(json.dumps({vid: dict(match=match) for vid, match in matches.items()}))
    return YouTubeHighlights("dog", "val", str(tmp_path / "y.json"), str(tmp_path / "v"))


def test_youtube_positives_are_matches_above_0(tmp_path, caplog):
    dataset = youtube(tmp_path, {DOG_VAL[0]: [1, -1, 0, 1, 1], DOG_VAL[1]: [-1, 0, -1]})
    assert "no labels for 22 of the 24 videos of dog, val" in caplog.text
    assert dataset[0]["saliency"].data.tolist() == [1, 0, 0, 1]
    assert "audio" not in dataset[0]
    blob = [dict(meta=dataset.labels, saliency=torch.tensor([[0.9, 0.1, 0.8, 0.5, 0.95], [0.1, 0.2, 0.3, 0, 0]]))]
    expected = (1 + ((1 / 2 + 2 / 3) / 2)) / 2   # hits at ranks 1 and 3 of the four clips that the features hold
    assert dataset.evaluate(blob) == dict(mAP=pytest.approx(expected / 2, abs=1e-5))   # no positive counts as 0


def slow_youtube_ap(scores, match):
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    hits = ap = recall = 0
    precision = 1
    total = sum(m > 0 for m in match)
    for rank, i in enumerate(order, 1):
        hits += match[i] > 0
        ap += (hits / total - recall) * (precision + hits / rank) / 2 if total else 0
        recall, precision = hits / total if total else 0, hits / rank
    return ap


def test_youtube_map_equals_a_slow_twin():
    r = np.random.default_rng(0)
    scores = {i: r.random(n).tolist() for i, n in enumerate((1, 2, 7, 40, 41))}
    matches = {i: r.integers(-1, 2, len(s)).tolist() for i, s in scores.items()}
    slow = np.mean([slow_youtube_ap(scores[i], matches[i]) for i in scores])
    assert youtube_map(scores, matches) == pytest.approx(slow, abs=1e-12)


@pytest.mark.parametrize("options, message", [
    (dict(domain="Bk"), "no domain 'Bk'.*BK"), (dict(split="test"), "BK has no split 'test'"),
    (dict(domain="BT"), "no labels for the 4 videos of BT, train"), (dict(label_path="none.json"), "none.json: no such file")])
def test_what_does_not_exist_is_named(tvsum, options, message):
    with pytest.raises(InputError, match=message):
        TVSum(**{**tvsum, "split": "train", **options})


@pytest.mark.parametrize("text, message", [
    ("[]", "contains a JSON list"), ("{", "cannot be read as JSON"), ('{"a": {}, "b": 3}', "a: no 'anno', a table of ratings\n  b: no 'anno'"), ("{}", "contains no videos"),
    ('{"a": {"anno": [[1, 6]]}}', "a: ratings must be from 1 to 5, but range from 1.0 to 6.0"),
    ('{"a": {"anno": [1, 2]}}', r"a: ratings have shape \(2,\)"), ('{"a": {"anno": [[1], [1, 2]]}}', "a: ratings are not a table")])
def test_faulty_tvsum_labels_are_named(tmp_path, text, message):
    (tmp_path / "l.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_tvsum(tmp_path / "l.json")


def test_faulty_youtube_labels_are_named(tmp_path):
    for match in (3, [], ["x"], [True], None):
        (tmp_path / "l.json").write_text(json.dumps({"a": dict(match=match), "b": 3, "c": dict(match=[1])}))
        with pytest.raises(LabelErrors, match="l.json: video a: no 'match', a list of numbers\n  video b: no 'match'") as err:
            read_youtube(tmp_path / "l.json")
        assert err.value.valid == {"c": [1]}
    (tmp_path / "l.json").write_text("{}")
    with pytest.raises(InputError, match="l.json: contains no videos"):
        read_youtube(tmp_path / "l.json")


def test_domains_by_their_short_names():
    path = SPLITS / "youtube.json"
    names = dict(gym="gymnastics", par="parkour", ska="skating", ski="skiing", sur="surfing", dog="dog")
    for short, name in names.items():
        assert domain_videos(path, short, "val") == domain_videos(path, name, "val") != []
    with pytest.raises(InputError, match="no domain 'sk'"):
        domain_videos(path, "sk", "val")


@pytest.mark.parametrize("info, message", [
    ("video_id\ttitle\nv\tx\n", "info.tsv: no column 'length'"), (b"\xff\xfe\x00", "cannot be read as tab-separated text"),
    ("video_id\tlength\nv\t0:00\nw\t7\n", "line 2: length '0:00' is not minutes:seconds above 0\n  line 3: length '7' is not")])
def test_faulty_tables_of_lengths_are_named(tmp_path, info, message):
    (tmp_path / "ydata-tvsum50-anno.tsv").write_text("v\tXX\t1,2")
    (tmp_path / "ydata-tvsum50-info.tsv").write_bytes(info if isinstance(info, bytes) else info.encode())
    with pytest.raises(InputError, match=message):
        read_tvsum(tmp_path / "ydata-tvsum50-anno.tsv")


def test_a_binary_table_of_ratings_is_named(tmp_path):
    (tmp_path / "ydata-tvsum50-info.tsv").write_text("video_id\tlength\nv\t0:07\n")
    for content, message in ((b"\x00\xff\xfe", "cannot be read"), (b"v\tXX\n\nw\tXX\t1,2", "line 1: not .*\n  line 2: not .*\n  video w: not in")):
        (tmp_path / "ydata-tvsum50-anno.tsv").write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_tvsum(tmp_path / "ydata-tvsum50-anno.tsv")


def test_swapped_folders_are_named_with_their_widths(tvsum):
    swapped = {**tvsum, "video_path": tvsum["video_path"][::-1]}
    faults = TVSum(split="train", **swapped).check()
    assert len(faults) == 4
    assert "_opt.npy (3) + " in faults[0].problem
    assert "video_dims in the config is [4, 3]" in faults[0].problem
    assert "(needed by " in faults[0].problem
    assert f"video {BK_TRAIN[0]})" in faults[0].problem


def test_tsv_and_json_give_the_same_ratings(tmp_path):
    """Three clips and a half of 2 s at 10 frames a second, rated by two."""
    clips = np.array([[1, 5], [2, 4], [3, 3]])
    frames = np.repeat(clips, 20, axis=0)
    frames = np.concatenate([frames, [[4, 1]] * 10])
    lines = [f"v\tXX\t{','.join(map(str, frames[:, user]))}" for user in range(2)]
    (tmp_path / "ydata-tvsum50-anno.tsv").write_text("\n".join(lines))
    with pytest.raises(InputError, match="needs ydata-tvsum50-info.tsv in the same folder"):
        read_tvsum(tmp_path / "ydata-tvsum50-anno.tsv")
    (tmp_path / "ydata-tvsum50-info.tsv").write_text('category\tvideo_id\ttitle\turl\tlength\nXX\tv\ta "quote\tu\t0:07\n')
    np.testing.assert_array_equal(read_tvsum(tmp_path / "ydata-tvsum50-anno.tsv")["v"], clips)


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is not at hand")
def test_the_released_mat_has_all_videos_of_the_splits():
    released = read_tvsum(SHARED / "data" / "tvsum" / "ydata-tvsum50.mat")
    named = {vid for splits in json.loads((SPLITS / "tvsum.json").read_text()).values() for s in splits.values() for vid in s}
    assert set(released) == named
    assert len(named) == 50
    rows = released["AwmHb44_ouw"]
    assert rows.shape == (176, 20)
    assert set(np.unique(rows)) <= {1, 2, 3, 4, 5}


def test_padding_scores_below_all_others():
    assert pad_scores([0.5, 0.2], 4) == [0.5, 0.2, -0.8, -0.8]
    assert pad_scores([3, 2, 1], 2) == [3, 2]


def test_floors_of_a_domain_are_those_of_the_command(tvsum, tmp_path):
    data = TVSum(split="val", **tvsum)
    baselines = data.baselines()
    ratings = {BK_VAL: np.array(data.labels[0]["anno"])}
    assert baselines["oracle"] == dict(mAP=round(tvsum_top5_map({BK_VAL: ratings[BK_VAL].mean(axis=1)}, ratings), 5))
    draws = [tvsum_top5_map({BK_VAL: np.random.default_rng(seed).random(T)}, ratings) for seed in range(20)]
    assert baselines["random"]["mAP"] == pytest.approx(np.mean(draws), abs=2e-5)
