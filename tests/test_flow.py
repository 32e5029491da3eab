"""The complete workflow: ./run.sh in a fresh copy of the checkout, then a summary without a network."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
# Changes of defaults that take half the time and lose a few per cent of the metrics: (file, text, its replacement).
FASTER = [
    ("configs/sample/umt_sample.py", "epochs=18", "epochs=9"),
    ("configs/_base_/datasets/sample.py", "loader=dict(batch_size=32, shuffle=True)",
     "loader=dict(batch_size=16, shuffle=True)"),
    ("sample_set/script.py", "fps: int = 8", "fps: int = 4"),
]
NOT_COPIED = (".git", ".venv", "data", "work_dirs", "__pycache__", ".*_cache")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Run ./run.sh in a copy of the checkout with `FASTER`; return the copy and what the script printed."""
    copy = tmp_path_factory.mktemp("fresh") / "tree"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for path, default, faster in FASTER:
        text = (copy / path).read_text()
        assert text.count(default) == 1
        (copy / path).write_text(text.replace(default, faster))
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    done = subprocess.run(["./run.sh"], cwd=copy, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return copy, done.stdout


def check_summary(out):
    """Check that summary.mp4 has exactly the frames in summary.json: 15 % of the video, up to one shot's rounding."""
    summary = json.loads((out / "summary.json").read_text())
    with av.open(str(out / "summary.mp4")) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames == sum(last - first + 1 for first, last in (piece["frame"] for piece in summary["summary"]))
    assert 0.05 * summary["duration"] < frames / summary["fps"] <= 0.15 * summary["duration"] + 2
    assert (out / "report.html").stat().st_size > 10_000
    return summary


def test_the_model_finds_queried_moments_better_than_the_baselines(tree):
    copy, _ = tree
    metrics = json.loads((copy / "work_dirs/sample/metrics.json").read_text())
    assert metrics["split"] == "test"
    assert metrics["MR-full-R1@0.5-oracle"] == 100
    assert 60 <= metrics["MR-full-R1@0.5"] <= 97
    assert metrics["MR-full-R1@0.5-shuffled"] <= metrics["MR-full-R1@0.5"] / 2
    hit1 = "HL-min-VeryGood-Hit1"
    assert metrics[hit1] >= 1.5 * max(metrics[f"{hit1}-random"], metrics[f"{hit1}-zeroshot"])


def test_the_metrics_are_printed_with_the_baselines(tree):
    copy, printed = tree
    metrics = json.loads((copy / "work_dirs/sample/metrics.json").read_text())
    header = next(line for line in printed.splitlines() if line.startswith("test ") and "model" in line)
    assert header.split() == ["test", "model", "shuffled", "queries", "random", "zero-shot", "oracle"]
    assert f"{metrics['MR-full-R1@0.5']:.2f}" in printed


def test_it_stays_within_its_memory(tree):
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < 4e9


def test_the_summary_of_a_held_out_video_contains_the_queried_moment(tree):
    copy, _ = tree
    summary = check_summary(copy / "work_dirs/sample")
    label = json.loads((copy / "data/sample/test.jsonl").read_text().splitlines()[0])
    assert Path(summary["video"]).stem == label["vid"]
    assert summary["text"] == [label["query"]]
    best = max(summary["moments"], key=lambda m: m["score"])
    overlaps_s = [min(best["end"], end) - max(best["start"], start) for start, end in label["relevant_windows"]]
    assert max(overlaps_s) > 0.5 * (best["end"] - best["start"])


def test_a_summary_needs_no_network(tree, tmp_path):
    if subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("processes may not disconnect from the network on this machine")
    copy, _ = tree
    video = next((copy / "data/sample/videos").iterdir())
    done = subprocess.run(["unshare", "-n", sys.executable, "tools/summarize.py", video, "--text", "a cat",
                           "--out", tmp_path], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert check_summary(tmp_path)["text"] == ["a cat"]
