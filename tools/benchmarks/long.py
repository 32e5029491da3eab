"""The command line on a long 720p film with sound, each way of watching and cutting in a process of its own.

Ten minutes by default; `--minutes 60` is an hour of one repeated minute. Memory must not depend on it: it is sampled
every second, its peak in each quarter is printed, and with `--out F.json` the curves are drawn in F.png.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from common.files import atomic_path

from . import Row
from .film import FPS, decode_all, encode_all, first_pictures, make_film, timed

MINUTES = 10
ENCODED_S = 8   # of the film, by the encoder alone
TEXT = "a rocket on its launch pad"
GOALS = {("--sampling", "exact"): 12, ("--sampling", "keyframes"): 18, ("--sampling", "keyframes", "--copy"): 35}
COMMAND = Path(__file__).parents[1] / "summarize.py"
REST = ("score", "borders", "report")   # shots, windows, selection; where shots begin; the page
# between us and the command, since Linux counts the memory of who starts a process as its own
WATCH = """
import json, os, resource, subprocess, sys, time

def held_mb(first):
    parents, held = {}, {}
    for name in filter(str.isdecimal, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        try:
            fields = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()
        except OSError:
            continue   # it has ended
        parents[int(name)], held[int(name)] = int(fields[1]), int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    family = {first} & {*held}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(held[pid] for pid in family)

started_s, samples = time.perf_counter(), []
run = subprocess.Popen(sys.argv[2:], stdout=sys.stderr)
while run.poll() is None:
    at_s, mb = time.perf_counter() - started_s, held_mb(run.pid)
    if mb:
        samples.append([round(at_s, 2), round(mb, 1)])
    try:
        run.wait(float(sys.argv[1]))
    except subprocess.TimeoutExpired:
        pass
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([run.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, samples]))
"""
EVERY_S = 1.0   # between two samples of memory


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
        memory: (seconds since the start, MB) of it and its children, every second.
    """

    duration_s: float
    kept_s: float
    wall_s: float
    cpu_s: float
    peak_mb: float
    timings_s: dict[str, float]
    memory: tuple[tuple[float, float], ...] = ()

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
    def quarters_mb(self) -> list[float]:
        """The most memory in each quarter of the run; 0 where nothing was sampled."""
        return [max((mb for at_s, mb in self.memory if part <= 4 * at_s / self.wall_s < part + 1), default=0.0)
                for part in range(4)]

    @property
    def start_s(self) -> float:
        """Seconds outside all steps: Python and the encoders are loaded."""
        return self.wall_s - sum(self.timings_s.values())


def measure(minutes: int = MINUTES) -> Iterator[Row]:
    """One row for each way, and for what this machine can do: decoding alone, and encoding alone."""
    with tempfile.TemporaryDirectory() as folder:
        film = make_film(Path(folder) / "film.mp4", minutes * 60, make_film(Path(folder) / "minute.mp4"))
        for number, (options, goal) in enumerate(GOALS.items()):
            run = summarize(film, Path(folder) / str(number), options)
            name = f"{run.duration_s / 60:.0f} min, {' '.join(options)}"
            yield Row(name, None, run.wall_s, describe(run, goal), run.memory)
        _, decode_s, cpu_s = timed(lambda: decode_all(film))
        yield Row(f"{run.duration_s / 60:.0f} min, decoding alone", None, decode_s,
                  f"{run.duration_s / decode_s:.1f} times real time, {cpu_s:.1f} s of processors")
        pictures = first_pictures(film, ENCODED_S * FPS)
        _, encoded_s, _ = timed(lambda: encode_all(pictures))
        yield Row(f"{ENCODED_S} s, x264 veryfast alone", None, encoded_s,
                  f"{ENCODED_S / encoded_s:.1f} times real time")


def describe(run: Run, goal: float) -> str:
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in run.timings_s.items())
    return (f"{run.speed:.1f} times real time (goal {goal}), {run.peak_mb:.0f} MB "
            f"(by quarters {', '.join(f'{mb:.0f}' for mb in run.quarters_mb)}), rest {run.rest:.1%} (goal 3 %), cut "
            f"{run.cut_speed:.1f} times its {run.kept_s:.0f} s (goal 5); start {run.start_s:.1f} s, {steps}; "
            f"{run.cpu_s:.1f} s of processors")


def summarize(film: Path, out: Path, options: tuple[str, ...]) -> Run:
    """Calls tools/summarize.py and waits for it; raises as `watch`."""
    command = [str(COMMAND), str(film), "--text", TEXT, "--out", str(out), "--quiet", *options]
    watched = watch([sys.executable, *command])
    return read_run(json.loads((out / "summary.json").read_text(encoding="utf-8")), *watched)


def watch(command: list[str], every_s: float = EVERY_S) -> tuple[float, float, float, tuple[tuple[float, float], ...]]:
    """Runs a command: its seconds, those of all processors, its peak memory in MB, and memory over time.

    Args:
        every_s: between two samples of what it and its children hold, (seconds since the start, MB); there are
            none where the system has no /proc.

    Raises:
        InputError: it failed; its own words are on stderr.
    """
    started_s = time.perf_counter()
    told = subprocess.run([sys.executable, "-S", "-c", WATCH, str(every_s), *command], stdout=subprocess.PIPE,
                          check=True).stdout
    wall_s = time.perf_counter() - started_s
    status, cpu_s, peak_mb, samples = json.loads(told)
    if status:
        raise InputError(f"{' '.join(command)}: exit status {status}")
    return wall_s, cpu_s, peak_mb, tuple((at_s, mb) for at_s, mb in samples)


def draw_memory(rows: Sequence[dict], path: Path) -> None:
    """Draws the memory of each watched row over the time of its run, as a PNG.

    Args:
        rows: as `Row`, with `name` and `memory`.
    """
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    for row in rows:
        if row["memory"]:
            times_s, held_mb = zip(*row["memory"], strict=True)
            axes.plot([time_s / 60 for time_s in times_s], held_mb, label=f"{row['name']}: {max(held_mb):.0f} MB")
    axes.set(xlabel="minutes since the start", ylabel="memory of all processes, MB", ylim=(0, None), xlim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    pyplot.close(figure)


def read_run(summary: dict, wall_s: float, cpu_s: float, peak_mb: float,
             memory: tuple[tuple[float, float], ...] = ()) -> Run:
    """A run from its summary.json and what was measured around it."""
    return Run(summary["duration"], summary["kept"], wall_s, cpu_s, peak_mb, summary["timings_s"], memory)
