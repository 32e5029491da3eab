"""Test the command that serves the page."""

import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from tests.paths import ROOT
from tools.app import main


@pytest.mark.parametrize("options, message", [
    pytest.param(["--videos", "none"], "--videos none: no such folder", id="videos"),
    pytest.param(["--upload-limit", "much"], "'much' is not a size", id="upload limit"),
    pytest.param(["--length-limit", "20%"], "--length-limit 20%: not a time", id="length limit"),
    pytest.param(["--keep", "0s"], "--keep 0s: not a time", id="keep"),
    pytest.param(["--port", "99999999"], "cannot listen on this address", id="port"),
    pytest.param(["--model", "none.py", "none.pth", "--port", "0"], "none.pth: no such checkpoint", id="model")])
def test_invalid_options_are_reported_at_the_start(options, message, capsys):
    assert main(options) == 2
    assert message in capsys.readouterr().err


def test_a_port_in_use_is_reported(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 2
    assert "choose another --port" in capsys.readouterr().err


def start_app(tmp_path, *options):
    """Start the command with `tmp_path` as its working and temporary folder."""
    return subprocess.Popen([sys.executable, ROOT / "tools/app.py", "--port", "0", *options], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, cwd=tmp_path,
                            env=os.environ | dict(TMPDIR=str(tmp_path)))


@pytest.mark.slow
def test_sigterm_during_start_up_leaves_no_files(tmp_path):
    process = start_app(tmp_path)
    try:
        end_s = time.monotonic() + 120
        while not list(tmp_path.glob("video-summary-*")):
            assert process.poll() is None
            assert time.monotonic() < end_s
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    assert list(tmp_path.glob("video-summary-*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_the_app_listens_on_loopback_and_leaves_no_files(tmp_path, sign):
    process = start_app(tmp_path, "--no-example")
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), process.stderr.read()
        assert "Video Summary by Words" in httpx.get(url, timeout=60).text
        sent = httpx.post(url + "videos?name=a.mp4", content=b"x" * 100, timeout=60)
        assert sent.status_code == 200
        assert len(list(tmp_path.rglob("a.mp4"))) == 1
        process.send_signal(sign)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("video-summary")] == []
