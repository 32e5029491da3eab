"""The command that starts the page."""

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
    (["--videos", "none"], "--videos none: no such folder"), (["--upload-limit", "much"], "size 'much' is none"),
    (["--length-limit", "20%"], "--length-limit 20%: no time"), (["--keep", "0s"], "--keep 0s: no time"),
    (["--port", "99999999"], "cannot listen there"), (["--model", "none.py", "none.pth", "--port", "0"], "none.pth: no such checkpoint")])
def test_bad_options_are_told_before_anything_starts(options, message, capsys):
    assert main(options) == 2
    assert message in capsys.readouterr().err


def test_a_port_in_use_is_told(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 2
    assert "choose another --port" in capsys.readouterr().err


@pytest.mark.slow
def test_told_to_stop_while_it_loads_it_leaves_nothing_behind(tmp_path):
    process = subprocess.Popen([sys.executable, ROOT / "tools/app.py", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, cwd=tmp_path, env=os.environ | dict(TMPDIR=str(tmp_path)))
    try:
        end_s = time.monotonic() + 120
        while not list(tmp_path.glob("video-summary-*")):
            assert process.poll() is None and time.monotonic() < end_s
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0 and process.stdout.read() == "" and "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    assert list(tmp_path.glob("video-summary-*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_on_loopback_and_leaves_nothing_behind(tmp_path, sign):
    process = subprocess.Popen([sys.executable, ROOT / "tools/app.py", "--port", "0", "--no-example"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=os.environ | dict(TMPDIR=str(tmp_path)))
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), process.stderr.read()
        assert "Video Summary by Words" in httpx.get(url, timeout=60).text
        sent = httpx.post(url + "videos?name=a.mp4", content=b"x" * 100, timeout=60)
        assert sent.status_code == 200 and len(list(tmp_path.rglob("a.mp4"))) == 1
        process.send_signal(sign)
        assert process.wait(60) == 0 and "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("video-summary")] == []
