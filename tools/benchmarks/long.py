"""Measure tools/summarize.py on a long 720p video with audio; each variant of decoding and cutting is a new process.

The video lasts ten minutes by default. With `--minutes 60` it is an hour of repeated footage. Memory must not depend on
the length: it is sampled every second, its peak in each quarter of the run is printed, and `--out F.json` also plots it
in F.png.
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
from common.paths import ROOT

from . import Row
from .video import FPS, decode_all, encode_all, first_frames, make_video, timed

MINUTES = 10
ENCODED_S = 8   # Seconds of video that the encoder alone is measured on.
QUERY = "a rocket on its launch pad"
GOALS = {("--sampling", "exact"): 12, ("--sampling", "keyframes"): 18, ("--sampling", "keyframes", "--copy"): 35}
COMMAND = ROOT / "tools/summarize.py"
OTHER_STEPS = ("score", "borders", "report")   # Steps other than encoding features and writing the cut.
SAMPLING_INTERVAL_S = 1.0                      # Time between two samples of the memory.

# Runs between this process and the command, because Linux counts the memory of the forking process as the child's.
MONITOR = """
import json, os, resource, subprocess, sys, time

def resident_mb(root):
    parents, resident = {}, {}
    for name in filter(str.isdecimal, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        try:
            fields = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()
        except OSError:
            continue   # The process has ended.
        parents[int(name)], resident[int(name)] = int(fields[1]), int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    family = {root} & {*resident}
    while children := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= children
    return sum(resident[pid] for pid in family)

started_s, samples = time.perf_counter(), []
run = subprocess.Popen(sys.argv[2:], stdout=sys.stderr)
while run.poll() is None:
    time_s, mb = time.perf_counter() - started_s, resident_mb(run.pid)
    if mb:
        samples.append([round(time_s, 2), round(mb, 1)])
    try:
        run.wait(float(sys.argv[1]))
    except subprocess.TimeoutExpired:
        pass
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([run.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, samples]))
"""

MemorySamples = tuple[tuple[float, float], ...]   # (Seconds since the start, MB).


@dataclass(frozen=True)
class Run:
    """The measurements of one run of the command.

    Attributes:
        duration_s: duration of the video.
        kept_s: duration of the cut.
        wall_s: wall-clock time, including the start of Python.
        cpu_s: CPU time of all processes.
        peak_mb: peak resident memory of the largest process.
        timings_s: seconds of each step, from summary.json.
        memory: resident memory of the process and its children, sampled every second.
    """

    duration_s: float
    kept_s: float
    wall_s: float
    cpu_s: float
    peak_mb: float
    timings_s: dict[str, float]
    memory: MemorySamples = ()

    @property
    def speed(self) -> float:
        """The speed of the complete run as a multiple of real time."""
        return self.duration_s / self.wall_s

    @property
    def cut_speed(self) -> float:
        """The speed of writing the cut as a multiple of real time."""
        return self.kept_s / self.timings_s["cut"]

    @property
    def other_share(self) -> float:
        """The share of the time for scoring, shots, selection and report."""
        return sum(self.timings_s.get(step, 0) for step in OTHER_STEPS) / self.wall_s

    @property
    def quarter_peaks_mb(self) -> list[float]:
        """The peak memory in each quarter of the run; 0 without samples."""
        return [max((mb for time_s, mb in self.memory if quarter <= 4 * time_s / self.wall_s < quarter + 1),
                    default=0.0) for quarter in range(4)]

    @property
    def startup_s(self) -> float:
        """The seconds outside all steps: the start of Python and the loading of the encoders."""
        return self.wall_s - sum(self.timings_s.values())


def measure(minutes: int = MINUTES) -> Iterator[Row]:
    """Yield one row per variant, and rows of the lower bounds: decoding only, and encoding only."""
    with tempfile.TemporaryDirectory() as folder:
        segment = make_video(Path(folder) / "segment.mp4")
        video = make_video(Path(folder) / "video.mp4", minutes * 60, segment)
        for number, (options, goal) in enumerate(GOALS.items()):
            run = summarize(video, Path(folder) / str(number), options)
            name = f"{run.duration_s / 60:.0f} min, {' '.join(options)}"
            yield Row(name, None, run.wall_s, describe(run, goal), run.memory)
        _, decode_s, cpu_s = timed(lambda: decode_all(video))
        yield Row(f"{run.duration_s / 60:.0f} min, decoding only", None, decode_s,
                  f"{run.duration_s / decode_s:.1f}x real time, {cpu_s:.1f} s CPU")
        frames = first_frames(video, ENCODED_S * FPS)
        _, encode_s, _ = timed(lambda: encode_all(frames))
        yield Row(f"{ENCODED_S} s, x264 veryfast only", None, encode_s, f"{ENCODED_S / encode_s:.1f}x real time")


def describe(run: Run, goal: float) -> str:
    """Return the measurements of a run as one line.

    Args:
        run: the measurements.
        goal: speed to reach, as a multiple of real time.
    """
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in run.timings_s.items())
    quarters = ", ".join(f"{mb:.0f}" for mb in run.quarter_peaks_mb)
    return (f"{run.speed:.1f}x real time (goal {goal}), peak {run.peak_mb:.0f} MB (by quarter: {quarters}), "
            f"{run.other_share:.1%} for scoring, shots, selection and report (goal 3 %), cut of {run.kept_s:.0f} s at "
            f"{run.cut_speed:.1f}x real time (goal 5); startup {run.startup_s:.1f} s, {steps}; {run.cpu_s:.1f} s CPU")


def summarize(video: Path, out: Path, options: tuple[str, ...]) -> Run:
    """Run tools/summarize.py and wait for it.

    Raises:
        InputError: it failed.
    """
    command = [str(COMMAND), str(video), "--text", QUERY, "--out", str(out), "--quiet", *options]
    measured = monitor([sys.executable, *command])
    return read_run(json.loads((out / "summary.json").read_text(encoding="utf-8")), *measured)


def monitor(command: list[str], interval_s: float = SAMPLING_INTERVAL_S) -> tuple[float, float, float, MemorySamples]:
    """Run a command and measure it.

    Args:
        command: the program and its arguments.
        interval_s: time between two samples of the memory of the process and its children; without /proc, the memory
            is not sampled.

    Returns:
        Its wall-clock seconds, CPU seconds, peak memory in MB, and memory samples.

    Raises:
        InputError: it failed; its own message is on stderr.
    """
    started_s = time.perf_counter()
    output = subprocess.run([sys.executable, "-S", "-c", MONITOR, str(interval_s), *command], stdout=subprocess.PIPE,
                            check=True).stdout
    wall_s = time.perf_counter() - started_s
    status, cpu_s, peak_mb, samples = json.loads(output)
    if status:
        raise InputError(None, f"{' '.join(command)} failed with exit status {status}", "see its message above")
    return wall_s, cpu_s, peak_mb, tuple((time_s, mb) for time_s, mb in samples)


def plot_memory(rows: Sequence[dict], path: Path) -> None:
    """Plot the memory of each row over time as a PNG.

    Args:
        rows: dicts with the keys `name` and `memory` of `Row`; rows without samples are skipped.
        path: the file to write.
    """
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    for row in rows:
        if row["memory"]:
            times_s, memory_mb = zip(*row["memory"], strict=True)
            axes.plot([time_s / 60 for time_s in times_s], memory_mb, label=f"{row['name']}: {max(memory_mb):.0f} MB")
    axes.set(xlabel="minutes since the start", ylabel="memory of all processes, MB", ylim=(0, None), xlim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    pyplot.close(figure)


def read_run(summary: dict, wall_s: float, cpu_s: float, peak_mb: float, memory: MemorySamples = ()) -> Run:
    """Return a run from the contents of its summary.json and the results of `monitor`."""
    return Run(summary["duration"], summary["kept"], wall_s, cpu_s, peak_mb, summary["timings_s"], memory)
