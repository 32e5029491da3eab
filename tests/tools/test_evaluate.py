"""The evaluator's command: numbers, file, and errors that name what is wrong."""

import json
from pathlib import Path

import pytest

from tools.evaluate import main

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "qvhighlights"
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


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared is not at hand")
def test_the_public_metrics_come_out_of_the_command(tmp_path):
    assert main(["qvhighlights", "--pred", str(DATA / "moment_detr_val_preds.jsonl"), "--label",
                 str(DATA / "highlight_val_release.jsonl"), "--out", str(tmp_path / "m.json")]) == 0
    assert json.loads((tmp_path / "m.json").read_text()) == json.loads((DATA / "moment_detr_val_metrics.json").read_text())


def test_perfect_predictions_print_full_marks(files, capsys):
    assert run(files) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["MR-full-mAP"] == printed["HL-min-VeryGood-Hit1"] == 100


def test_floors_stand_beside(files, capsys):
    assert run(files, "--floors") == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("MR-full-mAP "))
    values = dict(zip(line.split()[1::2], map(float, line.split()[2::2]), strict=True))
    assert values["predictions"] == values["oracle"] == 100 and 0 < values["random"] < 60


@pytest.mark.parametrize("name, text, message", [
    ("p.jsonl", "", "the predictions lack qid 1"),
    ("p.jsonl", "{", "p.jsonl: line 1: not JSON"),
    ("p.jsonl", json.dumps(PRED | dict(pred_relevant_windows=[[2, 6]])), "prediction of qid 1: pred_relevant_windows must"),
    ("p.jsonl", json.dumps(LABEL), "nothing to score"),   # the label file twice
    ("l.jsonl", json.dumps(LABEL | dict(duration=4)), "l.jsonl: line 1: window"),
])
def test_faults_are_one_error_and_no_file(files, capsys, name, text, message):
    (files / name).write_text(text)
    assert run(files, "--out", str(files / "m.json")) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and message in captured.err and not captured.out
    assert not (files / "m.json").exists()


def test_a_folder_is_no_place_for_the_metrics(files, capsys):
    assert run(files, "--out", str(files)) == 2
    assert "is a folder; name a file, e.g." in capsys.readouterr().err
    assert sorted(path.name for path in files.iterdir()) == ["l.jsonl", "p.jsonl"]
