"""The command that plots trainings."""

import json

import numpy as np
import pytest
from PIL import Image

from tools.plot_metrics import main

BLUE, ORANGE, GREEN = (31, 119, 180), (255, 127, 14), (44, 160, 44)   # The first three colors of matplotlib.


def run(folder, offset=0.0, metric="mAP"):
    """Write the log of a training with three epochs; return its folder."""
    folder.mkdir()
    lines = [dict(mode=mode, epoch=e, iter=1, loss=5 - e + offset,
                  **({metric: e * 10 + offset} if mode == "val" else dict(lr=0.1 / e)))
             for e in range(1, 4) for mode in ("train", "val")]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "history.json").write_text(json.dumps(dict(best_epoch=3)))
    return str(folder)


def colors(path):
    """Return the set of RGB colors in an image."""
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    return {tuple(c) for c in np.unique(pixels, axis=0)}


@pytest.mark.slow
def test_every_run_has_its_color(tmp_path):
    runs = [run(tmp_path / "a"), run(tmp_path / "b", 0.5)]
    assert main([*runs, "--out", str(tmp_path / "two.png")]) == 0
    assert {BLUE, ORANGE} <= colors(tmp_path / "two.png")
    assert GREEN not in colors(tmp_path / "two.png")
    assert main([*runs, run(tmp_path / "c", 1.0), "--out", str(tmp_path / "three.png")]) == 0
    assert {BLUE, ORANGE, GREEN} <= colors(tmp_path / "three.png")


def test_a_run_without_history_is_plotted(tmp_path):
    work = run(tmp_path / "a")
    (tmp_path / "a" / "history.json").unlink()
    assert main([work, "--out", str(tmp_path / "one.png")]) == 0
    assert Image.open(tmp_path / "one.png").size[0] > 1000


@pytest.mark.slow
def test_a_killed_run_with_an_incomplete_line_is_plotted(tmp_path):
    work = run(tmp_path / "a")
    with (tmp_path / "a/log.jsonl").open("a") as file:
        file.write('{"mode": "train", "ep')
    assert main([work, "--out", str(tmp_path / "half.png")]) == 0
    assert BLUE in colors(tmp_path / "half.png")


def test_a_history_that_is_not_json_is_reported(tmp_path, capsys):
    work = run(tmp_path / "a")
    (tmp_path / "a/history.json").write_text("{")
    assert main([work, "--out", str(tmp_path / "x.png")]) == 2
    assert "history.json: cannot be read as JSON" in capsys.readouterr().err


@pytest.mark.parametrize("args, message", [
    pytest.param(["{a}", "--metric", "mAp"], "--metric mAp: no run has this metric; did you mean 'mAP'?", id="metric"),
    pytest.param(["{none}"], "contains no log.jsonl", id="no log")])
def test_an_impossible_plot_is_reported(tmp_path, capsys, args, message):
    folders = dict(a=run(tmp_path / "a"), none=str(tmp_path / "none"))
    assert main([arg.format(**folders) for arg in args] + ["--out", str(tmp_path / "x.png")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()
