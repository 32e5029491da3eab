"""Training by the command on a tiny dataset: its outputs are correct and reproducible, and a training resumes."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.annotations.json_files import read_jsonl
from datasets.eval import eval_qvhighlights
from tools.launch import main
from training import launcher
from training.baselines import draw_other_videos, format_table

from .tiny import config


@pytest.fixture(scope="module")
def trained(tiny):
    """Train three epochs; return the config and the work dir."""
    cfg = config(tiny, tiny / "c.py")
    assert main([cfg, "--work-dir", str(tiny / "run"), "--dump", str(tiny / "p.jsonl")]) == 0
    return cfg, tiny / "run"


def metrics(work):
    return json.loads((work / "metrics.json").read_text())


def test_the_history_names_the_best_epoch(trained):
    _, work = trained
    history = json.loads((work / "history.json").read_text())
    assert [e["epoch"] for e in history["epochs"]] == [1, 2, 3]
    best = max(history["epochs"], key=lambda e: e["MR-full-mAP"])
    assert history["best_epoch"] == best["epoch"] == torch.load(work / "best.pth")["meta"]["epoch"]
    assert history["monitor"] == history["watched"] == "MR-full-mAP"
    assert metrics(work)["MR-full-mAP"] == best["MR-full-mAP"]
    assert metrics(work)["split"] == "val"


def test_the_work_dir_holds_checkpoints_logs_and_curves(trained):
    _, work = trained
    assert torch.load(work / "last.pth")["meta"]["epoch"] == 3
    assert "optimizer" in torch.load(work / "last.pth")
    assert not list(work.glob("epoch_*.pth"))
    assert list(work.glob("tf_logs/events*"))
    log = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    assert [e["epoch"] for e in log if e["mode"] == "train"] == [1, 2, 3]
    image = np.asarray(Image.open(work / "curves.png").convert("L"))
    assert image.shape[1] > 2 * image.shape[0]
    assert (image < 100).mean() > 0.005


def test_dumped_predictions_have_the_reported_metrics(trained, tiny):
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
    without_training_data = tmp_path / "without_training_data.py"
    without_training_data.write_text(Path(cfg).read_text().replace("train.jsonl", "gone.jsonl"))
    assert main([str(without_training_data), "--eval", "--checkpoint", str(work / "best.pth"),
                 "--label", str(tmp_path / "two.jsonl"), "--work-dir", str(tmp_path / "w"),
                 "--dump", str(tmp_path / "p.jsonl")]) == 0
    assert [p["qid"] for p in read_jsonl(tmp_path / "p.jsonl")] == [json.loads(line)["qid"] for line in lines[:2]]
    assert main([cfg, "--label", "x.jsonl"]) == 2
    assert "--label needs --eval" in capsys.readouterr().err


@pytest.mark.slow
def test_equal_seeds_give_equal_models_and_another_seed_does_not(trained, tiny):
    cfg, work = trained
    main([cfg, "--work-dir", str(tiny / "same")])
    main([cfg, "--work-dir", str(tiny / "other"), "--seed", "4"])
    weights = [torch.load(w / "last.pth")["state_dict"] for w in (work, tiny / "same", tiny / "other")]
    assert all(torch.equal(v, weights[1][k]) for k, v in weights[0].items())
    assert not all(torch.equal(v, weights[2][k]) for k, v in weights[0].items())


def test_every_epoch_has_another_order(tiny, tmp_path, monkeypatch):
    from models.model import UMT
    seen, forward = [], UMT.forward

    def recording(self, data, mode):
        if mode == "train":
            seen.extend(label["qid"] for label in data["meta"])
        return forward(self, data, mode)

    monkeypatch.setattr(UMT, "forward", recording)
    assert main([config(tiny, tmp_path / "c.py"), "--work-dir", str(tmp_path / "w")]) == 0
    epochs = [seen[i:i + 12] for i in range(0, 36, 12)]
    assert len(seen) == 36
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_a_resumed_run_continues_the_history(trained, tiny):
    longer = config(tiny, tiny / "longer.py", epochs=5)
    assert main([longer, "--resume", str(trained[1] / "last.pth"), "--work-dir", str(tiny / "longer")]) == 0
    history = json.loads((tiny / "longer" / "history.json").read_text())["epochs"]
    assert [e["epoch"] for e in history] == [1, 2, 3, 4, 5]
    assert history[:3] == json.loads((trained[1] / "history.json").read_text())["epochs"]


@pytest.mark.parametrize("old, new, message", [
    pytest.param("UniModalEncoder", "UniModelEncoder", "did you mean 'UniModalEncoder'?", id="type"),
    pytest.param("best_keys", "best_key", "unknown key 'best_key'; did you mean 'best_keys'?", id="key"),
    pytest.param("/val.jsonl", "/gone.jsonl", "gone.jsonl: no such file", id="label file"),
    pytest.param("/text", "/txet", "1 error in the data:\n  data.train, data.val: ", id="feature folder"),
])
def test_errors_are_one_message_and_nothing_is_written(tiny, tmp_path, capsys, old, new, message):
    cfg = config(tiny, tmp_path / "bad.py", change=lambda text: text.replace(old, new))
    assert main([cfg, "--work-dir", str(tmp_path / "w")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("options, message", [
    pytest.param(["--eval"], "--eval needs --checkpoint", id="eval alone"),
    pytest.param(["--eval", "--checkpoint", "gone.pth"], "gone.pth: no such checkpoint", id="missing checkpoint"),
    pytest.param(["--resume", "best.pth"], "best.pth: cannot be resumed, because it lacks optimizer, random, scaler",
                 id="resume from best.pth"),
    pytest.param(["--resume", "last.pth", "--checkpoint", "best.pth"], "mutually exclusive", id="two checkpoints"),
])
def test_invalid_options_are_reported(trained, tmp_path, capsys, options, message):
    cfg, work = trained
    options = [str(work / o) if o.endswith(".pth") else o for o in options]
    assert main([cfg, *options, "--work-dir", str(tmp_path / "w")]) == 2
    assert message in capsys.readouterr().err


def test_errors_of_all_labels_and_features_come_at_once(tiny, tmp_path, capsys):
    """Combine an invalid JSON line, a window beyond the end, and a missing feature file in the other split."""
    lines = (tiny / "train.jsonl").read_text().splitlines()
    lines[1], lines[3] = "{no json", json.dumps(json.loads(lines[3]) | dict(relevant_windows=[[1, 999]]))
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    label = json.loads((tiny / "val.jsonl").read_text().splitlines()[0])
    (tmp_path / "val.jsonl").write_text(json.dumps(label | dict(vid="gone")))
    cfg = config(tiny, tmp_path / "c.py", change=lambda text: text.replace(
        f"{tiny}/train.jsonl", str(tmp_path / "train.jsonl")).replace(f"{tiny}/val.jsonl", str(tmp_path / "val.jsonl")))
    assert main([cfg, "--check"]) == 2
    found = capsys.readouterr().err
    assert found.startswith("error: 2 errors in the data")
    assert "Traceback" not in found
    assert "line 2: not JSON" in found
    assert "line 4: window [1, 999]" in found
    assert "gone.npz: no such feature file" in found


def test_an_interrupted_training_states_how_to_resume(trained, tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.launcher._train", interrupt)
    assert main([trained[0], "--work-dir", str(tmp_path / "w")]) == 130
    assert capsys.readouterr().err.endswith(
        "Interrupted. Run the same command with --resume to continue after the last complete epoch.\n")


def test_check_trains_nothing_and_states_what_it_read(trained, tmp_path, capsys):
    assert main([trained[0], "--check", "--work-dir", str(tmp_path / "w")]) == 0
    assert capsys.readouterr().out == f"{trained[0]}: no errors in train (12), val (5)\n"
    assert not (tmp_path / "w").exists()


def test_mismatched_queries_come_from_another_video():
    vids = ["a", "a", "b", "c"]
    for seed in range(20):
        assert all(vids[j] != vids[i] for i, j in enumerate(draw_other_videos(vids, seed)))
    assert len({tuple(draw_other_videos(vids, seed)) for seed in range(20)}) > 3


def test_the_table_has_a_row_per_metric_and_a_column_per_baseline():
    table = format_table(dict(model=dict(kendall=0.2094, f1=49.876)), "val")
    assert table.split() == ["val", "model", "f1", "49.88", "kendall", "0.209"]
    table = format_table(dict(model={"MR-full-mAP": 50.123, "other": 1}, random={"MR-full-mAP": 2}), "test")
    assert [row.split() for row in table.splitlines()] == [["test", "model", "random"],
                                                           ["MR-full-mAP", "50.12", "2.00"]]
    assert len({len(row) for row in table.splitlines()}) == 1


def test_the_table_titles_its_columns_by_standard_terms():
    column = {"AP": 50.0}
    table = format_table(dict(model=column, shuffled=column, random=column, zeroshot=column, oracle=column), "test")
    assert table.splitlines() == ["test        model  shuffled queries     random  zero-shot     oracle",
                                  "AP          50.00             50.00      50.00      50.00      50.00"]


@pytest.mark.parametrize("amp, has_bfloat16, selected, warning", [
    ("auto", True, "bf16", ""), ("auto", False, None, ""), ("bf16", True, "bf16", ""), (None, True, None, ""),
    ("bf16", False, "bf16", "emulates bfloat16"), ("fp16", False, "fp16", "")])
def test_auto_selects_half_precision_if_the_hardware_computes_in_it(
        monkeypatch, caplog, amp, has_bfloat16, selected, warning):
    monkeypatch.setattr("training.launcher.cpu_has_bfloat16", lambda: has_bfloat16)
    monkeypatch.setattr("training.launcher.torch.cuda.is_available", lambda: False)
    logger = logging.getLogger("test_half_precision")
    assert launcher.select_amp(amp, logger) == selected
    assert warning in caplog.text
    assert bool(warning) == bool(caplog.text)


def test_a_deprecated_config_key_is_logged(tiny, tmp_path, capsys):
    cfg = config(tiny, tmp_path / "c.py", epochs=1, change=lambda text: text + "\nfloors = False")
    assert main([cfg, "--work-dir", str(tmp_path / "w")]) == 0
    assert "The config key 'floors' is deprecated and will be removed; use 'baselines'" in capsys.readouterr().out
