"""Five folds in one command, on a made-up set, and what the floors are."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from scipy.stats import kendalltau

from common.config import load_config
from common.errors import InputError
from datasets.summarization_labels import read_summarized
from tools.evaluate import main as evaluate
from training.cross_validation import RIDGE_LAMBDA, cross_validate, floors, format_result, measure, ridge

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


def values(i):
    """Annotators rate by the first column; each keeps the frames to which he gave most."""
    r = np.random.default_rng(i)
    features = r.normal(size=(T, 5))
    users = np.clip(np.round(3 + 2 * features[:, 0] + r.normal(0, 0.3, (4, T))), 1, 5)
    shots = np.stack([np.arange(0, FRAMES, 20), np.arange(0, FRAMES, 20) + 19], axis=1)
    return dict(features=features, user_scores=users, gtscore=users.mean(axis=0), change_points=shots, n_frames=FRAMES,
                picks=np.arange(0, FRAMES, 10), features_text=r.normal(size=(1, 3)),
                user_summary=np.repeat(users >= 5, 10, axis=1).astype(int))


def write(root, name, videos):
    with h5py.File(root / f"{name}.h5", "w") as file:
        for video, made in videos.items():
            for key, value in made.items():
                file.create_dataset(f"{video}/{key}", data=value)
    return str(root / f"{name}.h5")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("folds")
    write(root, "v", {f"video_{i}": values(i) for i in range(6)})
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
    assert result["folds"]["1"] != result["folds"]["2"]
    leaf = load_config(root / "work" / "fold1_seed2" / "config.py")
    assert leaf.data.train.fold == leaf.data.val.fold == 1 and (leaf.data.train.part, leaf.data.val.part) == ("train", "test")
    means = [np.mean([fold["kendall"] for fold in folds]) for folds in result["folds"].values()]
    assert result["model"]["mean"]["kendall"] == pytest.approx(np.mean(means), abs=1e-3)
    assert result["model"]["spread_seeds"]["kendall"] == pytest.approx(np.std(means), abs=1e-3)
    assert abs(result["floors"]["random"]["kendall"]) < 0.1 < result["floors"]["ridge"]["kendall"]
    assert json.loads((root / "work" / "folds.json").read_text())["model"] == result["model"]
    assert evaluate(["summary", "--pred", str(root / "work/fold1_seed2/scores.jsonl"), "--label", str(root / "v.h5"), "--split",
                     str(root / "s.json"), "--fold", "1", "--out", str(root / "m.json")]) == 0
    from_file = json.loads((root / "m.json").read_text())["mean"]
    assert {key: round(from_file[name], 4) for key, name in dict(kendall="kendall", spearman="spearman", f1="f1_avg").items()} \
        == result["folds"]["2"][1]
    monkeypatch.setattr("training.cross_validation.launch", lambda *a, **k: pytest.fail("was trained already"))
    assert cross_validate(config(root), [1, 2], root / "work")["model"] == result["model"]


def test_an_epoch_chosen_on_the_tested_fold_is_refused(root):
    with pytest.raises(InputError, match="validates more than its last epoch"):
        cross_validate(config(root, interval=5), [1], root / "other")


def test_f1_is_over_users_as_the_dataset_says(root):
    """SumMe's way: no scores of people, so their summaries' mean is learned, and the nearest user counts."""
    path = write(root, "summe", {f"video_{i}": {k: v for k, v in values(i).items() if k not in ("user_scores", "features_text")}
                                 for i in range(6)})
    for reduce in ("avg", "max"):
        text = CONFIG.replace("{root}/v.h5", path).replace("{root}", str(root)).replace("{interval}", "20")
        (root / f"{reduce}.py").write_text(text.replace('text="features_text"', f'f1="{reduce}"'))
    avg, most = (cross_validate(str(root / f"{reduce}.py"), [1], root / f"work_{reduce}") for reduce in ("avg", "max"))
    assert most["model"]["mean"]["kendall"] == avg["model"]["mean"]["kendall"] > 0.3
    assert most["model"]["mean"]["f1"] > avg["model"]["mean"]["f1"] + 2 and most["floors"]["random"]["f1"] > avg["floors"]["random"]["f1"]
    assert set(most["floors"]) == {"random", "ridge", "human"} and set(most["floors"]["human"]) == {"f1"}
    line = next(line for line in format_result(most).splitlines() if line.startswith("human"))
    assert line.split()[1:3] == ["-", "-"] and float(line.split()[3]) == pytest.approx(most["floors"]["human"]["f1"], abs=1e-3)


def test_measures_the_named_videos_alone_and_their_mean(root):
    videos = read_summarized(root / "v.h5")
    scores = {name: video.user_scores[0] for name, video in videos.items()}
    each = [measure(scores, videos, [name]) for name in ("video_1", "video_4")]
    assert measure(scores, videos, ["video_1", "video_4"])["f1"] == pytest.approx(np.mean([row["f1"] for row in each]), abs=1e-3)
    tau = np.mean([kendalltau(scores["video_1"], user).statistic for user in videos["video_1"].user_scores])
    assert each[0]["kendall"] == pytest.approx(tau, abs=1e-4)
    assert measure(scores, {**videos, "video_1": replace(videos["video_1"], user_summary=None)}, ["video_1"])["f1"] == 0


def test_ridge_equals_its_definition(root):
    """Smoothed over five rows, centred by video; each video weighs alike; the penalty is a share of the variance."""
    videos, train = read_summarized(root / "v.h5"), ["video_1", "video_3", "video_5"]

    def rows(name, columns=5):
        x = videos[name].features[:, :columns].astype(float)
        smooth = np.stack([x[max(0, i - 2):i + 3].mean(axis=0) for i in range(T)])
        return smooth - smooth.mean(axis=0)

    for shared in (0, 2):
        X = np.concatenate([rows(name, 5 - shared) for name in train]) / np.sqrt(T)
        y = np.concatenate([videos[name].gtscore - videos[name].gtscore.mean() for name in train]) / np.sqrt(T)
        weights = np.linalg.solve(X.T @ X + RIDGE_LAMBDA * (X**2).sum() * np.eye(5 - shared), X.T @ y)
        assert np.allclose(ridge(videos, train, ["video_0"], shared)["video_0"], rows("video_0", 5 - shared) @ weights)
    smooth = np.convolve(videos["video_0"].features[:, 0], np.ones(5) / 5, "same")
    assert np.corrcoef(ridge(videos, train, ["video_0"])["video_0"], smooth)[0, 1] > 0.8


def test_the_titles_floor_is_the_cosine_of_centred_frames_and_titles(root):
    """Sentences point where the target lies, beside what all of them share, which tells nothing."""
    def told(i):
        made, r = values(i), np.random.default_rng(50 + i)
        target, way = made["features"][:, 0], np.eye(3)[i % 3] * (1 if i < 3 else -1)
        points = target[:, None] * way + r.normal(0, 0.1, (T, 3)) + [0, 40, 0]
        return made | dict(features=np.concatenate([made["features"][:, :2], points], axis=1), features_text=(way + np.array([9.0, 0, 0]))[None])

    videos = read_summarized(write(root, "told", {f"video_{i}": told(i) for i in range(6)}), None, ("features",), "features_text")
    folds = json.loads((root / "s.json").read_text())
    found = floors(videos, folds, shared=3)
    best = np.mean([[measure({n: videos[n].features[:, 2 + int(n[-1]) % 3] * (1 if int(n[-1]) < 3 else -1)}, videos, [n])["spearman"]
                     for n in fold["test_keys"]] for fold in folds])
    assert found["title"]["spearman"] > 0.8 * best > 0.5 and "title" not in floors(videos, folds)
    assert set(found) == {"random", "ridge", "title", "human"} and found["human"]["spearman"] > 0.8
