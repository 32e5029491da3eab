"""Cross-validation on a synthetic dataset, and its baselines."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from scipy.stats import kendalltau

from common.config import load_config
from common.errors import InputError
from datasets.annotations.summarization_h5 import read_summarization_h5
from tests.paths import ROOT, SHARED
from tools.build_summarization_h5 import main as build
from tools.cross_validate import main
from tools.evaluate import main as evaluate
from training.cross_validation import cross_validate, format_result
from training.rescoring import caption_embeddings, rescore_videos
from training.summarization_baselines import RIDGE_PENALTY, compute_baselines, measure, ridge_scores

TVSUM = SHARED / "data" / "tvsum"
T, NUM_FRAMES = 24, 240   # Feature rows and frames of each video.
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


def annotations(i):
    """Return a video's features and annotations: ratings follow the first column, users keep what they rated best."""
    r = np.random.default_rng(i)
    features = r.normal(size=(T, 5))
    users = np.clip(np.round(3 + 2 * features[:, 0] + r.normal(0, 0.3, (4, T))), 1, 5)
    shots = np.stack([np.arange(0, NUM_FRAMES, 20), np.arange(0, NUM_FRAMES, 20) + 19], axis=1)
    return dict(features=features, user_scores=users, gtscore=users.mean(axis=0), change_points=shots,
                n_frames=NUM_FRAMES, picks=np.arange(0, NUM_FRAMES, 10), features_text=r.normal(size=(1, 3)),
                user_summary=np.repeat(users >= 5, 10, axis=1).astype(int))


def write(root, name, videos):
    """Write videos to an h5 file and return its path."""
    with h5py.File(root / f"{name}.h5", "w") as file:
        for video, arrays in videos.items():
            for key, value in arrays.items():
                file.create_dataset(f"{video}/{key}", data=value)
    return str(root / f"{name}.h5")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Write a dataset of six videos with two folds."""
    root = tmp_path_factory.mktemp("folds")
    write(root, "v", {f"video_{i}": annotations(i) for i in range(6)})
    folds = [dict(train_keys=[f"video_{i}" for i in range(6) if i % 2 != part],
                  test_keys=[f"video_{i}" for i in range(part, 6, 2)]) for part in (0, 1)]
    (root / "s.json").write_text(json.dumps(folds))
    return root


def config(root, interval=20):
    path = root / f"c{interval}.py"
    path.write_text(CONFIG.replace("{root}", str(root)).replace("{interval}", str(interval)))
    return str(path)


@pytest.fixture
def no_baselines(monkeypatch):
    """Skip the baselines, which take a long time and have their own tests."""
    monkeypatch.setattr("training.cross_validation.compute_baselines", lambda *args: {})


@pytest.fixture(scope="module")
def result(root):
    """Cross-validate with two seeds in the folder `work`."""
    return cross_validate(config(root), [1, 2], root / "work")


@pytest.mark.slow
def test_all_folds_and_seeds_are_trained(root, result):
    assert result["model"]["mean"]["spearman"] > 0.5
    assert result["model"]["mean"]["f1"] > result["baselines"]["random"]["f1"]
    assert {k: len(v) for k, v in result["folds"].items()} == {"1": 2, "2": 2}
    assert result["folds"]["1"] != result["folds"]["2"]
    fold_config = load_config(root / "work" / "fold1_seed2" / "config.py")
    assert fold_config.data.train.fold == fold_config.data.val.fold == 1
    assert (fold_config.data.train.part, fold_config.data.val.part) == ("train", "test")


@pytest.mark.slow
def test_the_result_is_the_mean_and_the_spread(root, result):
    means = [np.mean([fold["kendall"] for fold in folds]) for folds in result["folds"].values()]
    assert result["model"]["mean"]["kendall"] == pytest.approx(np.mean(means), abs=1e-3)
    assert result["model"]["spread_seeds"]["kendall"] == pytest.approx(np.std(means), abs=1e-3)
    assert abs(result["baselines"]["random"]["kendall"]) < 0.1 < result["baselines"]["ridge"]["kendall"]
    written = json.loads((root / "work" / "folds.json").read_text())
    assert written["model"] == result["model"]
    assert written["baselines"] == written["floors"] == result["baselines"]   # `floors` is the deprecated name.


@pytest.mark.slow
def test_the_dumped_scores_have_the_reported_metrics(root, result):
    assert evaluate(["summary", "--pred", str(root / "work/fold1_seed2/scores.jsonl"), "--label", str(root / "v.h5"),
                     "--split", str(root / "s.json"), "--fold", "1", "--out", str(root / "m.json")]) == 0
    from_file = json.loads((root / "m.json").read_text())["mean"]
    names = dict(kendall="kendall", spearman="spearman", f1="f1_avg")
    assert {key: round(from_file[name], 4) for key, name in names.items()} == result["folds"]["2"][1]


@pytest.mark.slow
def test_finished_trainings_are_reused(root, result, monkeypatch):
    assert (result["trainings"], result["earlier"]) == (4, 0)
    assert "earlier run" not in format_result(result)
    monkeypatch.setattr("training.cross_validation.launch", lambda *a, **k: pytest.fail("was trained already"))
    again = cross_validate(config(root), [1, 2], root / "work")
    assert again["model"] == result["model"]
    assert "reused 4 of 4 finished training runs" in format_result(again)
    with pytest.raises(pytest.fail.Exception, match="was trained already"):
        cross_validate(config(root), [1, 2], root / "work", fresh=True)


@pytest.mark.slow
def test_a_training_is_repeated_only_if_its_inputs_have_changed(root, tmp_path, monkeypatch, no_baselines):
    """Change the data, the split and the code, one after the other."""
    for name in ("v.h5", "s.json"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    trained = []

    def fake_launch(config, seed, work_dir, dump, overwrite):
        trained.append(config)
        lines = [dict(vid=f"video_{i}", pred_saliency_scores=list(range(T))) for i in range(6)]
        (tmp_path / dump).write_text("".join(json.dumps(line) + "\n" for line in lines))

    monkeypatch.setattr("training.cross_validation.launch", fake_launch)

    def num_trained(seeds=(1,), **options):
        trained.clear()
        cross_validate(config(tmp_path), seeds, tmp_path / "work", **options)
        return len(trained)

    assert (num_trained(), num_trained(), num_trained([1, 2])) == (2, 0, 2)
    write(tmp_path, "v", {f"video_{i}": annotations(i + 100) for i in range(6)})
    assert (num_trained(), num_trained()) == (2, 0)
    (tmp_path / "s.json").write_text((tmp_path / "s.json").read_text().replace("[{", "[ {"))
    assert (num_trained(), num_trained()) == (2, 0)
    (tmp_path / "code.py").write_text("1")
    monkeypatch.setattr("training.cross_validation.ROOT", tmp_path)
    monkeypatch.setattr("training.cross_validation.TRAINING_CODE", ("code.py",))
    assert (num_trained(), num_trained()) == (2, 0)
    (tmp_path / "code.py").write_text("2")
    assert (num_trained(), num_trained()) == (2, 0)
    assert num_trained(fresh=True) == 2
    assert num_trained(changes={"model.noise": 0.2}) == 2
    # The runs of the changed config are in another folder, so those of the original config are kept.
    assert (num_trained(), num_trained(changes={"model.noise": 0.2})) == (0, 0)
    assert num_trained(changes={"model.noise": 0.3}) == 2
    assert sorted(path.name for path in tmp_path.glob("work*")) == ["work", "work_1", "work_2"]


def test_configs_of_the_same_name_do_not_share_a_work_dir(root, tmp_path, monkeypatch, no_baselines, capsys):
    """The configs of TVSum and SumMe have the same name, so they have the same default work dir."""
    monkeypatch.chdir(tmp_path)
    dumped = []

    def fake_launch(config, seed, work_dir, dump, overwrite):
        dumped.append(dump)
        lines = [dict(vid=f"video_{i}", pred_saliency_scores=list(range(T))) for i in range(6)]
        (tmp_path / dump).write_text("".join(json.dumps(line) + "\n" for line in lines))

    monkeypatch.setattr("training.cross_validation.launch", fake_launch)
    for folder, text in (("tvsum", ""), ("summe", "\nseed = 7\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "c.py").write_text(Path(config(root)).read_text() + text)
        for _ in range(2):
            cross_validate(str(tmp_path / folder / "c.py"), [1])
    assert [path.split("/")[1] for path in dumped] == ["c_folds"] * 2 + ["c_folds_1"] * 2
    assert capsys.readouterr().err == 2 * (
        "work_dirs/c_folds contains runs of another config, so this cross-validation uses work_dirs/c_folds_1\n")


@pytest.mark.slow
def test_options_change_the_config_and_the_sentences(root, no_baselines, capsys):
    options = ["--seeds", "1", "--work-dir", str(root / "set"), "--set", "model.alike=0.5", "--set", "stages.epochs=2",
               "--set", "stages.validation.interval=2"]
    assert main([config(root), *options]) == 0
    cfg = load_config(root / "set" / "fold0_seed1" / "config.py")
    assert (cfg.model.alike, cfg.stages.epochs, cfg.model.axes, cfg.data.val.fold) == (0.5, 2, 5, 0)
    first = json.loads((root / "set" / "folds.json").read_text())
    assert first["changes"]["model.alike"] == "0.5"
    assert first["sentences"] == "own"
    found = {}
    for sentences in ("other", "none", "own"):
        assert main([config(root), *options, "--sentences", sentences]) == 0
        assert "reused 2 of 2 finished training runs" in capsys.readouterr().out
        found[sentences] = json.loads((root / "set" / "folds.json").read_text())["folds"]["1"]
    assert found["own"] == first["folds"]["1"]
    check_rescoring(root, root / "set" / "fold0_seed1")


def check_rescoring(root, folder):
    """Check that sentences of each source change the scores of a trained fold as documented."""
    names = json.loads((root / "s.json").read_text())[0]["test_keys"]
    videos = read_summarization_h5(root / "v.h5", None, ("features",), "features_text")
    videos = {name: videos[name] for name in names}
    own, other, none = (rescore_videos(folder, videos, source) for source in ("own", "other", "none"))
    for line in map(json.loads, (folder / "scores.jsonl").read_text().splitlines()):
        np.testing.assert_allclose(own[line["vid"]], line["pred_saliency_scores"], atol=2e-6)
    pairs = ((own, other), (other, none), (none, own))
    assert min(np.abs(a[names[0]] - b[names[0]]).max() for a, b in pairs) > 1e-5
    rotated = {name: replace(videos[name], text=videos[names[(i + 1) % 3]].text) for i, name in enumerate(names)}
    for name, scores in rescore_videos(folder, rotated, "own").items():
        np.testing.assert_array_equal(scores, other[name])


@pytest.mark.parametrize("options, message", [
    pytest.param(["--set", "model.alik=0"], "unknown key 'alik'; did you mean 'alike'", id="unknown key"),
    pytest.param(["--set", "alike"], "--set alike: not an assignment; write KEY.KEY=VALUE", id="no value"),
    pytest.param(["--set", "a b=1"], "--set a b=1: not an assignment; write KEY.KEY=VALUE", id="invalid key"),
    pytest.param(["--set", "model=1", "--set", "model.alike=0"],
                 "--set model.alike: another --set sets all of 'model'", id="conflict"),
    pytest.param(["--sentences", "captions"], "has no encoders", id="captions without encoders"),
])
def test_invalid_options_are_one_error(root, tmp_path, capsys, monkeypatch, no_baselines, options, message):
    monkeypatch.setattr("training.cross_validation._train_fold", lambda cfg, work_dir, *rest: (cfg.parent, False))
    assert main([config(root), "--seeds", "1", "--work-dir", str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err


def test_an_interruption_prints_no_traceback(root, monkeypatch, capsys):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.cross_validation.cross_validate", interrupt)
    assert main([config(root)]) == 130
    assert "Run the same command again to continue" in capsys.readouterr().err


def test_captions_describe_the_shots():
    """Use two shots; the encoders name each shot's class, and a caption's embedding shows its length and class."""
    class VisualEncoder:
        parts = dict(a=2, b=1)   # noqa: RUF012

        def classify(self, features, text):
            return ["dog", "cat"], features["a"]

    class TextEncoder:
        def embed(self, texts, report_progress=None):
            return np.array([[len(texts), "cat" in text] for text in texts], dtype=float)

    features = np.zeros((40, 3), dtype=np.float32)
    features[:20, 0], features[20:, 1] = 1, 1
    embeddings = caption_embeddings(features, SimpleNamespace(visual=VisualEncoder(), text=TextEncoder()))
    assert embeddings.tolist() == [[2, 1], [2, 0]]   # "This shows a cat." precedes "This shows a dog."


def test_a_config_that_selects_its_epoch_on_the_test_fold_is_refused(root):
    with pytest.raises(InputError, match="validates more than the last epoch"):
        cross_validate(config(root, interval=5), [1], root / "other")


@pytest.mark.slow
def test_f1_is_over_users_as_the_dataset_states(root):
    """Imitate SumMe: without user scores the mean of the user summaries is learned, and F1 is the maximum."""
    without = ("user_scores", "features_text")
    path = write(root, "summe", {f"video_{i}": {k: v for k, v in annotations(i).items() if k not in without}
                                 for i in range(6)})
    for reduce in ("avg", "max"):
        text = CONFIG.replace("{root}/v.h5", path).replace("{root}", str(root)).replace("{interval}", "20")
        (root / f"{reduce}.py").write_text(text.replace('text="features_text"', f'f1="{reduce}"'))
    mean, maximum = (cross_validate(str(root / f"{reduce}.py"), [1], root / f"work_{reduce}")
                     for reduce in ("avg", "max"))
    assert maximum["model"]["mean"]["kendall"] == mean["model"]["mean"]["kendall"] > 0.3
    assert maximum["model"]["mean"]["f1"] > mean["model"]["mean"]["f1"] + 2
    baselines = maximum["baselines"]
    assert baselines["random"]["f1"] > mean["baselines"]["random"]["f1"]
    assert set(baselines) == {"random", "ridge", "ridge, alike", "human"}
    assert set(baselines["human"]) == {"f1"}
    row = next(line for line in format_result(maximum).splitlines() if line.startswith("human")).split()
    assert row[1:3] == ["-", "-"]
    assert float(row[3]) == pytest.approx(baselines["human"]["f1"], abs=1e-3)


def test_measure_is_the_mean_over_the_named_videos(root):
    videos = read_summarization_h5(root / "v.h5")
    scores = {name: video.user_scores[0] for name, video in videos.items()}
    each = [measure(scores, videos, [name]) for name in ("video_1", "video_4")]
    both = measure(scores, videos, ["video_1", "video_4"])
    assert both["f1"] == pytest.approx(np.mean([row["f1"] for row in each]), abs=1e-3)
    tau = np.mean([kendalltau(scores["video_1"], user).statistic for user in videos["video_1"].user_scores])
    assert each[0]["kendall"] == pytest.approx(tau, abs=1e-4)
    without_summary = {**videos, "video_1": replace(videos["video_1"], user_summary=None)}
    assert measure(scores, without_summary, ["video_1"])["f1"] == 0


def smoothed_rows(video, num_columns=5):
    """Return features averaged over five rows and centered, by a slow definition."""
    x = video.features[:, :num_columns].astype(float)
    smooth = np.stack([x[max(0, i - 2):i + 3].mean(axis=0) for i in range(T)])
    return smooth - smooth.mean(axis=0)


@pytest.mark.parametrize("num_shared", [0, 2])
def test_ridge_equals_its_definition(root, num_shared):
    """Each video has the same weight, and the penalty is a share of the variance."""
    videos, train = read_summarization_h5(root / "v.h5"), ["video_1", "video_3", "video_5"]
    X = np.concatenate([smoothed_rows(videos[name], 5 - num_shared) for name in train]) / np.sqrt(T)
    y = np.concatenate([videos[name].gtscore - videos[name].gtscore.mean() for name in train]) / np.sqrt(T)
    weights = np.linalg.solve(X.T @ X + RIDGE_PENALTY * (X**2).sum() * np.eye(5 - num_shared), X.T @ y)
    found = ridge_scores(videos, train, ["video_0"], num_shared)["video_0"]
    assert np.allclose(found, smoothed_rows(videos["video_0"], 5 - num_shared) @ weights)


def test_ridge_scores_spread_to_similar_frames(root):
    videos, train = read_summarization_h5(root / "v.h5"), ["video_1", "video_3", "video_5"]
    plain = ridge_scores(videos, train, ["video_0"])["video_0"]
    own, x = (plain - plain.mean()) / plain.std(), smoothed_rows(videos["video_0"])
    spread = np.array([sum(x[t] @ x[u] * own[u] for u in range(T)) for t in range(T)])
    np.testing.assert_allclose(ridge_scores(videos, train, ["video_0"], similar_share=0.75)["video_0"],
                               0.25 * own + 0.75 * (spread - spread.mean()) / spread.std())
    smooth = np.convolve(videos["video_0"].features[:, 0], np.ones(5) / 5, "same")
    assert np.corrcoef(plain, smooth)[0, 1] > 0.8


@pytest.fixture(scope="module")
def titled(root):
    """Write a dataset whose titles point to the target.

    The last three feature columns are in the space of the sentences. Each video's target is high along the direction
    of its title; all frames and all titles also share a large offset, which carries no information.
    """
    def video(i):
        arrays, r = annotations(i), np.random.default_rng(50 + i)
        target, direction = arrays["features"][:, 0], np.eye(3)[i % 3] * (1 if i < 3 else -1)
        points = target[:, None] * direction + r.normal(0, 0.1, (T, 3)) + [0, 40, 0]
        return arrays | dict(features=np.concatenate([arrays["features"][:, :2], points], axis=1),
                             features_text=(direction + np.array([9.0, 0, 0]))[None])

    path = write(root, "titled", {f"video_{i}": video(i) for i in range(6)})
    return read_summarization_h5(path, None, ("features",), "features_text")


@pytest.mark.slow
def test_the_title_baseline_is_the_cosine_of_centered_frames_and_titles(root, titled):
    folds = json.loads((root / "s.json").read_text())
    found = compute_baselines(titled, folds, num_shared=3)

    def projection(name):
        i = int(name[-1])
        return titled[name].features[:, 2 + i % 3] * (1 if i < 3 else -1)

    best = np.mean([[measure({n: projection(n)}, titled, [n])["spearman"] for n in fold["test_keys"]]
                    for fold in folds])
    assert found["title"]["spearman"] > 0.8 * best > 0.5
    assert "title" not in compute_baselines(titled, folds)
    assert set(found) == {"random", "ridge", "ridge, alike", "title", "human", "raters' mean", "other raters"}


def test_rater_baselines_equal_their_definition(root, titled):
    folds = json.loads((root / "s.json").read_text())
    found = compute_baselines(titled, folds, num_shared=3)
    assert found["human"]["spearman"] > 0.8
    for name, mean in (("raters' mean", lambda users, i: users.mean(axis=0)),
                       ("other raters", lambda users, i: np.delete(users, i, 0).mean(axis=0))):
        taus = [[np.mean([kendalltau(mean(titled[n].user_scores, i), user).statistic
                          for i, user in enumerate(titled[n].user_scores)]) for n in fold["test_keys"]]
                for fold in folds]
        assert found[name]["kendall"] == pytest.approx(np.mean(taus), abs=2e-4)
    assert found["raters' mean"]["kendall"] > found["other raters"]["kendall"] > found["human"]["kendall"]


@pytest.mark.slow
def test_the_common_h5_file_of_the_literature_is_trained_on(tmp_path, capsys):
    """Run the shipped config on GoogLeNet pool5 features, only gtscore and user_summary, and DSNet's YAML splits."""
    present = ("gtscore", "change_points", "n_frames", "picks", "user_summary")
    videos = {f"video_{i}": {k: v for k, v in annotations(i).items() if k in present} for i in range(4)}
    for i, video in enumerate(videos.values()):
        padding = np.random.default_rng(i).normal(size=(T, 1019))
        video["features"] = np.concatenate([annotations(i)["features"], padding], axis=1)
    write(tmp_path, "pool5", videos)
    (tmp_path / "tvsum.yml").write_text(
        "- {train_keys: [../v.h5/video_0, ../v.h5/video_1], test_keys: [../v.h5/video_2, ../v.h5/video_3]}")
    changes = [f"data.{part}.{key}={tmp_path / name}" for part in ("train", "val")
               for key, name in (("h5_path", "pool5.h5"), ("split_path", "tvsum.yml"))]
    options = [option for change in [*changes, "stages.epochs=2", "stages.validation.interval=2"]
               for option in ("--set", change)]
    shipped = str(ROOT / "configs/tvsum/clip_it_pool5.py")
    assert main([shipped, "--seeds", "1", "--work-dir", str(tmp_path / "w"), *options]) == 0
    assert "kendall and spearman compare with the annotators' mean (gtscore)" in capsys.readouterr().out
    found = json.loads((tmp_path / "w" / "folds.json").read_text())
    assert set(found["baselines"]["human"]) == {"f1"}
    assert found["model"]["mean"]["f1"] > 0
    assert not found["by_annotator"]
    assert load_config(tmp_path / "w" / "fold0_seed1" / "config.py").model.video_dims == 1024


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not TVSUM.is_dir(), reason="needs ../shared/data/tvsum to reproduce the figures for TVSum")
def test_tvsum_is_ranked_better_than_by_ridge_regression(tmp_path, no_baselines):
    """Train the shipped config on five folds with one seed; the limits are the metrics of the ridge regression."""
    options = ["--complete", str(TVSUM / "tvsum40_efficientnet_lite0_1fps.h5"), "--out", str(tmp_path / "v.h5"),
               "--split", str(tmp_path / "s.json"), "--folds-of", str(TVSUM / "tvsum40_splits.json")]
    assert build(options) == 0
    changes = {f"data.{part}.{key}": str(tmp_path / name) for part in ("train", "val")
               for key, name in (("h5_path", "v.h5"), ("split_path", "s.json"))}
    shipped = str(ROOT / "configs/tvsum/clip_it_offline.py")
    mean = cross_validate(shipped, [1], tmp_path / "w", changes=changes)["model"]["mean"]
    assert mean["kendall"] > 0.194
    assert mean["spearman"] > 0.255
    assert mean["f1"] > 48.6
