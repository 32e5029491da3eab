"""The whole flow on a small sample set: film, extract, train, evaluate, and cut with the network off."""

import json
import subprocess
import sys
from pathlib import Path

import av
import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
CONFIG = """
_base_ = ["{root}/configs/sample/umt_sample.py"]
d = "{data}/"
f = dict(video_path=[d + "features/efficientnet_lite0", d + "features/conse"], audio_path=d + "features/logmel",
         query_path=d + "features/minilm")
data = dict(train=dict(**f, label_path=d + "train.jsonl"), val=dict(**f, label_path=d + "val.jsonl"),
            test=dict(**f, label_path=d + "test.jsonl"))
stages = dict(epochs=2)
del d, f
"""


def run(*command, prefix=()):
    done = subprocess.run([*prefix, sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def can_unshare():
    return subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode == 0


def test_from_photographs_to_a_cut(tmp_path):
    data, work, out = tmp_path / "sample", tmp_path / "work", tmp_path / "out"
    run("tools/make_sample.py", "--out", data, "--videos", 4, "--min-duration", 24, "--max-duration", 30)
    run("tools/extract_features.py", data / "videos", "--labels", *(data / f"{s}.jsonl" for s in ("train", "val", "test")),
        "--out", data / "features", "--encoders", "offline")
    (tmp_path / "c.py").write_text(CONFIG.replace("{root}", str(ROOT)).replace("{data}", str(data)))
    printed = run("tools/launch.py", tmp_path / "c.py", "--work-dir", work)
    head = next(line for line in printed.splitlines() if line.startswith("test ") and "model" in line)
    assert head.split() == ["test", "model", "shuffled", "random", "zeroshot", "oracle"]
    metrics = json.loads((work / "metrics.json").read_text())
    assert metrics["split"] == "test" and metrics["MR-full-R1@0.5-oracle"] == 100

    label = json.loads((data / "test.jsonl").read_text().splitlines()[0])
    run("tools/summarize.py", data / "videos" / f"{label['vid']}.mp4", "--text", label["query"], "--config",
        tmp_path / "c.py", "--checkpoint", work / "best.pth", "--out", out,
        prefix=("unshare", "-n") if can_unshare() else ())
    summary = json.loads((out / "summary.json").read_text())
    with av.open(str(out / "summary.mp4")) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames == sum(last - first + 1 for first, last in (piece["frame"] for piece in summary["summary"]))
    assert frames / summary["fps"] <= 0.15 * summary["duration"] + 2
    assert summary["text"] == [label["query"]] and (out / "report.html").stat().st_size > 10_000
