"""The first command of the README, as a newcomer types it, in a copy of what is committed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A copy of the tracked files in which ./run.sh has run, in the environment of the tests."""
    copy = tmp_path_factory.mktemp("clone")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    env = {**os.environ, "VIRTUAL_ENV": sys.prefix, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    result = subprocess.run(["./run.sh"], cwd=copy, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return copy / "work_dirs" / "sample", result.stdout


def test_the_model_follows_the_words_on_unseen_videos(ran):
    metrics = json.loads((ran[0] / "metrics.json").read_text())
    assert metrics["split"] == "test"
    assert 60 <= metrics["MR-full-R1@0.5"] <= 97
    assert metrics["MR-full-R1@0.5-shuffled"] <= metrics["MR-full-R1@0.5"] / 2
    hit = "HL-min-VeryGood-Hit1"
    assert metrics[hit] >= 1.5 * max(metrics[f"{hit}-random"], metrics[f"{hit}-zeroshot"])
    assert metrics[hit] <= metrics[f"{hit}-oracle"]


def test_the_table_shows_every_comparison(ran):
    head = next(line for line in ran[1].splitlines() if line.startswith("test ") and "model" in line)
    assert head.split() == ["test", "model", "shuffled", "random", "zeroshot", "oracle"]


def test_a_held_out_video_was_cut_within_the_budget(ran):
    work, _ = ran
    for name in ("best.pth", "metrics.json", "summary.mp4", "summary.json", "report.html", "curves.png"):
        assert (work / name).stat().st_size > 0, name
    summary = json.loads((work / "summary.json").read_text())
    with av.open(str(work / "summary.mp4")) as container:
        frames = sum(1 for _ in container.decode(video=0))
        fps = float(container.streams.video[0].average_rate)
    assert frames == sum(last - first + 1 for first, last in (s["frame"] for s in summary["summary"]))
    assert frames / fps <= 0.15 * summary["duration"] + 2
    assert summary["text"] and summary["moments"]
