"""The command that generates the sample set."""

import subprocess
import sys

import pytest

from tests.paths import ROOT
from tools import make_sample as tool


def test_options_are_passed_to_the_library(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(tool, "make_sample", lambda *args, **kwargs: calls.append((args, kwargs)) or True)
    assert tool.main(["--out", "x", "--seed", "5", "--videos", "7", "--min-duration", "30", "--max-duration", "40",
                      "--size", "256x144", "--fps", "10", "--workers", "1", "--force"]) == 0
    setting = tool.Setting(seed=5, videos=7, min_duration_s=30, max_duration_s=40, width_px=256, height_px=144, fps=10)
    assert calls == [(("x", setting), dict(workers=1, force=True))]
    assert tool.main([]) == 0
    assert calls[1] == (("data/sample", tool.Setting()), dict(workers=None, force=False))
    assert capsys.readouterr().out == "x: generated, 7 videos\ndata/sample: generated, 48 videos\n"


def test_a_bad_option_is_one_line_and_status_2(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    run = subprocess.run([sys.executable, ROOT / "tools" / "make_sample.py", "--out", tmp_path],
                         capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith(f"error: {tmp_path}: exists and is not a sample set")
    assert run.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_bad_size_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        tool.main(["--size", "320"])
    assert stop.value.code == 2
    assert "'320' is not WIDTHxHEIGHT" in capsys.readouterr().err
