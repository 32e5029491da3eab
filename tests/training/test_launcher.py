"""Training through the command on a tiny set: what it writes is true, reproducible, and resumes."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.annotations.qvhighlights import read_jsonl
from datasets.eval import eval_qvhighlights
from tools.launch import main
from training import launcher
from training.baselines import draw_other_videos, format_table

from .tiny import config


@pytest.fixture(scope="module")
def trained(tiny):
    cfg = config(tiny, tiny / "c.py")
    assert main([cfg, "--work-dir", str(tiny / "run"), "--dump", str(tiny / "p.jsonl")]) == 0
    return cfg, tiny / "run"


def metrics(work):
    return json.loads((work / "metrics.json").read_text())


def test_the_work_dir_holds_what_training_did(trained):
    _, work = trained
    history = json.loads((work / "history.json").read_text())
    assert [e["epoch"] for e in history["epochs"]] == [1, 2, 3]
    best = max(history["epochs"], key=lambda e: e["MR-full-mAP"])
    assert history["best_epoch"] == best["epoch"] == torch.load(work / "best.pth")["meta"]["epoch"]
    assert metrics(work)["MR-full-mAP"] == best["MR-full-mAP"] and metrics(work)["split"] == "val"
    assert torch.load(work / "last.pth")["meta"]["epoch"] == 3 and "optimizer" in torch.load(work / "last.pth")
    assert not list(work.glob("epoch_*.pth"))
    assert list(work.glob("tf_logs/events*"))
    log = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    assert [e["epoch"] for e in log if e["mode"] == "train"] == [1, 2, 3]
    picture = np.asarray(Image.open(work / "curves.png").convert("L"))
    assert picture.shape[1] > 2 * picture.shape[0] and (picture < 100).mean() > 0.005


def test_dumped_predictions_score_as_the_metrics_say(trained, tiny):
    scored = eval_qvhighlights(read_jsonl(tiny / "p.jsonl"), read_jsonl(tiny / "val.jsonl"))["brief"]
    assert {k: v for k, v in metrics(trained[1]).items() if k != "split"} == scored


def test_evaluating_the_best_checkpoint_gives_the_same_metrics(trained, tiny):
    cfg, work = trained
    assert main([cfg, "--eval", "--checkpoint", str(work / "best.pth"), "--work-dir", str(tiny / "again")]) == 0
    assert metrics(tiny / "again") == metrics(work)


def test_other_labels_are_evaluated_without_training_data(trained, tiny, tmp_path, capsys):
    cfg, work = trained
    lines = (tiny / "val.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "two.jsonl").write_text("".join(lines[:2]))
    lonely = tmp_path / "lonely.py"
    lonely.write_text(Path(cfg).read_text().replace("train.jsonl", "gone.jsonl"))
    assert main([str(lonely), "--eval", "--checkpoint", str(work / "best.pth"), "--label", str(tmp_path / "two.jsonl"),
                 "--work-dir", str(tmp_path / "w"), "--dump", str(tmp_path / "p.jsonl")]) == 0
    assert [p["qid"] for p in read_jsonl(tmp_path / "p.jsonl")] == [json.loads(line)["qid"] for line in lines[:2]]
    assert main([cfg, "--label", "x.jsonl"]) == 2 and "--label needs --eval" in capsys.readouterr().err


def test_one_seed_gives_one_model_and_another_another(trained, tiny):
    cfg, work = trained
    main([cfg, "--work-dir", str(tiny / "same")])
    main([cfg, "--work-dir", str(tiny / "other"), "--seed", "4"])
    weights = [torch.load(w / "last.pth")["state_dict"] for w in (work, tiny / "same", tiny / "other")]
    assert all(torch.equal(v, weights[1][k]) for k, v in weights[0].items())
    assert not all(torch.equal(v, weights[2][k]) for k, v in weights[0].items())


def test_every_epoch_is_shuffled_otherwise(tiny, tmp_path, monkeypatch):
    from models.model import UMT
    seen, forward = [], UMT.forward

    def watching(self, data, mode):
        if mode == "train":
            seen.extend(label["qid"] for label in data["meta"])
        return forward(self, data, mode)

    monkeypatch.setattr(UMT, "forward", watching)
    assert main([config(tiny, tmp_path / "c.py"), "--work-dir", str(tmp_path / "w")]) == 0
    epochs = [seen[i:i + 12] for i in range(0, 36, 12)]
    assert len(seen) == 36 and all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_a_resumed_run_goes_on_where_it_ended(trained, tiny):
    longer = config(tiny, tiny / "longer.py", epochs=5)
    assert main([longer, "--resume", str(trained[1] / "last.pth"), "--work-dir", str(tiny / "longer")]) == 0
    history = json.loads((tiny / "longer" / "history.json").read_text())["epochs"]
    assert [e["epoch"] for e in history] == [1, 2, 3, 4, 5]
    assert history[:3] == json.loads((trained[1] / "history.json").read_text())["epochs"]


@pytest.mark.parametrize("change, message", [
    (lambda t: t.replace("UniModalEncoder", "UniModelEncoder"), "did you mean 'UniModalEncoder'?"),
    (lambda t: t.replace("best_keys", "best_key"), "unknown key 'best_key'; did you mean 'best_keys'?"),
    (lambda t: t.replace("/val.jsonl", "/gone.jsonl"), "gone.jsonl: no such file"),
    (lambda t: t.replace("/text", "/txet"), "17 faults in the data:\n  data.train: "),
])
def test_faults_are_one_error_and_nothing_is_written(tiny, tmp_path, capsys, change, message):
    cfg = config(tiny, tmp_path / "bad.py", change=change)
    assert main([cfg, "--work-dir", str(tmp_path / "w")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and message in err and "Traceback" not in err
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("options, message", [
    (["--eval"], "--eval needs --checkpoint"),
    (["--eval", "--checkpoint", "gone.pth"], "gone.pth: no such checkpoint"),
    (["--resume", "best.pth"], "best.pth: no optimizer, no random, no scaler, so nothing"),
    (["--resume", "last.pth", "--checkpoint", "best.pth"], "exclude each other"),
])
def test_wrong_options_are_named(trained, tmp_path, capsys, options, message):
    cfg, work = trained
    options = [str(work / o) if o.endswith(".pth") else o for o in options]
    assert main([cfg, *options, "--work-dir", str(tmp_path / "w")]) == 2
    assert message in capsys.readouterr().err


def test_faults_of_all_labels_and_features_come_at_once(tiny, tmp_path, capsys):
    """Lines that are no JSON, windows beyond the end, and in the other split a feature file that is not there."""
    lines = (tiny / "train.jsonl").read_text().splitlines()
    lines[1], lines[3] = "{no json", json.dumps(json.loads(lines[3]) | dict(relevant_windows=[[1, 999]]))
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    label = json.loads((tiny / "val.jsonl").read_text().splitlines()[0])
    (tmp_path / "val.jsonl").write_text(json.dumps(label | dict(vid="gone")))
    cfg = config(tiny, tmp_path / "c.py", change=lambda text: text.replace(
        f"{tiny}/train.jsonl", str(tmp_path / "train.jsonl")).replace(f"{tiny}/val.jsonl", str(tmp_path / "val.jsonl")))
    assert main([cfg, "--check"]) == 2
    found = capsys.readouterr().err
    assert found.startswith("error: 2 faults in the data") and found.count("Traceback") == 0
    assert "line 2: not JSON" in found and "line 4: window [1, 999]" in found and "gone.npz: no such feature file" in found


def test_stopped_by_hand_it_says_how_to_go_on(trained, tmp_path, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.launcher._train", stop)
    assert main([trained[0], "--work-dir", str(tmp_path / "w")]) == 130
    assert capsys.readouterr().err.endswith("stopped; the same command with --resume goes on from the last whole epoch\n")


def test_check_trains_nothing_and_says_what_it_read(trained, tmp_path, capsys):
    assert main([trained[0], "--check", "--work-dir", str(tmp_path / "w")]) == 0
    assert capsys.readouterr().out == f"{trained[0]}: no fault in train (12), val (5)\n" and not (tmp_path / "w").exists()


def test_shuffled_queries_come_from_another_video():
    vids = ["a", "a", "b", "c"]
    for seed in range(20):
        assert all(vids[j] != vids[i] for i, j in enumerate(draw_other_videos(vids, seed)))
    assert len({tuple(draw_other_videos(vids, seed)) for seed in range(20)}) > 3


def test_the_table_has_a_row_per_metric_and_a_column_per_comparison():
    assert format_table(dict(model=dict(kendall=0.2094, f1=49.876)), "val").split() == ["val", "model", "f1", "49.88", "kendall", "0.209"]
    table = format_table(dict(model={"MR-full-mAP": 50.123, "other": 1}, random={"MR-full-mAP": 2}), "test")
    assert [row.split() for row in table.splitlines()] == [["test", "model", "random"], ["MR-full-mAP", "50.12", "2.00"]]
    assert len({len(row) for row in table.splitlines()}) == 1


@pytest.mark.parametrize("asked, hardware, taken, said", [
    ("auto", True, "bf16", ""), ("auto", False, None, ""), ("bf16", True, "bf16", ""), (None, True, None, ""),
    ("bf16", False, "bf16", "imitates bfloat16"), ("fp16", False, "fp16", "")])
def test_half_precision_is_taken_where_it_is_fast(monkeypatch, caplog, asked, hardware, taken, said):
    monkeypatch.setattr("training.launcher.cpu_has_bfloat16", lambda: hardware)
    monkeypatch.setattr("training.launcher.torch.cuda.is_available", lambda: False)
    logger = logging.getLogger("test_half_precision")
    assert launcher.select_amp(asked, logger) == taken
    assert said in caplog.text and bool(said) == bool(caplog.text)
