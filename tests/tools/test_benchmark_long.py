"""tools/benchmarks/long.py: what is measured of a run, and what is made of it."""

import json
import sys

import pytest
from PIL import Image

from common.errors import InputError
from tools.benchmark import main
from tools.benchmarks import Row, long
from tools.benchmarks.long import describe, measure, read_run, watch

SUMMARY = dict(duration=600.0, kept=90.0, timings_s=dict(encode=30.0, score=1.0, cut=15.0, report=0.5))


def test_the_numbers_of_a_run():
    run = read_run(SUMMARY, wall_s=50.0, cpu_s=80.0, peak_mb=700.0)
    assert (run.speed, run.cut_speed, run.rest, run.start_s) == (12, 6, 0.03, 3.5)
    text = describe(run, 18)
    for part in ("12.0 times real time (goal 18), 700 MB (by quarters 0, 0, 0, 0), rest 3.0%", "cut 6.0 times its 90 s", "start 3.5 s, encode 30.0"):
        assert part in text


def test_time_and_memory_are_the_commands_own():
    ballast = b"x" * 300_000_000   # which is ours
    busy = "import time; kept = b'x' * 80_000_000\nwhile time.process_time() < 0.3: pass\ntime.sleep(0.3)"
    wall_s, cpu_s, peak_mb, _ = watch([sys.executable, "-S", "-c", busy])
    assert wall_s > 0.6 and 0.3 <= cpu_s < 0.6 and 76 < peak_mb < 150 and ballast


GROWS = """
import subprocess, sys, time
time.sleep(0.4)
kept = b'x' * 100_000_000
child = subprocess.Popen([sys.executable, '-S', '-c', "import time; kept = b'x' * 60_000_000; time.sleep(0.6)"])
child.wait()
time.sleep(0.4)
"""


def test_memory_over_time_with_the_childrens():
    wall_s, _, peak_mb, samples = watch([sys.executable, "-S", "-c", GROWS], every_s=0.05)
    times_s, held_mb = map(list, zip(*samples, strict=True))
    assert times_s == sorted(times_s) and times_s[-1] < wall_s and len(samples) > 10
    assert held_mb[2] < 60 and any(100 < mb < 150 for mb in held_mb[-7:])    # before it grew, after its child ended
    assert max(held_mb) > 160 > peak_mb                                      # both together


def test_quarters_and_the_picture(tmp_path, monkeypatch):
    run = read_run(SUMMARY, 40.0, 80.0, 700.0, ((0.0, 100.0), (9.9, 300.0), (10.0, 500.0), (35.0, 400.0), (39.9, 450.0)))
    assert run.quarters_mb == [300, 500, 0, 450] and "700 MB (by quarters 300, 500, 0, 450)" in describe(run, 18)
    monkeypatch.setattr(long, "measure", lambda: [Row("a way", None, 40.0, "", run.memory), Row("decoding", None, 2.0)])
    assert main(["long", "--out", str(tmp_path / "b.json")]) == 0
    assert json.loads((tmp_path / "b.json").read_text())["rows"][0]["memory"][2] == [10, 500]
    picture = Image.open(tmp_path / "b.png")
    assert picture.format == "PNG" and picture.size == (1080, 540) and len(set(picture.convert("L").tobytes())) > 20


def test_a_command_that_fails_is_an_error():
    with pytest.raises(InputError, match="exit status 3"):
        watch([sys.executable, "-c", "raise SystemExit(3)"])


def test_every_way_is_a_row(monkeypatch):
    films, calls = [], []
    monkeypatch.setattr(long, "make_film", lambda path, duration_s=64, piece=None: films.append(duration_s) or path)
    monkeypatch.setattr(long, "decode_all", lambda path: 1)
    monkeypatch.setattr(long, "first_pictures", lambda path, number: list(range(number)))
    monkeypatch.setattr(long, "encode_all", len)
    monkeypatch.setattr(long, "timed", lambda run: (run(), 2.0, 3.0))

    def summarize(film, out, options):
        calls.append(options)
        return read_run(SUMMARY, 50.0, 80.0, 700.0)

    monkeypatch.setattr(long, "summarize", summarize)
    rows = list(measure(minutes=10))
    assert films == [64, 600]
    assert calls == [("--sampling", "exact"), ("--sampling", "keyframes"), ("--sampling", "keyframes", "--copy")]
    assert [row.name for row in rows] == ["10 min, --sampling exact", "10 min, --sampling keyframes",
                                          "10 min, --sampling keyframes --copy", "10 min, decoding alone",
                                          "8 s, x264 veryfast alone"]
    assert rows[4].note == "4.0 times real time"
    assert [row.fast_s for row in rows[:3]] == [50] * 3 and rows[3].plain_s is None
