"""tools/benchmarks/long.py: what is measured of a run, and what is made of it."""

import sys

import pytest

from common.errors import InputError
from tools.benchmarks import long
from tools.benchmarks.long import describe, measure, read_run, watch

SUMMARY = dict(duration=600.0, kept=90.0, timings_s=dict(encode=30.0, score=1.0, cut=15.0, report=0.5))


def test_the_numbers_of_a_run():
    run = read_run(SUMMARY, wall_s=50.0, cpu_s=80.0, peak_mb=700.0)
    assert (run.speed, run.cut_speed, run.rest, run.start_s) == (12, 6, 0.03, 3.5)
    text = describe(run, 18)
    for part in ("12.0 times real time (goal 18), 700 MB, rest 3.0%", "cut 6.0 times its 90 s", "start 3.5 s, encode 30.0"):
        assert part in text


def test_time_and_memory_are_the_commands_own():
    ballast = b"x" * 300_000_000   # which is ours
    busy = "import time; kept = b'x' * 80_000_000\nwhile time.process_time() < 0.3: pass\ntime.sleep(0.3)"
    wall_s, cpu_s, peak_mb = watch([sys.executable, "-S", "-c", busy])
    assert wall_s > 0.6 and 0.3 <= cpu_s < 0.6 and 76 < peak_mb < 150 and ballast


def test_a_command_that_fails_is_an_error():
    with pytest.raises(InputError, match="exit status 3"):
        watch([sys.executable, "-c", "raise SystemExit(3)"])


def test_every_way_is_a_row(monkeypatch):
    films, calls = [], []
    monkeypatch.setattr(long, "make_film", lambda path, duration_s=64, piece=None: films.append(duration_s) or path)
    monkeypatch.setattr(long, "decode_all", lambda path: 1)

    def summarize(film, out, options):
        calls.append(options)
        return read_run(SUMMARY, 50.0, 80.0, 700.0)

    monkeypatch.setattr(long, "summarize", summarize)
    rows = list(measure(minutes=10))
    assert films == [64, 600]
    assert calls == [("--sampling", "exact"), ("--sampling", "keyframes"), ("--sampling", "keyframes", "--copy")]
    assert [row.name for row in rows] == ["10 min, --sampling exact", "10 min, --sampling keyframes",
                                          "10 min, --sampling keyframes --copy", "10 min, decoding alone"]
    assert [row.fast_s for row in rows[:3]] == [50] * 3 and rows[3].plain_s is None
