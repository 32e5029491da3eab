"""The dry run reports data that do not match the model, and all other errors together, before a training starts."""

import json

import numpy as np
import pytest
import torch

from tools.launch import main

from .tiny import config

AUDIO = ('audio_enc=dict(type="UniModalEncoder", dims=[4, 16], pos_cfg=pos, enc_cfg=dict(type="EncoderLayer")),'
         'cross_enc=dict(type="CrossModalEncoder", dims=16, pos_cfg=pos, '
         'enc_cfg=dict(type="BottleneckTransformer")), query_gen=')


def unchanged(text):
    return text


def check(tiny, tmp_path, capsys, change=unchanged, *options):
    """Run `launch.py --check` on a changed config and return what it prints on stderr."""
    capsys.readouterr()
    cfg = config(tiny, tmp_path / "c.py", change=change)
    status = main([cfg, "--check", "--work-dir", str(tmp_path / "w"), *options])
    assert not (tmp_path / "w").exists()
    shown = capsys.readouterr()
    assert status == (2 if shown.err.startswith("error: ") else 0)
    assert "Traceback" not in shown.err
    return shown.err


@pytest.mark.parametrize("old, new, message", [
    pytest.param("dims=[6, 16]", "dims=[7, 16]",
                 "data.train: {root}/video: features of width 6, but model.video_enc expects 7, its dims[0]",
                 id="video width"),
    pytest.param("dims=[5, 16]", "dims=[4, 16]",
                 "data.val: {root}/text: features of width 5, but model.query_gen expects 4, its dims[0]",
                 id="query width"),
    pytest.param("max_len=20", "max_len=9", "data.train: v0: 10 clips, but the model has positions for 9, its max_len",
                 id="too many clips"),
    pytest.param("query_gen=", AUDIO,
                 "data.val: no audio_path, but model.audio_enc reads audio features of width 4", id="no audio"),
    pytest.param("MR-full-mAP", "MR-full-map",
                 "data.val: best_keys ['MR-full-map']: none is among the metrics HL-min-Fair-Hit1",
                 id="unknown metric"),
    pytest.param('type="EncoderLayer"', 'type="EncoderLayer", heads=5',
                 "model: cannot be built (ValueError: Attention: 5 heads do not divide", id="number of heads"),
    pytest.param("query_gen=", AUDIO[:AUDIO.index("cross_enc")] + "query_gen=", "UMT needs cross_enc exactly when",
                 id="no cross encoder"),
    pytest.param("dims=[6, 16], p=0.1,", "p=0.1,", "UniModalEncoder: missing a required argument: 'dims'",
                 id="missing argument"),
    pytest.param("cache=True", "clip_len_s=0", "data.train: clip_len_s=0 is not a clip length in seconds",
                 id="clip length 0"),
    pytest.param("cache=True", "clip_len_s=float('nan')", "data.val: clip_len_s=nan is not a clip length in seconds",
                 id="clip length NaN"),
])
def test_a_mismatch_is_reported(tiny, tmp_path, capsys, old, new, message):
    assert message.replace("{root}", str(tiny)) in check(tiny, tmp_path, capsys, lambda text: text.replace(old, new))


def test_errors_of_all_kinds_come_in_one_message(tiny, tmp_path, capsys):
    """Combine a misspelled key, an invalid model, a line that is not JSON, NaN features and a missing feature file."""
    lines = (tiny / "train.jsonl").read_text().splitlines()
    lines[0] = "{bad"
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    (tmp_path / "video").mkdir()
    for path in (tiny / "video").iterdir():
        if path.stem != "v6":
            (tmp_path / "video" / path.name).write_bytes(path.read_bytes())
    np.savez(tmp_path / "video/v5.npz", features=np.full((10, 6), np.nan))

    def change(text):
        for old, new in ((f"{tiny}/train.jsonl", f"{tmp_path}/train.jsonl"), (f"{tiny}/video", f"{tmp_path}/video"),
                         ("best_keys", "best_kyes"), ("dims=[5, 16], enc", "dims=[5, 15], enc")):
            text = text.replace(old, new)
        return text

    found = check(tiny, tmp_path, capsys, change)
    for message in ("unknown key 'best_kyes'", "model: cannot be built", "3 errors in the data",
                    "train.jsonl: line 1: not JSON", "v5.npz: contains NaN or infinity (needed by",
                    "v6.npz: no such feature file", "line 7)"):
        assert message in found, message


def test_a_folder_that_is_missing_in_all_splits_is_one_error(tiny, tmp_path, capsys):
    found = check(tiny, tmp_path, capsys, lambda text: text.replace(f"{tiny}/video", f"{tmp_path}/gone"))
    assert found.splitlines() == [
        "error: 1 error in the data:", f"  data.train, data.val: {tmp_path}/gone: no such folder of features; create it "
        "with tools/extract_features.py, or correct the path in the config"]


@pytest.mark.parametrize("split", ["train", "val"])
def test_labels_without_what_the_model_learns_are_refused(tiny, tmp_path, capsys, split):
    lines = [json.loads(line) for line in (tiny / f"{split}.jsonl").read_text().splitlines()]
    for line in lines:
        del line["relevant_windows"]
    labels = tmp_path / "l.jsonl"
    labels.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def use_labels(text):
        return text.replace(f"{tiny}/{split}.jsonl", str(labels))

    def without_saliency_head(text):
        return use_labels(text).replace('dict(type="SaliencyHead", dims=[16, 1]), ', "")

    found = check(tiny, tmp_path, capsys, use_labels)
    assert f"data.{split}: {labels}: no line has relevant_windows, which the model learns" in found
    without_scores = [{k: v for k, v in line.items() if k not in ("relevant_clip_ids", "saliency_scores")}
                      | dict(relevant_windows=[[0, 4]]) for line in lines]
    labels.write_text("".join(json.dumps(line) + "\n" for line in without_scores))
    assert "no line has saliency_scores" in check(tiny, tmp_path, capsys, use_labels)
    assert check(tiny, tmp_path, capsys, without_saliency_head) == ""


@pytest.fixture
def last(tiny, tmp_path):
    """Train one epoch and return its last.pth."""
    cfg = config(tiny, tmp_path / "one.py", epochs=1)
    assert main([cfg, "--work-dir", str(tmp_path / "one")]) == 0
    return str(tmp_path / "one/last.pth")


def test_check_reads_the_checkpoints_too(tiny, tmp_path, capsys, last):
    assert check(tiny, tmp_path, capsys, unchanged, "--resume", last) == ""
    for option in ("--resume", "--checkpoint"):
        assert "gone.pth: no such checkpoint" in check(tiny, tmp_path, capsys, unchanged, option, "gone.pth")


def test_check_compares_the_config_with_that_of_the_resumed_training(tiny, tmp_path, capsys, last):
    for old, new, location in (
            ("lr=3e-3", "lr=1e-3", "stages[0].optimizer.lr (0.003, now 0.001)"),
            ("seed = 3", "seed = 4", "seed (3, now 4)"),
            ('"MR-full-mAP"', '"MR-long-mAP"', "best_keys[0] ('MR-full-mAP', now 'MR-long-mAP')"),
            ("del pos", 'hooks = ["MemoryHook"]\ndel pos', "hooks (None, now ['MemoryHook'])"),
            ("val=dict(", "val=dict(reorder=True, ", "val.reorder (unset, now True)")):
        found = check(tiny, tmp_path, capsys, lambda text, old=old, new=new: text.replace(old, new), "--resume", last)
        assert f"another config, which differs in {location};" in found, location
    assert "differs in seed (3, now 9);" in check(tiny, tmp_path, capsys, unchanged, "--resume", last, "--seed", "9")


def test_validation_batches_and_number_of_epochs_may_differ_in_a_resume(tiny, tmp_path, capsys, last):
    def change(text):
        return text.replace("batch_size=3", "batch_size=1").replace("epochs=3", "epochs=7")

    assert check(tiny, tmp_path, capsys, change, "--resume", last) == ""


def test_the_dry_run_does_not_affect_the_training(tiny, tmp_path, monkeypatch):
    """Compare the weights with and without it; `reorder` draws random numbers for every item."""
    cfg = config(tiny, tmp_path / "c.py", epochs=1,
                 change=lambda t: t.replace("train=dict(**parts", "train=dict(**parts, reorder=True"))
    assert main([cfg, "--work-dir", str(tmp_path / "with")]) == 0
    monkeypatch.setattr("training.preflight.dry_run_errors", lambda *_: [])
    assert main([cfg, "--work-dir", str(tmp_path / "without")]) == 0
    one, other = (torch.load(tmp_path / name / "last.pth")["state_dict"] for name in ("with", "without"))
    assert all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize("keep, kept", [
    pytest.param("dict(every=2)", {"last.pth", "best.pth", "epoch_2.pth"}, id="every second epoch"),
    pytest.param("dict(last=False)", {"best.pth"}, id="no last.pth")])
def test_the_config_states_which_checkpoints_are_kept(tiny, tmp_path, keep, kept):
    cfg = config(tiny, tmp_path / "c.py", change=lambda text: text + f"\nkeep = {keep}")
    assert main([cfg, "--work-dir", str(tmp_path / "w")]) == 0
    assert {path.name for path in (tmp_path / "w").glob("*.pth")} == kept
    if "epoch_2.pth" in kept:
        assert torch.load(tmp_path / "w/epoch_2.pth")["meta"]["epoch"] == 2
