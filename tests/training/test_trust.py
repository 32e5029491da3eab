"""Robust training: kills, several processes, mixed precision, NaN losses and early stopping."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.annotations.json_files import read_jsonl
from models.blocks.standardize import Standardize
from tests.paths import ROOT
from tools.launch import main

from .tiny import config

# A program that runs tools/launch.py and kills itself at a point that its first argument names.
KILLER = """
import os, signal, sys
from nncore.engine import Hook
from training import checkpoints, launcher

point = sys.argv.pop(1)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Killer(Hook):
    def after_train_iter(self, engine):
        if point == "in a step" and engine.iter == 7:
            die()
    def before_val_iter(self, engine):
        if point == "in a validation" and engine.epoch == 3:
            die()

build_engine = launcher.build_engine
def build_engine_with_killer(*args):
    engine = build_engine(*args)
    engine.register_hook(Killer())
    return engine
launcher.build_engine = build_engine_with_killer

save = checkpoints.torch.save
def save_and_die(checkpoint, file):
    save(checkpoint, file)
    if point == "while last.pth is written" and "optimizer" in checkpoint and checkpoint["meta"]["epoch"] == 3:
        file.truncate(1000)
        die()
checkpoints.torch.save = save_and_die

from tools.launch import main
raise SystemExit(main(sys.argv[1:]))
"""
SLOW = pytest.mark.slow


def with_all_sources_of_randomness(text):
    """Change the config to use dropout, shuffling, reordering, noise, an iteration-based schedule, and workers."""
    text = text.replace("p=0.1,", "p=0.3, standardize=True, noise=0.3,")
    text = text.replace("data = dict(train=dict(**parts,", "data = dict(train=dict(**parts, reorder=True,")
    text = text.replace("batch_size=4, shuffle=True", "batch_size=4, shuffle=True, num_workers=2")
    return text + """
stages = dict(epochs=5, optimizer=dict(type="AdamW", lr=3e-3), validation=dict(interval=1),
              grad_clip=dict(max_norm=1.0), lr_schedule=dict(type="iter", policy="cosine"),
              warmup=dict(type="iter", policy="linear", steps=4, ratio=0.1))
hooks = []
"""


@pytest.fixture(scope="module")
def uninterrupted(tiny):
    """Train five epochs without an interruption; return the config and the work dir."""
    cfg = config(tiny, tiny / "trust.py", change=with_all_sources_of_randomness)
    assert main([cfg, "--work-dir", str(tiny / "uninterrupted")]) == 0
    return cfg, tiny / "uninterrupted"


def equal(one, other):
    """Return True if two checkpoints are exactly equal, at any depth."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return torch.equal(one, other) if torch.is_tensor(one) else one == other


def read_log(work):
    return [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("point", [
    "in a step", pytest.param("in a validation", marks=SLOW), pytest.param("while last.pth is written", marks=SLOW)])
def test_a_killed_training_resumes_to_exactly_the_same_result(uninterrupted, tiny, tmp_path, point):
    cfg, expected = uninterrupted
    (tmp_path / "killer.py").write_text(KILLER)
    work = tmp_path / "work"
    killed = subprocess.run([sys.executable, tmp_path / "killer.py", point, cfg, "--work-dir", work], cwd=ROOT,
                            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-1000:]
    assert torch.load(work / "last.pth")["meta"]["epoch"] == 2
    assert bool(list(work.glob(".last.*.pth"))) == (point == "while last.pth is written")
    assert main([cfg, "--resume", "--work-dir", str(work)]) == 0
    assert not list(work.glob(".last.*.pth"))
    for name in ("last.pth", "best.pth"):
        resumed, original = (torch.load(folder / name) for folder in (work, expected))
        assert equal(resumed, original), name
    for name in ("history.json", "metrics.json"):
        assert (work / name).read_text() == (expected / name).read_text()
    assert [entry["epoch"] for entry in read_log(work)] == [entry["epoch"] for entry in read_log(expected)]


@pytest.mark.slow
def test_resuming_before_the_first_checkpoint_starts_a_new_training(uninterrupted, tmp_path):
    cfg, expected = uninterrupted
    assert main([cfg, "--resume", "--work-dir", str(tmp_path / "w")]) == 0
    assert equal(*(torch.load(folder / "last.pth") for folder in (tmp_path / "w", expected)))


def test_resuming_a_finished_training_only_evaluates(uninterrupted, tmp_path):
    cfg, expected = uninterrupted
    before = (expected / "last.pth").read_bytes()
    assert main([cfg, "--resume", str(expected / "last.pth"), "--work-dir", str(tmp_path / "w")]) == 0
    assert (tmp_path / "w/metrics.json").read_text() == (expected / "metrics.json").read_text()
    assert (expected / "last.pth").read_bytes() == before
    assert not (tmp_path / "w/last.pth").exists()


def test_a_resume_with_another_config_reports_the_difference(uninterrupted, tmp_path, capsys):
    cfg, work = uninterrupted
    other = tmp_path / "other.py"
    other.write_text(Path(cfg).read_text().replace("lr=3e-3", "lr=1e-3").replace("p=0.3", "p=0.2"))
    assert main([str(other), "--resume", str(work / "last.pth"), "--work-dir", str(tmp_path / "w")]) == 2
    assert ("was trained with another config, which differs in model.video_enc.p (0.3, now 0.2), "
            "stages[0].optimizer.lr (0.003, now 0.001);") in capsys.readouterr().err


def without_dropout(text):
    """Change the config to have no dropout, because processes draw different random numbers."""
    for old, new in (
            ("dims=[6, 16], p=0.1,", "dims=[6, 16], p=0, standardize=True,"),
            ('dict(type="EncoderLayer")', 'dict(type="EncoderLayer", p=0)'),
            ('dims=[5, 16], enc_cfg=dict(type="Attention")', 'dims=[5, 16], p=0, enc_cfg=dict(type="Attention", p=0)'),
            ('dict(type="DecoderLayer")', 'dict(type="DecoderLayer", p=0)'), ("max_len=20", "max_len=20, p=0")):
        text = text.replace(old, new)
    return text


def write_videos_of_different_lengths(tiny, folder, num_train, num_val):
    """Write a dataset with the queries of the tiny one and random features of different lengths."""
    r = np.random.default_rng(5)
    (folder / "video").mkdir()
    labels = [json.loads(line) for line in (tiny / "train.jsonl").read_text().splitlines()]
    lines = []
    for qid in range(num_train + num_val):
        T = int(r.integers(5, 13))
        np.savez(folder / "video" / f"v{qid}.npz", features=r.normal(0, 1, (T, 6)))
        windows = [[0, 4], [6, 2 * T - 1.5]][:1 + qid % 2]
        lines.append(dict(labels[qid % 12], qid=qid, vid=f"v{qid}", duration=2 * T + 1.5, relevant_windows=windows,
                          relevant_clip_ids=[0, 1], saliency_scores=[[4, 3, 2], [1, 4, 4]]))
    (folder / "text").mkdir()
    for qid in range(num_train + num_val):
        np.savez(folder / "text" / f"qid{qid}.npz", last_hidden_state=r.normal(0, 1, (int(r.integers(2, 6)), 5)))
    for split, part in (("train", lines[:num_train]), ("val", lines[num_train:])):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in part))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("num_train, epochs", [
    pytest.param(13, 1, id="last batch of one, so one process has an empty part")])
def test_two_processes_train_like_one_with_the_same_global_batch(tiny, tmp_path, num_train, epochs):
    data = write_videos_of_different_lengths(tiny, tmp_path, num_train, 5)
    one = config(data, tmp_path / "one.py", epochs, lambda t: without_dropout(t).replace(
        "batch_size=3", "batch_size=4"))
    two = config(data, tmp_path / "two.py", epochs, lambda t: without_dropout(t).replace(
        "batch_size=4", "batch_size=2").replace("batch_size=3", "batch_size=2"))
    assert main([one, "--work-dir", str(tmp_path / "w1")]) == 0
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
                           "tools/launch.py", two, "--work-dir", str(tmp_path / "w2"),
                           "--dump", str(tmp_path / "p.jsonl")], cwd=ROOT, capture_output=True, text=True, check=False,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    logs = [read_log(tmp_path / w) for w in ("w1", "w2")]
    assert len(logs[0]) == 2 * epochs
    for single, double in zip(*logs, strict=True):
        assert {k: v for k, v in double.items() if "loss" in k} == pytest.approx(
            {k: v for k, v in single.items() if "loss" in k}, abs=2e-5)   # The log rounds to five decimals.
    for name in ("history.json", "metrics.json"):
        one, two = (json.loads((tmp_path / w / name).read_text()) for w in ("w1", "w2"))
        for single, double in zip(one.get("epochs", [one]), two.get("epochs", [two]), strict=True):
            assert double == pytest.approx(single, abs=1e-5)
    one, two = (torch.load(tmp_path / w / "last.pth") for w in ("w1", "w2"))
    for key, value in one["state_dict"].items():
        if not key.endswith("k.bias"):   # Its gradient is rounding error, which Adam scales up to full steps.
            torch.testing.assert_close(two["state_dict"][key], value, atol=1e-5, rtol=0, msg=key)
    assert len(two["random"]) == 2
    assert sorted(line["qid"] for line in read_jsonl(tmp_path / "p.jsonl")) == list(range(num_train, num_train + 5))


def test_statistics_of_several_processes_equal_those_of_all_rows(monkeypatch):
    """Replace the sum over processes by one that adds the statistics of a second process with 30 rows."""
    rows = torch.randn(50, 3) * torch.tensor([1.0, 5, 0.1]) + 2
    expected, found = Standardize(3), Standardize(3)
    expected.update(rows)
    from models.blocks import standardize
    monkeypatch.setattr(standardize, "world_size", lambda: 2)
    variance, mean = torch.var_mean(rows[20:].double(), dim=0, correction=0)
    other_process = iter([30 * (variance + mean**2), 30 * mean, torch.tensor(30.0)])
    monkeypatch.setattr(standardize, "world_sum", lambda value: value + next(other_process))
    found.update(rows[:20])
    for name in ("count", "mean", "scatter"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_trains_and_resumes(tiny, tmp_path, amp):
    def with_amp(text):
        return text + f'\namp = "{amp}"'

    cfg = config(tiny, tmp_path / "c.py", epochs=2, change=with_amp)
    assert main([cfg, "--work-dir", str(tmp_path / "uninterrupted")]) == 0
    scaler = torch.load(tmp_path / "uninterrupted/last.pth")["scaler"]
    assert bool(scaler) == (amp == "fp16")
    half = config(tiny, tmp_path / "h.py", epochs=1, change=with_amp)
    assert main([half, "--work-dir", str(tmp_path / "half")]) == 0
    assert main([cfg, "--resume", "--work-dir", str(tmp_path / "half")]) == 0
    assert equal(*(torch.load(tmp_path / w / "last.pth") for w in ("uninterrupted", "half")))
    float32 = config(tiny, tmp_path / "e.py", epochs=1)
    assert main([float32, "--work-dir", str(tmp_path / "float32")]) == 0
    mixed, full = (read_log(tmp_path / w)[0]["loss"] for w in ("uninterrupted", "float32"))
    assert mixed != full
    assert mixed == pytest.approx(full, rel=0.1)   # With fp16, the scaler skips the first steps.


def test_a_loss_that_is_not_finite_aborts_the_training_and_names_the_batch(tiny, tmp_path, capsys):
    cfg = config(tiny, tmp_path / "c.py", change=lambda t: t.replace("lr=3e-3", "lr=1e30"))
    assert main([cfg, "--work-dir", str(tmp_path / "w")]) == 2
    error = capsys.readouterr().err
    assert "is NaN or infinite at epoch" in error
    assert str(tmp_path / "w/bad_batch.json") in error
    bad = json.loads((tmp_path / "w/bad_batch.json").read_text())
    assert len(bad["batch"]) == 4
    assert all(entry["vid"] == f"v{entry['qid']}" for entry in bad["batch"])
    assert any(value in ("nan", "inf") for value in bad["losses"].values())


@pytest.mark.slow
def test_a_training_that_stopped_early_does_not_continue(tiny, tmp_path):
    """With a learning rate of 0, no validation is better than the first."""
    cfg = config(tiny, tmp_path / "c.py", epochs=9,
                 change=lambda t: t.replace("lr=3e-3", "lr=0.0") + "\nearly_stop = dict(patience=2)")
    assert main([cfg, "--work-dir", str(tmp_path / "w")]) == 0
    history = json.loads((tmp_path / "w/history.json").read_text())
    assert [e["epoch"] for e in history["epochs"]] == [1, 2, 3]
    assert history["best_epoch"] == 1
    assert main([cfg, "--resume", "--work-dir", str(tmp_path / "w")]) == 0
    assert json.loads((tmp_path / "w/history.json").read_text()) == history
