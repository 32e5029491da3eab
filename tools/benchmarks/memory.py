"""Memory of loading: an epoch over a packed set, and over one of eight times its size."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from common.paths import ROOT

from . import Row
from .synthetic import CLIPS, TEXT, WIDTHS, write_labels

VIDEOS, TIMES = 32, 8
LOOP = """
import sys, time
import datasets
from training.loaders import build_loader
datasets.register()
def anonymous_mb():
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Anonymous:")) / 1024
label, video, text = sys.argv[1:]
loader = build_loader(dict(type="QVHighlights", label_path=label, video_path=video, query_path=text,
                           loader=dict(batch_size=8, shuffle=True)), 0)
next(iter(loader))
start = time.perf_counter()
for batch in loader:
    pass
print(time.perf_counter() - start, anonymous_mb())
"""


def memory_row() -> Row:
    """An epoch of loading alone, and the memory that the process then holds of its own, for a small and a large set.

    Pages of a pack that are in memory belong to the system's cache, which takes them back when it needs room, so
    they are not counted. Measured on Linux alone.
    """
    name, large = "loading {} packed videos", VIDEOS * TIMES
    if not Path("/proc/self/smaps_rollup").is_file():
        return Row(name.format(0), None, 0.0, "not measured: this system does not tell a process's own memory")
    with tempfile.TemporaryDirectory() as folder:
        (_, small_mb), (large_s, large_mb) = (_loaded(Path(folder) / str(n), n) for n in (VIDEOS, large))
    return Row(name.format(large), None, large_s,
               f"holds {large_mb:.0f} MB after them, {small_mb:.0f} MB after {VIDEOS}")


def _loaded(folder: Path, number: int) -> tuple[float, float]:
    """Seconds and MB of a process that has loaded an epoch of a made-up set."""
    from datasets.features.pack import pack_folder

    r = np.random.default_rng(0)
    for name in ("video", "text"):
        (folder / name).mkdir(parents=True)
    labels = write_labels(folder / "labels.jsonl", number)
    rows = r.normal(0, 1, (CLIPS, sum(WIDTHS.values()))).astype(np.float16)
    for label in labels:
        np.save(folder / "video" / f"{label['vid']}.npy", rows)
        np.savez(folder / "text" / f"qid{label['qid']}.npz", last_hidden_state=rows[:12, :TEXT])
    packs = [str(pack_folder(folder / name)) for name in ("video", "text")]
    done = subprocess.run([sys.executable, "-c", LOOP, str(folder / "labels.jsonl"), *packs], cwd=ROOT, check=True,
                          capture_output=True, text=True)
    elapsed_s, megabytes = map(float, done.stdout.split()[-2:])
    return elapsed_s, megabytes
