"""Test tools/evaluate.py: printed metrics, the written file, and errors."""

import json

import pytest

from tests.golden.inputs import charades_pairs, qvhighlights_pairs, read_golden, tvsum_pairs, youtube_pairs
from tests.paths import SHARED
from tools.evaluate import main

DATA = SHARED / "data" / "qvhighlights"
LABEL = dict(qid=1, query="q", vid="v", duration=10, relevant_windows=[[2, 6]], relevant_clip_ids=[1, 2],
             saliency_scores=[[4, 4, 4], [4, 4, 4]])
PRED = dict(qid=1, query="q", vid="v", pred_relevant_windows=[[2, 6, 1]], pred_saliency_scores=[0, 1, 1, 0, 0])


@pytest.fixture
def files(tmp_path):
    (tmp_path / "p.jsonl").write_text(json.dumps(PRED) + "\n")
    (tmp_path / "l.jsonl").write_text(json.dumps(LABEL) + "\n")
    return tmp_path


def run(files, *more):
    return main(["qvhighlights", "--pred", str(files / "p.jsonl"), "--label", str(files / "l.jsonl"), *more])


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared is missing")
def test_the_metrics_equal_those_of_the_public_evaluator(tmp_path):
    assert main(["qvhighlights", "--pred", str(DATA / "moment_detr_val_preds.jsonl"), "--label",
                 str(DATA / "highlight_val_release.jsonl"), "--out", str(tmp_path / "m.json")]) == 0
    expected = json.loads((DATA / "moment_detr_val_metrics.json").read_text())
    assert json.loads((tmp_path / "m.json").read_text()) == expected


def test_perfect_predictions_have_metrics_of_100(files, capsys):
    assert run(files) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["MR-full-mAP"] == printed["HL-min-VeryGood-Hit1"] == 100


@pytest.mark.parametrize("option", ["--baselines", pytest.param("--floors", id="deprecated alias")])
def test_baselines_are_printed_with_the_metrics(files, capsys, option):
    assert run(files, option) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("MR-full-mAP "))
    values = dict(zip(line.split()[1::2], map(float, line.split()[2::2]), strict=True))
    assert values["predictions"] == values["oracle"] == 100
    assert 0 < values["random"] < 60


@pytest.mark.parametrize("name, text, message", [
    ("p.jsonl", "", "there are labels but no predictions of qid 1"),
    ("p.jsonl", "{", "p.jsonl: line 1: not JSON"),
    ("p.jsonl", json.dumps(PRED | dict(pred_relevant_windows=[[2, 6]])),
     "prediction of qid 1: pred_relevant_windows must"),
    pytest.param("p.jsonl", json.dumps(LABEL), "nothing to evaluate", id="labels as predictions"),
    ("l.jsonl", json.dumps(LABEL | dict(duration=4)), "l.jsonl: line 1: window"),
])
def test_invalid_files_are_one_error_and_no_metrics_are_written(files, capsys, name, text, message):
    (files / name).write_text(text)
    assert run(files, "--out", str(files / "m.json")) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert not captured.out
    assert not (files / "m.json").exists()


def test_the_output_must_not_be_a_folder(files, capsys):
    assert run(files, "--out", str(files)) == 2
    assert "is a folder; specify a file, e.g." in capsys.readouterr().err
    assert sorted(path.name for path in files.iterdir()) == ["l.jsonl", "p.jsonl"]


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_qvhighlights_equals_published_values(tmp_path):
    predictions, labels = (write_lines(tmp_path / f"{i}.jsonl", [dict(row, query="q", vid="v") for row in rows])
                           for i, rows in enumerate(qvhighlights_pairs()))
    assert main(["qvhighlights", "--pred", predictions, "--label", labels, "--out", str(tmp_path / "m.json")]) == 0
    assert json.loads((tmp_path / "m.json").read_text()) == read_golden("evaluators")["qvhighlights"]


def test_tvsum_and_youtube_equal_published_values(tmp_path, capsys):
    golden = read_golden("evaluators")
    for task, pairs, key in (("tvsum", tvsum_pairs(), "anno"), ("youtube", youtube_pairs(), "match")):
        scores, labels = pairs
        (tmp_path / "l.json").write_text(json.dumps({vid: {key: rows} for vid, rows in labels.items()}))
        pred = write_lines(tmp_path / "p.jsonl",
                           [dict(vid=vid, pred_saliency_scores=row) for vid, row in scores.items()])
        assert main([task, "--pred", pred, "--label", str(tmp_path / "l.json")]) == 0
        metric = {"tvsum": "tvsum_top5_map", "youtube": "youtube_map"}[task]
        assert json.loads(capsys.readouterr().out)["mAP"] == golden[metric]


def test_charades_equals_published_values(tmp_path):
    predictions, labels = charades_pairs()
    (tmp_path / "l.txt").write_text("".join(
        "A {} {}##one\n".format(*label["relevant_windows"][0]) for label in labels))
    lines = [dict(row, qid=row["qid"] + 1) for row in predictions]   # The qid is the number of the line.
    assert main(["charades", "--pred", write_lines(tmp_path / "p.jsonl", lines), "--label", str(tmp_path / "l.txt"),
                 "--out", str(tmp_path / "m.json")]) == 0
    assert json.loads((tmp_path / "m.json").read_text()) == pytest.approx(read_golden("evaluators")["charades"])


def test_youtube_of_a_domain_with_baselines(tmp_path, capsys):
    vids = ["a2nj7XCo2Rk", "9rP5yF9EC3Y"]
    (tmp_path / "l.json").write_text(json.dumps({vid: dict(match=[1, -1, -1, 1]) for vid in [*vids, "BsjTtq337mM"]}))
    pred = write_lines(tmp_path / "p.jsonl", [dict(vid=vid, pred_saliency_scores=[3, 1, 0, 2]) for vid in vids])
    assert main(["youtube", "--pred", pred, "--label", str(tmp_path / "l.json"), "--domain", "dog",
                 "--baselines"]) == 0
    _, _, model, _, random, _, oracle = capsys.readouterr().out.split()
    assert (model, oracle) == ("1.0000", "1.0000")
    assert 0.4 < float(random) < 0.9


def test_charades_with_baselines(tmp_path, capsys):
    (tmp_path / "l.txt").write_text("A 0 10##one\nB 20 30##two\n")
    pred = write_lines(tmp_path / "p.jsonl",
                       [dict(qid=1, pred_relevant_windows=[[0, 6, 1]]), dict(qid=2, pred_relevant_windows=[])])
    assert main(["charades", "--pred", pred, "--label", str(tmp_path / "l.txt"), "--out", str(tmp_path / "m.json"),
                 "--baselines"]) == 0
    assert json.loads((tmp_path / "m.json").read_text())["Rank1@0.5"] == 0.5
    assert "oracle 1.0000" in capsys.readouterr().out


@pytest.mark.parametrize("lines, message", [
    ([dict(vid="v", pred_saliency_scores=[1])], "video w: no prediction"),
    ([dict(vid="v", pred_saliency_scores=[1]), dict(vid="w", pred_saliency_scores=[1]),
      dict(vid="x", pred_saliency_scores=[1])],
     "video x: not among"),
    ([dict(vid="v", pred_saliency_scores=[1]), dict(vid="w", pred_saliency_scores=[1] * 9)],
     "video w: 9 scores for 3 clips"),
    ([dict(vid=["v"], pred_saliency_scores=[1])], "entry 1: vid ['v'] is not the name of a video"),
    ([dict(vid="v", pred_saliency_scores="abc"), dict(vid="w", pred_saliency_scores=[])],
     "video v: pred_saliency_scores must be"),
    ([dict(vid="v", pred_saliency_scores=[1]), dict(vid="w", pred_saliency_scores=[1]),
      dict(vid="w", pred_saliency_scores=[1])],
     "video w: predicted 2 times"),
])
def test_invalid_highlight_predictions_are_named(tmp_path, capsys, lines, message):
    (tmp_path / "l.json").write_text(json.dumps(dict(v=dict(match=[1, 0, 1]), w=dict(match=[1, 0, 1]))))
    pred = write_lines(tmp_path / "p.jsonl", lines)
    assert main(["youtube", "--pred", pred, "--label", str(tmp_path / "l.json")]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("qid", [[1], None, dict(a=1)])
def test_invalid_qids_are_named(tmp_path, capsys, qid):
    (tmp_path / "l.txt").write_text("A 0 10##one\n")
    pred = write_lines(tmp_path / "p.jsonl", [dict(qid=qid, pred_relevant_windows=[[0, 6, 1]])])
    assert main(["charades", "--pred", pred, "--label", str(tmp_path / "l.txt")]) == 2
    assert f"prediction 1: qid {qid!r} is not a number or text" in capsys.readouterr().err


def test_integer_and_text_qids_match(tmp_path, capsys):
    (tmp_path / "l.txt").write_text("A 0 10##one\nB 20 30##two\n")
    results = []
    for qids in ([1, 2], ["1", "2"], ["2", 1.0]):
        windows = {1: [[0, 6, 1]], 2: [[28, 40, 1]]}
        lines = [dict(qid=qid, pred_relevant_windows=windows[int(qid)]) for qid in qids]
        pred = write_lines(tmp_path / "p.jsonl", lines)
        assert main(["charades", "--pred", pred, "--label", str(tmp_path / "l.txt")]) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0]["Rank1@0.5"] == 0.5
    assert results[0] == results[1] == results[2]
    pred = write_lines(tmp_path / "p.jsonl", [dict(qid=qid, pred_relevant_windows=[]) for qid in (1, "1", "2")])
    assert main(["charades", "--pred", pred, "--label", str(tmp_path / "l.txt")]) == 2
    assert "the predictions have duplicates of qid 1; keep one of each" in capsys.readouterr().err


def test_integer_and_text_names_of_videos_match(tmp_path, capsys):
    (tmp_path / "l.json").write_text(json.dumps({"7": dict(match=[1, 0, 1]), "8": dict(match=[0, 1, 1])}))
    results = []
    for vids in (("7", "8"), (7, "8"), (7, 8)):
        pred = write_lines(tmp_path / "p.jsonl", [dict(vid=vids[0], pred_saliency_scores=[3, 2, 1]),
                                                  dict(vid=vids[1], pred_saliency_scores=[3, 2, 1])])
        assert main(["youtube", "--pred", pred, "--label", str(tmp_path / "l.json")]) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0] == results[1] == results[2]
    pred = write_lines(tmp_path / "p.jsonl", [dict(vid=vid, pred_saliency_scores=[3, 2, 1]) for vid in (7, "7", 8)])
    assert main(["youtube", "--pred", pred, "--label", str(tmp_path / "l.json")]) == 2
    assert "video 7: predicted 2 times" in capsys.readouterr().err


@pytest.mark.parametrize("length", ["0", "nan", "1e-300", "inf", "-2"])
def test_invalid_clip_lengths_are_named(files, capsys, length):
    assert run(files, f"--clip-len-s={length}") == 2
    assert "is not a clip length in seconds" in capsys.readouterr().err
    (files / "l.json").write_text(json.dumps(dict(v=dict(anno=[[1, 2]]))))
    assert main(["tvsum", "--pred", str(files / "p.jsonl"), "--label", str(files / "l.json"),
                 f"--clip-len-s={length}"]) == 2


def test_predictions_for_all_videos_serve_a_domain(tmp_path, capsys):
    """Predictions may contain videos of other domains, but no unlabeled videos."""
    labels = {vid: dict(anno=[[1, 5], [5, 1], [3, 3]]) for vid in ("Se3oxnaPsz0", "byxOvuiIJV0")}
    (tmp_path / "l.json").write_text(json.dumps(labels))
    lines = [dict(vid=vid, pred_saliency_scores=[1, 2, 3]) for vid in labels]
    args = ["tvsum", "--label", str(tmp_path / "l.json"), "--domain", "BK", "--pred"]
    assert main([*args, write_lines(tmp_path / "p.jsonl", lines)]) == 0
    both = json.loads(capsys.readouterr().out)
    assert main([*args, write_lines(tmp_path / "q.jsonl", lines[:1])]) == 0
    assert json.loads(capsys.readouterr().out) == both
    with_unlabeled = [*lines, dict(vid="x", pred_saliency_scores=[1, 2, 3])]
    assert main([*args, write_lines(tmp_path / "r.jsonl", with_unlabeled)]) == 2
    assert "video x: not among" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--baselines", pytest.param("--floors", id="deprecated alias")])
def test_the_file_contains_the_baselines(files, option):
    assert run(files, option, "--out", str(files / "m.json")) == 0
    baselines = json.loads((files / "m.json").read_text())["floors"]
    assert baselines["oracle"]["MR-full-mAP"] == 100
    assert 100 > baselines["random"]["MR-full-mAP"] > 0


def test_labels_of_the_test_split(tmp_path, capsys):
    """Evaluate on labels of the test split; labels without annotations are an error."""
    labels = [dict(label, query="q", vid=f"v{label['qid']}") for label in qvhighlights_pairs()[1]]
    truth = [dict(qid=label["qid"], query=label["query"], vid=label["vid"],
                  pred_relevant_windows=[[*window, 1] for window in label["relevant_windows"]]) for label in labels]
    args = ["qvhighlights", "--label", write_lines(tmp_path / "highlight_test_with_gt.jsonl", labels),
            "--pred", write_lines(tmp_path / "p.jsonl", truth)]
    assert main([*args, "--baselines", "--out", str(tmp_path / "m.json")]) == 0
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert metrics["brief"]["MR-full-R1@0.7"] == 100
    assert metrics["floors"]["random"]["MR-full-R1@0.7"] < 20
    bare = [{key: label[key] for key in ("qid", "query", "vid", "duration")} for label in labels]
    args[2] = write_lines(tmp_path / "highlight_test_release.jsonl", bare)
    assert main(args) == 2
    assert "nothing to evaluate" in capsys.readouterr().err
