"""Five folds in one command, on a made-up set, and what the floors are."""

import json

import h5py
import numpy as np
import pytest

from common.errors import InputError
from datasets.summarization_labels import read_summarized
from training.cross_validation import cross_validate, human, measure, ridge, summary_f1

T, FRAMES = 24, 240
CONFIG = """
videos = dict(type="SummarizationH5", h5_path="{root}/v.h5", split_path="{root}/s.json", text="features_text")
data = dict(train=dict(**videos, part="train", loader=dict(batch_size=2, shuffle=True)),
            val=dict(**videos, part="test", loader=dict(batch_size=1)))
model = dict(type="CLIPIt", video_dims=5, text_dims=3, layers=0, smooth_s=1, noise=0.01, axes=5)
hooks = [dict(type="PrincipalAxesHook")]
best_keys = ["kendall"]
stages = dict(epochs=20, optimizer=dict(type="Adam", lr=1e-2), validation=dict(interval={interval}))
del videos
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("folds")
    with h5py.File(root / "v.h5", "w") as file:
        for i in range(6):
            r = np.random.default_rng(i)
            group = file.create_group(f"video_{i}")
            features = r.normal(size=(T, 5))
            users = np.clip(np.round(3 + 2 * features[:, 0] + r.normal(0, 0.3, (4, T))), 1, 5)
            shots = np.stack([np.arange(0, FRAMES, 20), np.arange(0, FRAMES, 20) + 19], axis=1)
            for key, value in dict(
                    features=features, user_scores=users, gtscore=users.mean(axis=0), change_points=shots, n_frames=FRAMES,
                    picks=np.arange(0, FRAMES, 10), features_text=r.normal(size=(1, 3)),
                    user_summary=np.repeat(users >= 5, 10, axis=1).astype(int)).items():
                group.create_dataset(key, data=value)
    folds = [dict(train_keys=[f"video_{i}" for i in range(6) if i % 2 != part], test_keys=[f"video_{i}" for i in range(part, 6, 2)])
             for part in (0, 1)]
    (root / "s.json").write_text(json.dumps(folds))
    return root


def config(root, interval=20):
    path = root / f"c{interval}.py"
    path.write_text(CONFIG.replace("{root}", str(root)).replace("{interval}", str(interval)))
    return str(path)


def test_all_folds_and_seeds_are_trained_once_and_reported(root, monkeypatch):
    result = cross_validate(config(root), [1, 2], root / "work")
    assert result["model"]["mean"]["spearman"] > 0.5 and result["model"]["mean"]["f1"] > result["floors"]["random"]["f1"]
    assert {k: len(v) for k, v in result["folds"].items()} == {"1": 2, "2": 2}
    means = [np.mean([fold["kendall"] for fold in folds]) for folds in result["folds"].values()]
    assert result["model"]["mean"]["kendall"] == pytest.approx(np.mean(means), abs=1e-3)
    assert result["model"]["spread_seeds"]["kendall"] == pytest.approx(np.std(means), abs=1e-3)
    assert abs(result["floors"]["random"]["kendall"]) < 0.1 < result["floors"]["ridge"]["kendall"]
    assert json.loads((root / "work" / "folds.json").read_text())["model"] == result["model"]
    monkeypatch.setattr("training.cross_validation.launch", lambda *a, **k: pytest.fail("was trained already"))
    assert cross_validate(config(root), [1, 2], root / "work")["model"] == result["model"]


def test_an_epoch_chosen_on_the_tested_fold_is_refused(root):
    with pytest.raises(InputError, match="validates more than its last epoch"):
        cross_validate(config(root, interval=5), [1], root / "other")


def test_metrics_of_one_video_by_hand(root):
    video = read_summarized(root / "v.h5")["video_0"]
    first = measure({"video_0": video.user_scores[0]}, {"video_0": video}, ["video_0"])
    assert first["kendall"] > 0.5 and first["f1"] == pytest.approx(summary_f1(video.user_scores[0], video), abs=1e-3)
    others = np.mean([np.mean([np.corrcoef(a.argsort().argsort(), b.argsort().argsort())[0, 1]
                               for j, b in enumerate(video.user_scores) if j != i]) for i, a in enumerate(video.user_scores)])
    assert human(video)[1] == pytest.approx(others, abs=0.2)


def test_ridge_finds_what_is_linear(root):
    videos = read_summarized(root / "v.h5")
    scores = ridge(videos, ["video_1", "video_3"], ["video_0"])["video_0"]
    smooth = np.convolve(videos["video_0"].features[:, 0], np.ones(5) / 5, "same")
    assert np.corrcoef(scores, smooth)[0, 1] > 0.8
