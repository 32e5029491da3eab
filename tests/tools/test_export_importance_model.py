"""The command that exports an importance model: an invalid output is rejected before the training."""

import pytest

from tools import ship_head
from tools.export_importance_model import main

CONFIG = "configs/tvsum/clip_it_offline_all.py"


@pytest.fixture(autouse=True)
def launched(monkeypatch):
    """Replace the training by a function that records its arguments."""
    calls = []
    monkeypatch.setattr("training.launcher.launch", lambda *args, **options: calls.append(args))
    return calls


@pytest.mark.parametrize("name, message", [
    pytest.param("file/h.safetensors", "cannot write to this folder", id="folder is a file"),
    pytest.param("h.pth", "specify a .safetensors file", id="other suffix")])
def test_an_output_that_cannot_be_written_is_refused_before_the_training(tmp_path, launched, capsys, name, message):
    (tmp_path / "file").write_text("")
    assert main([CONFIG, "--out", str(tmp_path / name), "--work-dir", str(tmp_path / "w")]) == 2
    assert message in capsys.readouterr().err
    assert launched == []


def test_an_interruption_prints_no_traceback(tmp_path, monkeypatch, capsys):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.launcher.launch", interrupt)
    assert main([CONFIG, "--out", str(tmp_path / "h.safetensors"), "--work-dir", str(tmp_path / "w")]) == 130
    assert "Interrupted. Nothing was written." in capsys.readouterr().err


def test_the_deprecated_name_works(tmp_path, capsys):
    assert ship_head.main([CONFIG, "--out", str(tmp_path / "h.pth")]) == 2
    printed = capsys.readouterr().err
    assert "tools/ship_head.py is deprecated; use tools/export_importance_model.py" in printed
    assert "specify a .safetensors file" in printed
