"""The studio's workflow by its documented commands: from raw files and a ratings table to metrics and a summary."""

import csv
import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from models.encoders import CLIPText
from models.encoders.import_without_init import import_without_init
from tests.audio.fakes import write_audio
from tests.models.conftest import random_clip
from tests.paths import ROOT
from tests.pipelines.fakes import write_video

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RAW = ("made_up_e00_00", "made_up_e00_01")   # These clips exist as files, and their features are extracted.
AUDIO_FILES = ("Made up E00 00.WAV", "made_up_e00_01 (1) copy.wav.wav")   # Their audio, with irregular names.
SUBTITLE = "and then the whole family dances in the rain until the morning " * 15   # More than twice CLIP's 77 tokens.
CONFIG = """
_base_ = "{configs}/umt_base_200e_hotstar_highlight_865_clip_panns.py"
path = "{data}/"
features = dict(video_path=[path + "clip_b32"], audio_path=path + "panns_cnn14", query_path=path + "clip_text_b32")
data = dict(train=dict(**features, label_path=path + "train.jsonl", loader=dict(num_workers=0, batch_size=16)),
            val=dict(**features, label_path=path + "val.jsonl"))
model = dict(   # A quarter of the published width.
    video_enc=dict(dims=[512, 64]), audio_enc=dict(dims=[2048, 64]), cross_enc=dict(dims=64),
    query_gen=dict(dims=[512, 64]), query_dec=dict(dims=64, dec_cfg=[dict(type="DecoderLayer")]),
    pred_head=[dict(type="SaliencyHead", dims=[64, 1], saliency_loss=dict(type="DynamicBCELoss", loss_weight=3.0)),
               dict(type="BoundaryHead", dims=[64, 1])])
stages = dict(epochs=2)
del path, features
"""
ENCODERS = """
encoders = dict(visual=dict(type="CLIPImage", weights="{clip}"), text=dict(type="CLIPText", weights="{clip}"),
                audio=dict(type="Cnn14", weights="{cnn14}"))
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Write CLIP and PANNs checkpoints in the published formats and widths, with random weights."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save(random_clip(embed_dim=512, text_width=512).state_dict(), folder / "clip.pt")
    torch.manual_seed(11)
    panns = import_without_init("panns_inference", "models", "panns-inference")
    network = panns.Cnn14(32000, 1024, 320, 64, 50, 14000, 527)
    torch.save({"model": network.state_dict()}, folder / "cnn14.pth")
    return folder


def replace_features_by_raw_files(dataset, folder):
    """Remove features and text of two clips; write their videos, subtitles and irregularly named audio files."""
    for name, audio in zip(RAW, AUDIO_FILES, strict=True):
        (dataset / f"features/clip_b32/{name}.npz").unlink()
        (dataset / f"features/panns_cnn14/{name}.npy").unlink()
        for part in ("clips", "subtitles"):
            (folder / part).mkdir(exist_ok=True)
        write_video(folder / f"clips/{name}.mp4", ["red", "green", "blue"] * 50, fps=2, loud_s=[3])
        write_audio(folder / "sounds" / audio, 150.0)
        (folder / f"subtitles/{name}.srt").write_text(f"1\n00:00:01,000 --> 00:02:00,000\n{SUBTITLE}\n")
    with (dataset / "ratings.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (dataset / "ratings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "text": "" if row["clip"] in RAW else row["text"]} for row in rows)


class Steps:
    """A runner of commands that records the wall-clock and CPU seconds of each."""

    def __init__(self):
        self.seconds = {}

    def __call__(self, name, *command):
        start, cpu = time.monotonic(), self.cpu_s()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "VIRTUAL_ENV": sys.prefix,
                       "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
        done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False,
                              env=environment)
        self.seconds[name] = (time.monotonic() - start, self.cpu_s() - cpu)
        print(f"{name:14s} {self.seconds[name][0]:6.1f} s wall clock, {self.seconds[name][1]:6.1f} s CPU")
        assert done.returncode == 0, f"{name}: {done.stdout[-1000:]}{done.stderr[-2000:]}"

    @staticmethod
    def cpu_s():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def studio(tmp_path_factory, weights):
    """Process 16 episodes of 30 rated clips, from raw files to a trained model, with the documented commands.

    Returns:
        The folder of all files, and the (wall-clock, CPU) seconds of each step.
    """
    folder, step = tmp_path_factory.mktemp("studio"), Steps()
    dataset, data, features = folder / "made", folder / "data", folder / "made/features"
    encoders = folder / "encoders.py"
    (folder / "c.py").write_text(CONFIG.format(configs=ROOT / "configs/hotstar", data=data))
    encoders.write_text(ENCODERS.format(clip=weights / "clip.pt", cnn14=weights / "cnn14.pth"))
    (folder / "summarize.py").write_text(f'_base_ = ["{encoders}", "{folder}/c.py"]\n')
    step("synthetic data", sys.executable, "tools/make_rated_sample.py", "--episodes", "16", "--out", dataset)
    replace_features_by_raw_files(dataset, folder)
    step("audio names", ROOT / "audio/unify_audio_name.sh", folder / "sounds", "--ids", dataset / "ratings.csv")
    step("audio", ROOT / "audio/extract_audio_feature.sh", folder / "sounds", features / "panns_cnn14",
         "--weights", weights / "cnn14.pth")
    step("visual", sys.executable, "tools/extract_features.py", folder / "clips", "--out", features, "--no-audio",
         "--encoders", encoders)
    step("labels", sys.executable, "tools/process_feature_and_label.py", dataset / "ratings.csv",
         "--visual", features / "clip_b32", "--audio", features / "panns_cnn14", "--subtitles", folder / "subtitles",
         "--out", data)
    step("text", sys.executable, "tools/extract_features.py", "--labels", data / "train.jsonl", data / "val.jsonl",
         "--out", data, "--encoders", encoders)
    step("training", ROOT / "run.sh", folder / "c.py", "--work-dir", folder / "w")
    step("summary", sys.executable, "tools/summarize.py", folder / f"clips/{RAW[0]}.mp4",
         "--text", "a song in the rain", "--config", folder / "summarize.py", "--checkpoint", folder / "w/best.pth",
         "--out", folder / "summary")
    return folder, step.seconds


def test_all_clips_are_processed(studio):
    folder, _ = studio
    report = json.loads((folder / "data/report.json").read_text())
    assert report["train"]["clips"] + report["val"]["clips"] == 480
    assert report["dropped"] == 0
    assert report["train"]["videos"] + report["val"]["videos"] == 16


def test_the_model_is_better_than_chance(studio):
    """The upper limits are below 100, because the raters disagree."""
    folder, _ = studio
    metrics = json.loads((folder / "w/metrics.json").read_text())
    assert 36 < metrics["AP-random"] < 43
    assert metrics["AP-oracle"] == metrics["ROC-AUC-oracle"] == 100
    assert metrics["HD-mAP-by-video-random"] + 5 < metrics["HD-mAP-by-video"] < 80
    assert metrics["HD-mAP-by-video-oracle"] == 100
    assert metrics["AP-random"] + 8 < metrics["AP"] < 70
    assert 60 < metrics["ROC-AUC"] < 85
    assert (folder / "w/curves.png").stat().st_size > 5000


def test_raw_clips_become_features_of_the_published_shapes(studio, weights):
    folder, _ = studio
    labels = {label["vid"]: label for name in ("train", "val")
              for label in map(json.loads, (folder / f"data/{name}.jsonl").open())}
    ids = CLIPText(weights=weights / "clip.pt").tokenizer.encode(SUBTITLE.strip())
    num_pieces = -(-len(ids) // 75)
    assert num_pieces > 2
    for name in RAW:
        assert labels[name]["query"] == SUBTITLE.strip()
        with np.load(folder / f"data/clip_text_b32/qid{labels[name]['qid']}.npz") as text:
            assert text["last_hidden_state"].shape == (len(ids) + 2 * num_pieces, 512)
            assert text["pooler_output"].shape == (512,)
        assert np.load(folder / f"data/clip_b32/{name}.npz")["features"].shape == (75, 512)
        audio = np.load(folder / f"data/panns_cnn14/{name}.npy")
        assert audio.shape == (75, 2048)
        assert audio.any()
    assert sorted(p.name for p in (folder / "sounds/originals").iterdir()) == sorted(AUDIO_FILES)


def test_the_summary_is_scored_by_the_model(studio):
    folder, _ = studio
    summary = json.loads((folder / "summary/summary.json").read_text())
    assert len(summary["clips"]) == 75
    assert all(0 < clip["score"] < 1 for clip in summary["clips"])
    kept_s = sum(last - first + 1 for first, last in (piece["frame"] for piece in summary["summary"])) / summary["fps"]
    assert 0 < kept_s <= 0.15 * 150 + 2
    assert (folder / "summary/summary.mp4").stat().st_size > 1000
