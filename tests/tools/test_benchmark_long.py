"""tools/benchmarks/long.py: measurements of a process, and the figures that are computed from them."""

import json
import sys

import pytest
from PIL import Image

from common.errors import InputError
from tools.benchmark import main
from tools.benchmarks import Row, long
from tools.benchmarks.long import describe, measure, monitor, read_run

SUMMARY = dict(duration=600.0, kept=90.0, timings_s=dict(encode=30.0, score=1.0, cut=15.0, report=0.5))


def test_figures_of_a_run():
    run = read_run(SUMMARY, wall_s=50.0, cpu_s=80.0, peak_mb=700.0)
    assert (run.speed, run.cut_speed, run.other_share, run.startup_s) == (12, 6, 0.03, 3.5)
    assert describe(run, 18) == (
        "12.0x real time (goal 18), peak 700 MB (by quarter: 0, 0, 0, 0), 3.0% for scoring, shots, selection and report "
        "(goal 3 %), cut of 90 s at 6.0x real time (goal 5); startup 3.5 s, encode 30.0 s, score 1.0 s, cut 15.0 s, "
        "report 0.5 s; 80.0 s CPU")


def test_time_and_memory_of_this_process_do_not_count():
    ballast = b"x" * 300_000_000
    busy = "import time; kept = b'x' * 80_000_000\nwhile time.process_time() < 0.3: pass\ntime.sleep(0.3)"
    wall_s, cpu_s, peak_mb, _ = monitor([sys.executable, "-S", "-c", busy])
    assert wall_s > 0.6
    assert 0.3 <= cpu_s < 0.6
    assert 76 < peak_mb < 150
    assert ballast   # Keep it in memory until here.


# Allocates 100 MB after 0.4 s, and starts a child that allocates 60 MB for 0.6 s.
GROWING = """
import subprocess, sys, time
time.sleep(0.4)
kept = b'x' * 100_000_000
child = subprocess.Popen([sys.executable, '-S', '-c', "import time; kept = b'x' * 60_000_000; time.sleep(0.6)"])
child.wait()
time.sleep(0.4)
"""


def test_memory_samples_include_child_processes():
    wall_s, _, peak_mb, samples = monitor([sys.executable, "-S", "-c", GROWING], interval_s=0.05)
    times_s, memory_mb = map(list, zip(*samples, strict=True))
    assert times_s == sorted(times_s)
    assert times_s[-1] < wall_s
    assert len(samples) > 10
    assert memory_mb[2] < 60                                # Before the allocation.
    assert any(100 < mb < 150 for mb in memory_mb[-7:])     # After the child has ended.
    assert max(memory_mb) > 160                             # Both processes together.
    assert peak_mb < 160


MEMORY = ((0.0, 100.0), (9.9, 300.0), (10.0, 500.0), (35.0, 400.0), (39.9, 450.0))


def test_peaks_by_quarter():
    run = read_run(SUMMARY, 40.0, 80.0, 700.0, MEMORY)
    assert run.quarter_peaks_mb == [300, 500, 0, 450]
    assert "peak 700 MB (by quarter: 300, 500, 0, 450)" in describe(run, 18)


def test_memory_is_written_and_plotted(tmp_path, monkeypatch):
    rows = [Row("a variant", None, 40.0, "", MEMORY), Row("decoding", None, 2.0)]
    monkeypatch.setattr(long, "measure", lambda: rows)
    assert main(["long", "--out", str(tmp_path / "b.json")]) == 0
    assert json.loads((tmp_path / "b.json").read_text())["rows"][0]["memory"][2] == [10, 500]
    plot = Image.open(tmp_path / "b.png")
    assert plot.format == "PNG"
    assert plot.size == (1080, 540)
    assert len(set(plot.convert("L").tobytes())) > 20   # More gray levels than an empty plot.


def test_a_command_that_fails_is_an_error():
    with pytest.raises(InputError, match="failed with exit status 3; see its message above"):
        monitor([sys.executable, "-c", "raise SystemExit(3)"])


def test_one_row_per_variant_and_bound(monkeypatch):
    durations_s, calls = [], []
    monkeypatch.setattr(long, "make_video",
                        lambda path, duration_s=64, segment=None: durations_s.append(duration_s) or path)
    monkeypatch.setattr(long, "decode_all", lambda path: 1)
    monkeypatch.setattr(long, "first_frames", lambda path, number: list(range(number)))
    monkeypatch.setattr(long, "encode_all", len)
    monkeypatch.setattr(long, "timed", lambda run: (run(), 2.0, 3.0))

    def summarize(video, out, options):
        calls.append(options)
        return read_run(SUMMARY, 50.0, 80.0, 700.0)

    monkeypatch.setattr(long, "summarize", summarize)
    rows = list(measure(minutes=10))
    assert durations_s == [64, 600]
    assert calls == [("--sampling", "exact"), ("--sampling", "keyframes"), ("--sampling", "keyframes", "--copy")]
    assert [row.name for row in rows] == ["10 min, --sampling exact", "10 min, --sampling keyframes",
                                          "10 min, --sampling keyframes --copy", "10 min, decoding only",
                                          "8 s, x264 veryfast only"]
    assert rows[4].note == "4.0x real time"
    assert [row.product_s for row in rows[:3]] == [50] * 3
    assert rows[3].reference_s is None
