"""What does not fit the model, and faults of all kinds at once, are named before anything is trained."""

import json

import numpy as np
import pytest
import torch

from tools.launch import main

from .tiny import config

AUDIO = ('audio_enc=dict(type="UniModalEncoder", dims=[4, 16], pos_cfg=pos, enc_cfg=dict(type="EncoderLayer")),'
         'cross_enc=dict(type="CrossModalEncoder", dims=16, pos_cfg=pos, enc_cfg=dict(type="BottleneckTransformer")), query_gen=')


def check(tiny, tmp_path, capsys, change=lambda text: text, *options):
    capsys.readouterr()
    status = main([config(tiny, tmp_path / "c.py", change=change), "--check", "--work-dir", str(tmp_path / "w"), *options])
    assert not (tmp_path / "w").exists()
    shown = capsys.readouterr()
    assert status == (2 if shown.err.startswith("error: ") else 0) and "Traceback" not in shown.err
    return shown.err


@pytest.mark.parametrize("old, new, message", [
    ("dims=[6, 16]", "dims=[7, 16]", "data.train: {root}/video: 6 wide, but model.video_enc expects 7, its dims[0]"),
    ("dims=[5, 16]", "dims=[4, 16]", "data.val: {root}/text: 5 wide, but model.query_gen expects 4, its dims[0]"),
    ("max_len=20", "max_len=9", "data.train: v0: 10 clips, but the model has positions for 9, its max_len"),
    ("query_gen=", AUDIO, "data.val: no audio_path, but model.audio_enc reads audio features 4 wide"),
    ("MR-full-mAP", "MR-full-map", "data.val: best_keys ['MR-full-map']: none is among the metrics HL-min-Fair-Hit1"),
    ('type="EncoderLayer"', 'type="EncoderLayer", heads=5', "model: cannot be built (ValueError: Attention: 5 heads do not divide"),
    ("query_gen=", AUDIO[:AUDIO.index("cross_enc")] + "query_gen=", "UMT needs cross_enc exactly when"),
    ("dims=[6, 16], p=0.1,", "p=0.1,", "UniModalEncoder: missing a required argument: 'dims'"),
    ("cache=True", "clip_len_s=0", "data.train: clip_len_s=0: is not a clip's length"),
    ("cache=True", "clip_len_s=float('nan')", "data.val: clip_len_s=nan: is not a clip's length"),
])
def test_what_does_not_fit_is_named(tiny, tmp_path, capsys, old, new, message):
    assert message.replace("{root}", str(tiny)) in check(tiny, tmp_path, capsys, lambda text: text.replace(old, new))


def test_faults_of_all_kinds_come_in_one_message(tiny, tmp_path, capsys):
    """A misspelt key, a faulty model, a line that is no JSON, a feature file of NaN and one that is not there."""
    lines = (tiny / "train.jsonl").read_text().splitlines()
    lines[0] = "{bad"
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    (tmp_path / "video").mkdir()
    for path in (tiny / "video").iterdir():
        if path.stem != "v6":
            (tmp_path / "video" / path.name).write_bytes(path.read_bytes())
    np.savez(tmp_path / "video/v5.npz", features=np.full((10, 6), np.nan))
    found = check(tiny, tmp_path, capsys, lambda text: text.replace(f"{tiny}/train.jsonl", f"{tmp_path}/train.jsonl").replace(
        f"{tiny}/video", f"{tmp_path}/video").replace("best_keys", "best_kyes").replace("dims=[5, 16], enc", "dims=[5, 15], enc"))
    for message in ("unknown key 'best_kyes'", "model: cannot be built", "3 faults in the data", "train.jsonl: line 1: not JSON",
                    "v5.npz: holds NaN or infinity; make it again (for", "v6.npz: no such feature file", "line 7)"):
        assert message in found, message


@pytest.mark.parametrize("split", ["train", "val"])
def test_labels_without_answers_train_nothing(tiny, tmp_path, capsys, split):
    lines = [json.loads(line) for line in (tiny / f"{split}.jsonl").read_text().splitlines()]
    for line in lines:
        del line["relevant_windows"]
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    swap = lambda text: text.replace(f"{tiny}/{split}.jsonl", str(tmp_path / "l.jsonl"))   # noqa: E731
    assert f"data.{split}: {tmp_path}/l.jsonl: no line has relevant_windows, which the model learns" in check(tiny, tmp_path, capsys, swap)
    moments = 'dict(type="SaliencyHead", dims=[16, 1]), '
    bare = "".join(json.dumps({k: v for k, v in line.items() if k not in ("relevant_clip_ids", "saliency_scores")} | dict(
        relevant_windows=[[0, 4]])) + "\n" for line in lines)
    (tmp_path / "l.jsonl").write_text(bare)
    assert "no line has saliency_scores" in check(tiny, tmp_path, capsys, swap)
    assert check(tiny, tmp_path, capsys, lambda text: swap(text).replace(moments, "")) == ""


def test_check_reads_the_checkpoints_too(tiny, tmp_path, capsys):
    cfg = config(tiny, tmp_path / "one.py", epochs=1)
    assert main([cfg, "--work-dir", str(tmp_path / "one")]) == 0
    last = str(tmp_path / "one/last.pth")
    assert check(tiny, tmp_path, capsys, lambda text: text, "--resume", last) == ""
    assert "different in stages[0].optimizer.lr" in check(
        tiny, tmp_path, capsys, lambda text: text.replace("lr=3e-3", "lr=1e-3"), "--resume", last)
    for option in ("--resume", "--checkpoint"):
        assert "gone.pth: no such checkpoint" in check(tiny, tmp_path, capsys, lambda text: text, option, "gone.pth")
    for old, new, place in (("seed = 3", "seed = 4", "seed"), ('"MR-full-mAP"', '"MR-long-mAP"', "best_keys[0]"),
                            ("del pos", 'hooks = ["MemoryHook"]\ndel pos', "hooks"), ("val=dict(", "val=dict(reorder=True, ", "val.reorder")):
        assert f"another config, different in {place};" in check(
            tiny, tmp_path, capsys, lambda text, old=old, new=new: text.replace(old, new), "--resume", last), place
    assert "different in seed;" in check(tiny, tmp_path, capsys, lambda text: text, "--resume", last, "--seed", "9")
    bigger = lambda text: text.replace("batch_size=3", "batch_size=1").replace("epochs=3", "epochs=7")   # noqa: E731
    assert check(tiny, tmp_path, capsys, bigger, "--resume", last) == ""


def test_the_trial_leaves_the_training_as_it_is(tiny, tmp_path, monkeypatch):
    cfg = config(tiny, tmp_path / "c.py", epochs=1, change=lambda t: t.replace("train=dict(**parts", "train=dict(**parts, reorder=True"))
    assert main([cfg, "--work-dir", str(tmp_path / "with")]) == 0
    monkeypatch.setattr("training.preflight.dry_run_errors", lambda *_: [])
    assert main([cfg, "--work-dir", str(tmp_path / "without")]) == 0
    one, other = (torch.load(tmp_path / name / "last.pth")["state_dict"] for name in ("with", "without"))
    assert all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize("keep, kept", [
    ("dict(every=2)", {"last.pth", "best.pth", "epoch_2.pth"}), ("dict(last=False)", {"best.pth"})])
def test_what_is_kept_is_what_the_config_says(tiny, tmp_path, keep, kept):
    cfg = config(tiny, tmp_path / "c.py", change=lambda text: text + f"\nkeep = {keep}")
    assert main([cfg, "--work-dir", str(tmp_path / "w")]) == 0
    assert {path.name for path in (tmp_path / "w").glob("*.pth")} == kept
    if "epoch_2.pth" in kept:
        assert torch.load(tmp_path / "w/epoch_2.pth")["meta"]["epoch"] == 2
