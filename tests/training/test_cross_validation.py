"""Five folds in one command, on a made-up set, and what the floors are."""

import json
from dataclasses import replace

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
from training.rescoring import rescore_videos
from training.summarization_baselines import RIDGE_PENALTY, compute_baselines, measure, ridge_scores

TVSUM = SHARED / "data" / "tvsum"
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
    assert (result["trainings"], result["earlier"]) == (4, 0) and "earlier run" not in format_result(result)
    monkeypatch.setattr("training.cross_validation.launch", lambda *a, **k: pytest.fail("was trained already"))
    again = cross_validate(config(root), [1, 2], root / "work")
    assert again["model"] == result["model"] and "reused 4 of 4 trainings from an earlier run" in format_result(again)
    with pytest.raises(pytest.fail.Exception, match="was trained already"):
        cross_validate(config(root), [1, 2], root / "work", fresh=True)


def test_what_changed_since_is_trained_again(root, tmp_path, monkeypatch):
    """Each of the data, the split and the code; nothing else is."""
    for name in ("v.h5", "s.json"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    trained = []

    def pretend(leaf, seed, work_dir, dump):
        trained.append(leaf)
        (tmp_path / dump).write_text("".join(json.dumps(dict(vid=f"video_{i}", pred_saliency_scores=list(range(T)))) + "\n" for i in range(6)))

    monkeypatch.setattr("training.cross_validation.launch", pretend)
    monkeypatch.setattr("training.cross_validation.compute_baselines", lambda *args: {})

    def run(seeds=(1,), **options):
        trained.clear()
        cross_validate(config(tmp_path), seeds, tmp_path / "work", **options)
        return len(trained)

    assert (run(), run(), run([1, 2])) == (2, 0, 2)
    write(tmp_path, "v", {f"video_{i}": values(i + 100) for i in range(6)})
    assert (run(), run()) == (2, 0)
    (tmp_path / "s.json").write_text((tmp_path / "s.json").read_text().replace("[{", "[ {"))
    assert (run(), run()) == (2, 0)
    (tmp_path / "code.py").write_text("1")
    monkeypatch.setattr("training.cross_validation.ROOT", tmp_path)
    monkeypatch.setattr("training.cross_validation.CODE", ("code.py",))
    assert (run(), run()) == (2, 0)
    (tmp_path / "code.py").write_text("2")
    assert (run(), run(), run(fresh=True), run(changes={"model.noise": 0.2}), run()) == (2, 0, 2, 2, 2)


def test_settings_and_sentences_are_changed_by_options(root, monkeypatch, capsys):
    monkeypatch.setattr("training.cross_validation.compute_baselines", lambda *args: {})   # which take long and are tested below
    options = ["--seeds", "1", "--work-dir", str(root / "set"), "--set", "model.alike=0.5", "--set", "stages.epochs=2", "--set",
               "stages.validation.interval=2"]
    assert main([config(root), *options]) == 0
    leaf = load_config(root / "set" / "fold0_seed1" / "config.py")
    assert (leaf.model.alike, leaf.stages.epochs, leaf.model.axes, leaf.data.val.fold) == (0.5, 2, 5, 0)
    first = json.loads((root / "set" / "folds.json").read_text())
    assert first["changes"]["model.alike"] == "0.5" and first["sentences"] == "own"
    found = {}
    for sentences in ("other", "none", "own"):
        assert main([config(root), *options, "--sentences", sentences]) == 0
        assert "reused 2 of 2 trainings from an earlier run" in capsys.readouterr().out
        found[sentences] = json.loads((root / "set" / "folds.json").read_text())["folds"]["1"]
    assert found["own"] == first["folds"]["1"]
    videos = read_summarization_h5(root / "v.h5", None, ("features",), "features_text")
    names = json.loads((root / "s.json").read_text())[0]["test_keys"]
    own = rescore_videos(root / "set" / "fold0_seed1", {name: videos[name] for name in names}, "own")
    dumped = [json.loads(line) for line in (root / "set/fold0_seed1/scores.jsonl").read_text().splitlines()]
    for line in dumped:
        np.testing.assert_allclose(own[line["vid"]], line["pred_saliency_scores"], atol=2e-6)
    other, none = (rescore_videos(root / "set" / "fold0_seed1", {n: videos[n] for n in names}, s)[names[0]] for s in ("other", "none"))
    assert min(np.abs(a - b).max() for a, b in ((own[names[0]], other), (other, none), (none, own[names[0]]))) > 1e-5
    turned = {name: replace(videos[name], text=videos[names[(i + 1) % 3]].text) for i, name in enumerate(names)}
    for name, scores in rescore_videos(root / "set" / "fold0_seed1", turned, "own").items():
        np.testing.assert_array_equal(scores, rescore_videos(root / "set" / "fold0_seed1", {n: videos[n] for n in names}, "other")[name])


@pytest.mark.parametrize("options, message", [
    (["--set", "model.alik=0"], "unknown key 'alik'; did you mean 'alike'"), (["--set", "alike"], "--set alike: write KEY.KEY=VALUE"),
    (["--set", "a b=1"], "--set a b=1: write KEY.KEY=VALUE"), (["--set", "model=1", "--set", "model.alike=0"], "another one sets 'model' itself"),
    (["--sentences", "captions"], "has no encoders"),
])
def test_odd_options_are_one_error(root, tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.setattr("training.cross_validation._train_fold", lambda leaf, work, *rest: (leaf.parent, False))
    monkeypatch.setattr("training.cross_validation.compute_baselines", lambda *args: {})
    assert main([config(root), "--seeds", "1", "--work-dir", str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err


def test_stopping_is_no_traceback(root, monkeypatch, capsys):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.cross_validation.cross_validate", stop)
    assert main([config(root)]) == 130 and "the same command goes on" in capsys.readouterr().err


def test_captions_are_of_the_shots(monkeypatch):
    """Two shots; the captioner names what each one's columns say, and the embeddings are of the sentences."""
    from types import SimpleNamespace

    from training.rescoring import caption_embeddings

    class Eyes:
        parts = dict(a=2, b=1)   # noqa: RUF012

        def classify(self, features, text):
            return ["dog", "cat"], features["a"]

    class Words:
        def encode(self, texts):
            return [SimpleNamespace(pooler_output=np.array([len(texts), "cat" in text], dtype=float)) for text in texts]

    features = np.zeros((40, 3), dtype=np.float32)
    features[:20, 0], features[20:, 1] = 1, 1
    said = caption_embeddings(features, SimpleNamespace(visual=Eyes(), text=Words()))
    assert said.tolist() == [[2, 1], [2, 0]]   # "This shows a cat." comes before "This shows a dog."


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
    assert set(most["floors"]) == {"random", "ridge", "ridge, alike", "human"} and set(most["floors"]["human"]) == {"f1"}
    line = next(line for line in format_result(most).splitlines() if line.startswith("human"))
    assert line.split()[1:3] == ["-", "-"] and float(line.split()[3]) == pytest.approx(most["floors"]["human"]["f1"], abs=1e-3)


def test_measures_the_named_videos_alone_and_their_mean(root):
    videos = read_summarization_h5(root / "v.h5")
    scores = {name: video.user_scores[0] for name, video in videos.items()}
    each = [measure(scores, videos, [name]) for name in ("video_1", "video_4")]
    assert measure(scores, videos, ["video_1", "video_4"])["f1"] == pytest.approx(np.mean([row["f1"] for row in each]), abs=1e-3)
    tau = np.mean([kendalltau(scores["video_1"], user).statistic for user in videos["video_1"].user_scores])
    assert each[0]["kendall"] == pytest.approx(tau, abs=1e-4)
    assert measure(scores, {**videos, "video_1": replace(videos["video_1"], user_summary=None)}, ["video_1"])["f1"] == 0


def test_ridge_equals_its_definition(root):
    """Smoothed over five rows, centred by video; each video weighs alike; the penalty is a share of the variance."""
    videos, train = read_summarization_h5(root / "v.h5"), ["video_1", "video_3", "video_5"]

    def rows(name, columns=5):
        x = videos[name].features[:, :columns].astype(float)
        smooth = np.stack([x[max(0, i - 2):i + 3].mean(axis=0) for i in range(T)])
        return smooth - smooth.mean(axis=0)

    for shared in (0, 2):
        X = np.concatenate([rows(name, 5 - shared) for name in train]) / np.sqrt(T)
        y = np.concatenate([videos[name].gtscore - videos[name].gtscore.mean() for name in train]) / np.sqrt(T)
        weights = np.linalg.solve(X.T @ X + RIDGE_PENALTY * (X**2).sum() * np.eye(5 - shared), X.T @ y)
        assert np.allclose(ridge_scores(videos, train, ["video_0"], shared)["video_0"], rows("video_0", 5 - shared) @ weights)
    own = ridge_scores(videos, train, ["video_0"])["video_0"]
    own, x = (own - own.mean()) / own.std(), rows("video_0")
    passed = np.array([sum(x[t] @ x[u] * own[u] for u in range(T)) for t in range(T)])
    np.testing.assert_allclose(ridge_scores(videos, train, ["video_0"], similar_share=0.75)["video_0"],
                               0.25 * own + 0.75 * (passed - passed.mean()) / passed.std())
    smooth = np.convolve(videos["video_0"].features[:, 0], np.ones(5) / 5, "same")
    assert np.corrcoef(ridge_scores(videos, train, ["video_0"])["video_0"], smooth)[0, 1] > 0.8


def test_the_titles_floor_is_the_cosine_of_centred_frames_and_titles(root):
    """Sentences point where the target lies, beside what all of them share, which tells nothing."""
    def told(i):
        made, r = values(i), np.random.default_rng(50 + i)
        target, way = made["features"][:, 0], np.eye(3)[i % 3] * (1 if i < 3 else -1)
        points = target[:, None] * way + r.normal(0, 0.1, (T, 3)) + [0, 40, 0]
        return made | dict(features=np.concatenate([made["features"][:, :2], points], axis=1), features_text=(way + np.array([9.0, 0, 0]))[None])

    videos = read_summarization_h5(write(root, "told", {f"video_{i}": told(i) for i in range(6)}), None, ("features",), "features_text")
    folds = json.loads((root / "s.json").read_text())
    found = compute_baselines(videos, folds, num_shared=3)
    best = np.mean([[measure({n: videos[n].features[:, 2 + int(n[-1]) % 3] * (1 if int(n[-1]) < 3 else -1)}, videos, [n])["spearman"]
                     for n in fold["test_keys"]] for fold in folds])
    assert found["title"]["spearman"] > 0.8 * best > 0.5 and "title" not in compute_baselines(videos, folds)
    assert set(found) == {"random", "ridge", "ridge, alike", "title", "human", "raters' mean", "other raters"}
    assert found["human"]["spearman"] > 0.8
    for name, mean in (("raters' mean", lambda users, i: users.mean(axis=0)), ("other raters", lambda users, i: np.delete(users, i, 0).mean(axis=0))):
        taus = [[np.mean([kendalltau(mean(videos[n].user_scores, i), user).statistic for i, user in enumerate(videos[n].user_scores)])
                 for n in fold["test_keys"]] for fold in folds]
        assert found[name]["kendall"] == pytest.approx(np.mean(taus), abs=2e-4)
    assert found["raters' mean"]["kendall"] > found["other raters"]["kendall"] > found["human"]["kendall"]


def test_the_fields_usual_file_is_trained_on(root, tmp_path, monkeypatch, capsys):
    """GoogLeNet's pool5, 1024 wide, gtscore and user_summary alone, and DSNet's YAML: its config, as it stands."""
    made = {f"video_{i}": {k: v for k, v in values(i).items() if k in ("gtscore", "change_points", "n_frames", "picks", "user_summary")}
            for i in range(4)}
    for i, video in enumerate(made.values()):
        video["features"] = np.concatenate([values(i)["features"], np.random.default_rng(i).normal(size=(T, 1019))], axis=1)
    write(tmp_path, "pool5", made)
    (tmp_path / "tvsum.yml").write_text("- {train_keys: [../v.h5/video_0, ../v.h5/video_1], test_keys: [../v.h5/video_2, ../v.h5/video_3]}")
    changes = [f"data.{part}.{key}={tmp_path / name}" for part in ("train", "val") for key, name in (("h5_path", "pool5.h5"), ("split_path", "tvsum.yml"))]
    options = [option for change in [*changes, "stages.epochs=2", "stages.validation.interval=2"] for option in ("--set", change)]
    shipped = str(ROOT / "configs/tvsum/clip_it_pool5.py")
    assert main([shipped, "--seeds", "1", "--work-dir", str(tmp_path / "w"), *options]) == 0
    printed = capsys.readouterr().out
    assert "Kendall and spearman compare with the annotators' mean (gtscore)" in printed
    found = json.loads((tmp_path / "w" / "folds.json").read_text())
    assert set(found["floors"]["human"]) == {"f1"} and found["model"]["mean"]["f1"] > 0 and not found["by_annotator"]
    assert load_config(tmp_path / "w" / "fold0_seed1" / "config.py").model.video_dims == 1024


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not TVSUM.is_dir(), reason="../shared/data/tvsum is not at hand, so the figures for TVSum cannot be shown")
def test_real_tvsum_is_ranked_better_than_by_the_ridge(tmp_path, monkeypatch):
    """One seed over the five folds, as the shipped config has it, against what the ridge regression gave."""
    monkeypatch.setattr("training.cross_validation.compute_baselines", lambda *args: {})   # half of the time
    options = ["--complete", str(TVSUM / "tvsum40_efficientnet_lite0_1fps.h5"), "--out", str(tmp_path / "v.h5"), "--split", str(tmp_path / "s.json"),
               "--folds-of", str(TVSUM / "tvsum40_splits.json")]
    assert build(options) == 0
    changes = {f"data.{part}.{key}": str(tmp_path / name) for part in ("train", "val") for key, name in (("h5_path", "v.h5"), ("split_path", "s.json"))}
    mean = cross_validate(str(ROOT / "configs/tvsum/clip_it_offline.py"), [1], tmp_path / "w", changes=changes)["model"]["mean"]
    assert mean["kendall"] > 0.194 and mean["spearman"] > 0.255 and mean["f1"] > 48.6
