"""Measure how long a user of the web page waits while eight other users make expensive requests.

The server is `tools/app.py` in its own process. The row also shows its memory and its processor time: neither may grow
with the cost of the requests, which worker processes answer.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import InputError
from common.paths import ROOT

from . import Row

NUM_HEAVY, NUM_REQUESTS = 8, 30
NUM_CUES = 20_000
SUBTITLES = "".join(f"{i + 1}\n00:00:{i % 58:02},{i // 58:03} --> 00:00:59,000\nnumber {i} of the speech\n\n"
                     for i in range(NUM_CUES))


def measure() -> list[Row]:
    """Measure the response time while others search the longest subtitles that are accepted."""
    with running_server() as (url, pid):
        return [measure_load(url, pid, f"{NUM_CUES:,} lines", SUBTITLES)]


def measure_load(url: str, pid: int, name: str, subtitles: str) -> Row:
    """Measure the median response time of a user alone, and while others use the same server.

    Args:
        url: address of the server.
        pid: process ID of the server.
        name: description of the subtitles.
        subtitles: the subtitle file of the other users.
    """
    import httpx

    with httpx.Client(base_url=url, timeout=600) as http:
        videos = [call(http, "choose", name="example")["video"] for _ in range(NUM_HEAVY + 1)]
        call(http, "encode", video=videos[0])
        alone_s = [ask_light(http, videos[0]) for _ in range(NUM_REQUESTS)]
        threads = [threading.Thread(target=ask_heavy, args=(url, video, subtitles), daemon=True)
                   for video in videos[1:]]
        cpu_s = process_time_s(pid)
        for thread in threads:
            thread.start()
        loaded_s = [ask_light(http, videos[0]) for _ in range(NUM_REQUESTS)]
        still_running, cpu_s = sum(thread.is_alive() for thread in threads), process_time_s(pid) - cpu_s
        started_s = time.perf_counter()
        for video in videos[1:]:
            call(http, "remove", video=video)
        for thread in threads:
            thread.join()
        ended_s = time.perf_counter() - started_s
    return Row(f"{NUM_HEAVY} users with subtitles of {name}", statistics.median(alone_s), statistics.median(loaded_s),
               f"reference: alone; maximum {max(loaded_s):.2f} s; {still_running} still running at the end, stopped in "
               f"{ended_s:.1f} s; server: {memory_mb(pid):.0f} MB, {cpu_s:.1f} s of {sum(loaded_s):.1f} s")


def ask_light(http, video: str) -> float:
    """Make an ordinary request, and return the seconds until its response."""
    started_s = time.perf_counter()
    found = call(http, "ask", video=video, queries=["a cat"], cut=False)
    if not found.get("clips"):
        raise InputError(None, f"the page did not answer: {found}")
    return time.perf_counter() - started_s


def ask_heavy(url: str, video: str, subtitles: str) -> None:
    """Upload subtitles and make a request that searches them, until the video is removed."""
    import httpx

    with httpx.Client(base_url=url, timeout=600) as http:
        http.post(f"videos/{video}/subtitles", content=subtitles.encode()).raise_for_status()
        while "error" not in call(http, "ask", video=video, queries=["rain"], cut=False):
            pass


def call(http, endpoint: str, **values: object) -> dict:
    """Call an endpoint of the API, and return its result."""
    event = http.post(f"gradio_api/call/v2/{endpoint}", json=values).json()["event_id"]
    kind = ""
    for line in http.get(f"gradio_api/call/{endpoint}/{event}").text.splitlines():
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: ") and kind == "complete":
            return json.loads(line[6:])[0]
        elif line.startswith("data: ") and kind == "error":
            return dict(error=line[6:])
    return dict(error="the response is incomplete")


@contextmanager
def running_server() -> Iterator[tuple[str, int]]:
    """Run the page on a free port; yield its address and the process ID."""
    server = subprocess.Popen([sys.executable, ROOT / "tools/app.py", "--port", "0"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        found = re.match(r"http\S+", server.stdout.readline())
        if found is None:
            raise InputError(None, "the page did not start", "start it with ./run.sh app to see the reason")
        yield found[0], server.pid
    finally:
        server.terminate()
        server.wait(30)


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process; needs Linux."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def process_time_s(pid: int) -> float:
    """Return the processor time that a process has used; needs Linux."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
