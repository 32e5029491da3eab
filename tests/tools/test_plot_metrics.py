import json

import numpy as np
import pytest
from PIL import Image

from tools.plot_metrics import main


def run(folder, offset=0.0, metric="mAP"):
    folder.mkdir()
    lines = [dict(mode=mode, epoch=e, iter=1, loss=5 - e + offset, **({metric: e * 10 + offset} if mode == "val" else dict(lr=0.1 / e)))
             for e in range(1, 4) for mode in ("train", "val")]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "history.json").write_text(json.dumps(dict(best_epoch=3)))
    return str(folder)


def colours(path):
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    return {tuple(c) for c in np.unique(pixels, axis=0)}


BLUE, ORANGE, GREEN = (31, 119, 180), (255, 127, 14), (44, 160, 44)   # matplotlib's first three


def test_every_run_has_a_colour(tmp_path):
    runs = [run(tmp_path / "a"), run(tmp_path / "b", 0.5)]
    assert main([*runs, "--out", str(tmp_path / "two.png")]) == 0
    assert {BLUE, ORANGE} <= colours(tmp_path / "two.png") and GREEN not in colours(tmp_path / "two.png")
    assert main([*runs, run(tmp_path / "c", 1.0), "--out", str(tmp_path / "three.png")]) == 0
    assert {BLUE, ORANGE, GREEN} <= colours(tmp_path / "three.png")


def test_runs_without_history_are_drawn_too(tmp_path):
    work = run(tmp_path / "a")
    (tmp_path / "a" / "history.json").unlink()
    assert main([work, "--out", str(tmp_path / "one.png")]) == 0
    assert Image.open(tmp_path / "one.png").size[0] > 1000


def test_a_killed_run_is_drawn_as_far_as_it_came(tmp_path):
    work = run(tmp_path / "a")
    with (tmp_path / "a/log.jsonl").open("a") as file:
        file.write('{"mode": "train", "ep')
    assert main([work, "--out", str(tmp_path / "half.png")]) == 0
    assert BLUE in colours(tmp_path / "half.png")


def test_a_history_that_is_no_json_is_named(tmp_path, capsys):
    work = run(tmp_path / "a")
    (tmp_path / "a/history.json").write_text("{")
    assert main([work, "--out", str(tmp_path / "x.png")]) == 2
    assert "history.json: not readable as JSON" in capsys.readouterr().err


@pytest.mark.parametrize("args, message", [
    (["{a}", "--metric", "mAp"], "--metric mAp: none of the runs has it; did you mean 'mAP'?"), (["{none}"], "no log.jsonl in it")])
def test_what_cannot_be_drawn_is_named(tmp_path, capsys, args, message):
    places = dict(a=run(tmp_path / "a"), none=str(tmp_path / "none"))
    assert main([arg.format(**places) for arg in args] + ["--out", str(tmp_path / "x.png")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "x.png").exists()
