"""Test `evaluate.py summary`: metrics of files in every format, and one error that lists all problems."""

import json

import h5py
import numpy as np
import pytest
from scipy.stats import kendalltau

from datasets.eval import f_score
from tests.golden.inputs import key_shot_case, read_golden
from tools.evaluate import main

T, FRAMES = 10, 100
SHOTS = np.stack([np.arange(0, FRAMES, 10), np.arange(9, FRAMES, 10)], axis=1)


def scores_of(i):
    return np.random.default_rng(i).random(T).round(6)


def users_of(i):
    return np.random.default_rng(100 + i).integers(1, 6, (3, T))


def summaries_of(i):
    kept = np.zeros((2, FRAMES), dtype=int)
    kept[0, 10 * i:10 * i + 10], kept[1, 50:60] = 1, 1
    return kept


@pytest.fixture
def folder(tmp_path):
    with h5py.File(tmp_path / "l.h5", "w") as file:
        for i in range(4):
            group = file.create_group(f"video_{i}")
            for key, value in dict(gtscore=users_of(i).mean(axis=0), user_scores=users_of(i), change_points=SHOTS,
                                   n_frames=FRAMES, picks=np.arange(0, FRAMES, 10),
                                   user_summary=summaries_of(i)).items():
                group.create_dataset(key, data=value)
    folds = [dict(train_keys=["video_0", "video_1"], test_keys=["video_2", "video_3"]),
             dict(train_keys=["video_2"], test_keys=["a/b/video_0"])]
    (tmp_path / "s.json").write_text(json.dumps(folds))
    write(tmp_path, [dict(vid=f"video_{i}", scores=scores_of(i).tolist()) for i in range(4)])
    return tmp_path


def write(folder, lines):
    (folder / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def run(folder, *more, pred="p.jsonl"):
    return main(["summary", "--pred", str(folder / pred), "--label", str(folder / "l.h5"), *more])


def expected(i):
    # Only one of the ten shots fits into 15 %.
    kept = np.repeat(np.arange(T) == scores_of(i).argmax(), 10).astype(int)
    return dict(f1_avg=f_score(kept, summaries_of(i), "avg"), f1_max=f_score(kept, summaries_of(i), "max"),
                kendall=np.mean([kendalltau(scores_of(i), u).statistic for u in users_of(i)]))


def test_metrics_of_every_video_and_their_mean(folder, capsys):
    assert run(folder, "--out", str(folder / "m.json")) == 0
    full, printed = json.loads((folder / "m.json").read_text()), json.loads(capsys.readouterr().out)
    assert list(full["videos"]) == [f"video_{i}" for i in range(4)]
    assert printed == full["mean"]
    for i in range(4):
        for key, value in expected(i).items():
            assert full["videos"][f"video_{i}"][key] == pytest.approx(value, abs=1e-5)
    for key in ("kendall", "f1_avg", "f1_max"):
        assert printed[key] == pytest.approx(np.mean([expected(i)[key] for i in range(4)]), abs=1e-5)


def test_f1_equals_published_values(tmp_path, capsys):
    cases = [key_shot_case(case) for case in read_golden("key_shots")["cases"]]
    with h5py.File(tmp_path / "l.h5", "w") as file:
        for i, case in enumerate(cases):
            users = np.zeros((len(case["user_shots"]), case["n_frames"]), dtype=int)
            for row, shots in zip(users, case["user_shots"], strict=True):
                for shot in shots:
                    row[case["shots"][shot][0]:case["shots"][shot][1] + 1] = 1
            for key, value in dict(gtscore=np.arange(len(case["picks"])), change_points=case["shots"],
                                   picks=case["picks"], n_frames=case["n_frames"], user_summary=users).items():
                file.create_dataset(f"video_{i}/{key}", data=value)
    (tmp_path / "p.json").write_text(json.dumps({f"video_{i}": case["scores"] for i, case in enumerate(cases)}))
    assert run(tmp_path, "--out", str(tmp_path / "m.json"), pred="p.json") == 0
    videos = json.loads((tmp_path / "m.json").read_text())["videos"]
    for i, case in enumerate(cases):
        assert videos[f"video_{i}"]["f1_avg"] == round(case["f_avg"], 5)
        assert videos[f"video_{i}"]["f1_max"] == round(case["f_max"], 5)
    assert "2 of 2 videos have no user_scores; their ranking is compared with gtscore" in capsys.readouterr().err


@pytest.mark.parametrize("lines", [
    lambda i: dict(video=f"video_{i}", scores=scores_of(i).tolist()),
    lambda i: dict(vid=f"video_{i}", pred_saliency_scores=scores_of(i).tolist(), qid=i)])
def test_alternative_keys_and_formats_give_the_same_metrics(folder, capsys, lines):
    assert run(folder) == 0
    first = capsys.readouterr().out
    write(folder, [lines(i) for i in (2, 0, 3, 1)])
    assert run(folder) == 0
    assert capsys.readouterr().out == first
    (folder / "p.json").write_text(json.dumps({f"video_{i}": scores_of(i).tolist() for i in range(4)}, indent=1))
    assert run(folder, pred="p.json") == 0
    assert capsys.readouterr().out == first


def test_a_fold_is_evaluated_on_its_test_videos(folder, capsys):
    assert run(folder, "--split", str(folder / "s.json"), "--fold", "0", "--per-video") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["video_2", "video_3", "mean"]
    assert float(rows[0][rows[0].index("f1_avg") + 1]) == pytest.approx(expected(2)["f1_avg"], abs=0.006)
    # Fold 1 needs scores of video_0 only.
    write(folder, [dict(vid="video_0", scores=scores_of(0).tolist())])
    assert run(folder, "--split", str(folder / "s.json"), "--fold", "1", "--out", str(folder / "m.json")) == 0
    assert list(json.loads((folder / "m.json").read_text())["videos"]) == ["video_0"]


@pytest.mark.parametrize("option", ["--baselines", pytest.param("--floors", id="deprecated alias")])
def test_baselines_are_printed_with_the_metrics(folder, capsys, option):
    write(folder, [dict(vid=f"video_{i}", scores=users_of(i).mean(axis=0).tolist()) for i in range(4)])
    assert run(folder, option) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert rows["kendall"][::2] == ["predictions", "random", "oracle", "human"]
    # Correlations have four decimals, percentages two.
    assert all(len(value.partition(".")[2]) == 4 for value in rows["kendall"][1::2])
    assert all(len(value.partition(".")[2]) == 2 for value in rows["f1_avg"][1::2])
    prediction, random, oracle, human = map(float, rows["kendall"][1::2])
    assert prediction == oracle > 0.3
    assert abs(random) < 0.1
    assert human < oracle
    # no two users keep the same
    assert rows["f1_avg"][1] == rows["f1_avg"][5]
    assert float(rows["f1_max"][7]) == 0


VALID_LINES = [dict(vid=f"video_{i}", scores=scores_of(i).tolist()) for i in range(4)]


def test_one_error_lists_all_problems(folder, capsys):
    write(folder, [VALID_LINES[0], VALID_LINES[0], dict(vid="video_1", scores=[1, 2]), dict(vid="video_9", scores=[1]),
                   dict(scores=[1]), dict(vid="video_2", scores=[0.5] * T)])
    assert run(folder, "--out", str(folder / "m.json")) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("error:") == 1
    assert not captured.out
    for message in ("p.jsonl: ", "video video_3: no scores", "video video_0: given 2 times",
                    "video video_1: 2 scores for 10 sampled frames",
                    "video video_9: not among the labels; did you mean 'video_", "entry 5: needs vid or video",
                    "video video_2: scores are all 0.5, so there is no ranking"):
        assert message in captured.err
    assert not (folder / "m.json").exists()


@pytest.mark.parametrize("text, message", [
    (json.dumps(dict(vid="video_0", scores=[0.1, float("nan"), *[0.2] * 8])), "video video_0: score 1 is nan"),
    (json.dumps(dict(vid="video_0", scores=[0.1, 2, float("-inf"), *[0.2] * 7])), "video video_0: score 2 is -inf"),
    (json.dumps(dict(vid="video_0", scores="high")), "video video_0: scores must be a list of numbers"),
    (json.dumps(dict(vid="video_0", scores=[[1], [1, 2]])), "video video_0: scores must be a list of numbers"),
    (json.dumps(dict(vid="video_0", scores=[None] * T)), "video video_0: scores must be a list of numbers"),
    ('{"video_0": [1, 2], "video_0": [1, 2]}', "video video_0: given 2 times"),
    ('{"video_1": [1, 2], "video_7": [3]}', "video video_7: not among the labels"),
    ("", "video video_0: no scores"),
    ("[1, 2]", "not a JSON object"),
    ("{", "line 1: not JSON")])
def test_invalid_files_are_named(folder, capsys, text, message):
    (folder / "p.jsonl").write_text(text)
    assert run(folder) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("options, message", [
    (["--fold", "1"], "--fold 1 needs --split"),
    (["--split", "s.json"], "needs --fold, from 0 to 1"),
    (["--split", "s.json", "--fold", "2"], "no fold 2, only 0..1"),
    (["--split", "none.json", "--fold", "0"], "no such split file"),
])
def test_splits_and_folds_go_together(folder, capsys, monkeypatch, options, message):
    monkeypatch.chdir(folder)
    assert run(folder, *options) == 2
    assert message in capsys.readouterr().err


def test_a_split_that_names_a_missing_video(folder, capsys):
    (folder / "s.json").write_text(json.dumps([dict(train_keys=["video_0"], test_keys=["video_8"])]))
    assert run(folder, "--split", str(folder / "s.json"), "--fold", "0") == 2
    assert "l.h5: no video 'video_8', which" in capsys.readouterr().err
