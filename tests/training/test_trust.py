"""Training survives what happens: kills, several processes, losses that are no numbers, overfitting."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.annotations.qvhighlights import read_jsonl
from models.blocks.standardize import Standardize
from tests.paths import ROOT
from tools.launch import main

from .tiny import config

KILLER = """
import os, signal, sys
from nncore.engine import Hook
from training.hooks import BestCheckpointHook
from training import checkpoints

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Killer(Hook):
    def after_train_iter(self, engine):
        if place == "in a step" and engine.iter == 7:
            die()
    def before_val_iter(self, engine):
        if place == "in a validation" and engine.epoch == 3:
            die()

from training import launcher
made = launcher.build_engine
def with_killer(*args):
    engine = made(*args)
    engine.register_hook(Killer())
    return engine
launcher.build_engine = with_killer
place = sys.argv.pop(1)
save = checkpoints.torch.save
def dying_save(checkpoint, path):
    save(checkpoint, path)
    if place == "while last.pth is written" and "optimizer" in checkpoint and checkpoint["meta"]["epoch"] == 3:
        with open(path, "r+b") as file:
            file.truncate(1000)
        die()
checkpoints.torch.save = dying_save
from tools.launch import main
raise SystemExit(main(sys.argv[1:]))
"""


def with_all_that_is_random(text):
    """Dropout, shuffling, reordering, noise, a schedule that depends on the iteration, workers."""
    text = text.replace("p=0.1,", "p=0.3, standardize=True, noise=0.3,").replace("**parts, label_path=\"", "**parts, label_path=\"", 1)
    text = text.replace("data = dict(train=dict(**parts,", "data = dict(train=dict(**parts, reorder=True,")
    text = text.replace("batch_size=4, shuffle=True", "batch_size=4, shuffle=True, num_workers=2")
    return text + """
stages = dict(epochs=5, optimizer=dict(type="AdamW", lr=3e-3), validation=dict(interval=1), grad_clip=dict(max_norm=1.0),
              lr_schedule=dict(type="iter", policy="cosine"), warmup=dict(type="iter", policy="linear", steps=4, ratio=0.1))
hooks = []
"""


@pytest.fixture(scope="module")
def whole(tiny):
    """A training of five epochs that nobody killed."""
    cfg = config(tiny, tiny / "trust.py", change=with_all_that_is_random)
    assert main([cfg, "--work-dir", str(tiny / "whole")]) == 0
    return cfg, tiny / "whole"


def equal(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return torch.equal(one, other) if torch.is_tensor(one) else one == other


SLOW = pytest.mark.slow


@pytest.mark.parametrize("place", [
    "in a step", pytest.param("in a validation", marks=SLOW), pytest.param("while last.pth is written", marks=SLOW)])
def test_a_killed_training_ends_as_if_it_had_not_been(whole, tiny, tmp_path, place):
    cfg, expected = whole
    (tmp_path / "killer.py").write_text(KILLER)
    work = tmp_path / "work"
    killed = subprocess.run([sys.executable, tmp_path / "killer.py", place, cfg, "--work-dir", work], cwd=ROOT,
                            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-1000:]
    assert torch.load(work / "last.pth")["meta"]["epoch"] == 2
    assert bool(list(work.glob(".last.*.pth"))) == (place == "while last.pth is written")
    assert main([cfg, "--resume", "--work-dir", str(work)]) == 0
    assert not list(work.glob(".last.*.pth"))
    for name in ("last.pth", "best.pth"):
        one, other = (torch.load(folder / name) for folder in (work, expected))
        assert equal(one, other), name
    for name in ("history.json", "metrics.json"):
        assert (work / name).read_text() == (expected / name).read_text()
    epochs = [json.loads(line)["epoch"] for line in (work / "log.jsonl").read_text().splitlines()]
    assert epochs == [json.loads(line)["epoch"] for line in (expected / "log.jsonl").read_text().splitlines()]


def test_resuming_before_the_first_checkpoint_begins_anew(whole, tmp_path):
    cfg, expected = whole
    assert main([cfg, "--resume", "--work-dir", str(tmp_path / "w")]) == 0
    assert equal(*(torch.load(folder / "last.pth") for folder in (tmp_path / "w", expected)))


def test_resuming_a_finished_training_only_evaluates(whole, tmp_path):
    cfg, expected = whole
    before = (expected / "last.pth").read_bytes()
    assert main([cfg, "--resume", str(expected / "last.pth"), "--work-dir", str(tmp_path / "w")]) == 0
    assert (tmp_path / "w/metrics.json").read_text() == (expected / "metrics.json").read_text()
    assert (expected / "last.pth").read_bytes() == before and not (tmp_path / "w/last.pth").exists()


def test_a_resume_from_another_config_names_the_difference(whole, tmp_path, capsys):
    cfg, work = whole
    other = tmp_path / "other.py"
    other.write_text(Path(cfg).read_text().replace("lr=3e-3", "lr=1e-3").replace("p=0.3", "p=0.2"))
    assert main([str(other), "--resume", str(work / "last.pth"), "--work-dir", str(tmp_path / "w")]) == 2
    error = capsys.readouterr().err
    assert "comes from a training with another config, different in model.video_enc.p, stages[0].optimizer.lr;" in error


def without_dropout(text):
    text = text.replace('dims=[6, 16], p=0.1,', 'dims=[6, 16], p=0, standardize=True,')
    text = text.replace('dict(type="EncoderLayer")', 'dict(type="EncoderLayer", p=0)')
    text = text.replace('dims=[5, 16], enc_cfg=dict(type="Attention")', 'dims=[5, 16], p=0, enc_cfg=dict(type="Attention", p=0)')
    return text.replace('dict(type="DecoderLayer")', 'dict(type="DecoderLayer", p=0)').replace("max_len=20", "max_len=20, p=0")


def ragged(tiny, folder, train, val):
    """A set of the tiny one's videos, each of another length."""
    r = np.random.default_rng(5)
    (folder / "video").mkdir()
    lines = [json.loads(line) for line in (tiny / "train.jsonl").read_text().splitlines()]
    made = []
    for qid in range(train + val):
        T = int(r.integers(5, 13))
        np.savez(folder / "video" / f"v{qid}.npz", features=r.normal(0, 1, (T, 6)))
        line = lines[qid % 12]
        windows = [[0, 4], [6, 2 * T - 1.5]][:1 + qid % 2]
        made.append(dict(line, qid=qid, vid=f"v{qid}", duration=2 * T + 1.5, relevant_windows=windows,
                         relevant_clip_ids=[0, 1], saliency_scores=[[4, 3, 2], [1, 4, 4]]))
    (folder / "text").mkdir()
    for qid in range(train + val):
        np.savez(folder / "text" / f"qid{qid}.npz", last_hidden_state=r.normal(0, 1, (int(r.integers(2, 6)), 5)))
    for split, part in (("train", made[:train]), ("val", made[train:])):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in part))
    return folder


@pytest.mark.parametrize("train, epochs", [(11, 2), pytest.param(13, 1, marks=SLOW)])   # the last batch has three, or one: a process has none of it
def test_two_processes_train_as_one_with_the_same_batch(tiny, tmp_path, train, epochs):
    data = ragged(tiny, tmp_path, train, 5)
    one = config(data, tmp_path / "one.py", epochs, lambda t: without_dropout(t).replace("batch_size=3", "batch_size=4"))
    two = config(data, tmp_path / "two.py", epochs, lambda t: without_dropout(t).replace(
        "batch_size=4", "batch_size=2").replace("batch_size=3", "batch_size=2"))
    assert main([one, "--work-dir", str(tmp_path / "w1")]) == 0
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "tools/launch.py",
                           two, "--work-dir", str(tmp_path / "w2"), "--dump", str(tmp_path / "p.jsonl")], cwd=ROOT,
                          capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    logs = [[json.loads(line) for line in (tmp_path / w / "log.jsonl").read_text().splitlines()] for w in ("w1", "w2")]
    assert len(logs[0]) == 2 * epochs
    for single, double in zip(*logs, strict=True):
        assert {k: v for k, v in double.items() if "loss" in k} == pytest.approx(
            {k: v for k, v in single.items() if "loss" in k}, abs=2e-5)   # the log rounds to five decimals
    for name in ("history.json", "metrics.json"):
        one, two = (json.loads((tmp_path / w / name).read_text()) for w in ("w1", "w2"))
        for single, double in zip(one.get("epochs", [one]), two.get("epochs", [two]), strict=True):
            assert double == pytest.approx(single, abs=1e-5)
    one, two = (torch.load(tmp_path / w / "last.pth") for w in ("w1", "w2"))
    for key, value in one["state_dict"].items():
        if not key.endswith("k.bias"):   # has no gradient but rounding, which Adam makes steps of
            torch.testing.assert_close(two["state_dict"][key], value, atol=1e-5, rtol=0, msg=key)
    assert len(two["random"]) == 2
    assert sorted(line["qid"] for line in read_jsonl(tmp_path / "p.jsonl")) == list(range(train, train + 5))


def test_statistics_of_several_processes_are_those_of_all_rows(monkeypatch):
    rows = torch.randn(50, 3) * torch.tensor([1.0, 5, 0.1]) + 2
    whole, part = Standardize(3), Standardize(3)
    whole.update(rows)
    from models.blocks import standardize
    monkeypatch.setattr(standardize, "world_size", lambda: 2)
    variance, mean = torch.var_mean(rows[20:].double(), dim=0, correction=0)
    others = iter([30 * (variance + mean**2), 30 * mean, torch.tensor(30.0)])
    monkeypatch.setattr(standardize, "world_sum", lambda value: value + next(others))
    part.update(rows[:20])
    for name in ("count", "mean", "scatter"):
        torch.testing.assert_close(getattr(part, name), getattr(whole, name), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_trains_and_resumes(tiny, tmp_path, amp):
    cfg = config(tiny, tmp_path / "c.py", epochs=2, change=lambda t: t + f'\namp = "{amp}"')
    assert main([cfg, "--work-dir", str(tmp_path / "whole")]) == 0
    scaler = torch.load(tmp_path / "whole/last.pth")["scaler"]
    assert bool(scaler) == (amp == "fp16")
    half = config(tiny, tmp_path / "h.py", epochs=1, change=lambda t: t + f'\namp = "{amp}"')
    assert main([half, "--work-dir", str(tmp_path / "half")]) == 0
    assert main([cfg, "--resume", "--work-dir", str(tmp_path / "half")]) == 0
    assert equal(*(torch.load(tmp_path / w / "last.pth") for w in ("whole", "half")))
    exact = config(tiny, tmp_path / "e.py", epochs=1)
    assert main([exact, "--work-dir", str(tmp_path / "exact")]) == 0
    losses = [json.loads((tmp_path / w / "log.jsonl").read_text().splitlines()[0])["loss"] for w in ("whole", "exact")]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.1)   # fp16 begins with skipped steps


def test_a_loss_that_is_no_number_stops_with_the_batch_named(tiny, tmp_path, capsys):
    cfg = config(tiny, tmp_path / "c.py", change=lambda t: t.replace("lr=3e-3", "lr=1e30"))
    assert main([cfg, "--work-dir", str(tmp_path / "w")]) == 2
    error = capsys.readouterr().err
    assert "is not a number at epoch" in error and str(tmp_path / "w/bad_batch.json") in error
    bad = json.loads((tmp_path / "w/bad_batch.json").read_text())
    assert len(bad["batch"]) == 4 and all(entry["vid"] == f"v{entry['qid']}" for entry in bad["batch"])
    assert any(value in ("nan", "inf") for value in bad["losses"].values())


def test_training_stops_early_and_stays_stopped(tiny, tmp_path):
    """The learning rate is 0, so no validation is better than the first."""
    cfg = config(tiny, tmp_path / "c.py", epochs=9,
                 change=lambda t: t.replace("lr=3e-3", "lr=0.0") + "\nearly_stop = dict(patience=2)")
    assert main([cfg, "--work-dir", str(tmp_path / "w")]) == 0
    history = json.loads((tmp_path / "w/history.json").read_text())
    assert [e["epoch"] for e in history["epochs"]] == [1, 2, 3] and history["best_epoch"] == 1
    assert main([cfg, "--resume", "--work-dir", str(tmp_path / "w")]) == 0
    assert json.loads((tmp_path / "w/history.json").read_text()) == history
