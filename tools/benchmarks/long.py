"""The command line on a long 720p film with sound, each way of watching and cutting in a process of its own.

Ten minutes by default; `--minutes 60` is an hour of one repeated minute. Memory must not depend on it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from tools.benchmarks import Row
from tools.benchmarks.film import decode_all, make_film, timed

MINUTES = 10
TEXT = "a rocket on its launch pad"
GOALS = {("--sampling", "exact"): 12, ("--sampling", "keyframes"): 18, ("--sampling", "keyframes", "--copy"): 35}
COMMAND = Path(__file__).parents[1] / "summarize.py"
REST = ("score", "borders", "report")   # shots, windows, selection; where shots begin; the page
# between us and the command, since Linux counts the memory of who starts a process as its own
WATCH = """
import json, resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=sys.stderr)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([status, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


@dataclass(frozen=True)
class Run:
    """One call of the command line.

    Attributes:
        duration_s: of the film.
        kept_s: of the cut.
        wall_s: from the call to its end, with the start of Python.
        cpu_s: of all processors.
        peak_mb: the most memory that the process held.
        timings_s: of its steps, as summary.json tells.
    """

    duration_s: float
    kept_s: float
    wall_s: float
    cpu_s: float
    peak_mb: float
    timings_s: dict[str, float]

    @property
    def speed(self) -> float:
        """Times real time, from end to end."""
        return self.duration_s / self.wall_s

    @property
    def cut_speed(self) -> float:
        """Seconds of the cut written in a second."""
        return self.kept_s / self.timings_s["cut"]

    @property
    def rest(self) -> float:
        """The share of the time for shots, windows, selection and the page."""
        return sum(self.timings_s.get(step, 0) for step in REST) / self.wall_s

    @property
    def start_s(self) -> float:
        """Seconds outside all steps: Python and the encoders are loaded."""
        return self.wall_s - sum(self.timings_s.values())


def measure(minutes: int = MINUTES) -> Iterator[Row]:
    """One row for each way, and one for decoding alone."""
    with tempfile.TemporaryDirectory() as folder:
        film = make_film(Path(folder) / "film.mp4", minutes * 60, make_film(Path(folder) / "minute.mp4"))
        for number, (options, goal) in enumerate(GOALS.items()):
            run = summarize(film, Path(folder) / str(number), options)
            yield Row(f"{run.duration_s / 60:.0f} min, {' '.join(options)}", None, run.wall_s, describe(run, goal))
        _, decode_s, cpu_s = timed(lambda: decode_all(film))
        yield Row(f"{run.duration_s / 60:.0f} min, decoding alone", None, decode_s,
                  f"{run.duration_s / decode_s:.1f} times real time, {cpu_s:.1f} s of processors")


def describe(run: Run, goal: float) -> str:
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in run.timings_s.items())
    return (f"{run.speed:.1f} times real time (goal {goal}), {run.peak_mb:.0f} MB, rest {run.rest:.1%} (goal 3 %), cut "
            f"{run.cut_speed:.1f} times its {run.kept_s:.0f} s (goal 5); start {run.start_s:.1f} s, {steps}; "
            f"{run.cpu_s:.1f} s of processors")


def summarize(film: Path, out: Path, options: tuple[str, ...]) -> Run:
    """Calls tools/summarize.py and waits for it; raises as `watch`."""
    command = [str(COMMAND), str(film), "--text", TEXT, "--out", str(out), "--quiet", *options]
    wall_s, cpu_s, peak_mb = watch([sys.executable, *command])
    return read_run(json.loads((out / "summary.json").read_text(encoding="utf-8")), wall_s, cpu_s, peak_mb)


def watch(command: list[str]) -> tuple[float, float, float]:
    """Runs a command: its seconds, those of all processors, and its peak memory in MB.

    Raises:
        InputError: it failed; its own words are on stderr.
    """
    started_s = time.perf_counter()
    told = subprocess.run([sys.executable, "-S", "-c", WATCH, *command], stdout=subprocess.PIPE, check=True).stdout
    wall_s = time.perf_counter() - started_s
    status, cpu_s, peak_mb = json.loads(told)
    if status:
        raise InputError(f"{' '.join(command)}: exit status {status}")
    return wall_s, cpu_s, peak_mb


def read_run(summary: dict, wall_s: float, cpu_s: float, peak_mb: float) -> Run:
    """A run from its summary.json and what was measured around it."""
    return Run(summary["duration"], summary["kept"], wall_s, cpu_s, peak_mb, summary["timings_s"])
