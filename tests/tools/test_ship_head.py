"""The command that ships a head: what it refuses before it trains."""

import pytest

from tools.ship_head import main

CONFIG = "configs/tvsum/clip_it_offline_all.py"


@pytest.fixture(autouse=True)
def launched(monkeypatch):
    calls = []
    monkeypatch.setattr("training.launcher.launch", lambda *args, **options: calls.append(args))
    return calls


def test_an_out_that_cannot_be_written_is_refused_before_the_training(tmp_path, launched, capsys):
    (tmp_path / "file").write_text("")
    for out, message in ((tmp_path / "file" / "h.safetensors", "cannot write to this folder"), (tmp_path / "h.pth", "name a .safetensors file")):
        assert main([CONFIG, "--out", str(out), "--work-dir", str(tmp_path / "w")]) == 2
        assert message in capsys.readouterr().err and launched == []


def test_stopping_is_no_traceback(tmp_path, monkeypatch, capsys):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.launcher.launch", stop)
    assert main([CONFIG, "--out", str(tmp_path / "h.safetensors"), "--work-dir", str(tmp_path / "w")]) == 130
    assert "stopped; nothing is written" in capsys.readouterr().err
