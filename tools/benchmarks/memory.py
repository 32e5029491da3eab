"""Measure the memory of data loading: an epoch of a packed data set, and of one that is eight times as large."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from common.paths import ROOT

from . import Row
from .synthetic import NUM_CLIPS, TEXT_DIMS, VIDEO_DIMS, write_labels

NUM_VIDEOS, FACTOR = 32, 8
LOAD_EPOCH = """
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
    """Load an epoch of a small and of a large data set, and compare the anonymous memory of the processes.

    Pages of a memory-mapped pack belong to the page cache of the system, which reclaims them when memory is needed, so
    they do not count. The measurement needs Linux.
    """
    name, n_large = "loading {} packed videos", NUM_VIDEOS * FACTOR
    if not Path("/proc/self/smaps_rollup").is_file():
        return Row(name.format(0), None, 0.0, "not measured, because it needs /proc/self/smaps_rollup")
    with tempfile.TemporaryDirectory() as folder:
        (_, small_mb), (large_s, large_mb) = (_load_epoch(Path(folder) / str(n), n) for n in (NUM_VIDEOS, n_large))
    return Row(name.format(n_large), None, large_s,
               f"{large_mb:.0f} MB after the epoch, {small_mb:.0f} MB after one of {NUM_VIDEOS} videos")


def _load_epoch(folder: Path, number: int) -> tuple[float, float]:
    """Return the seconds and the MB of a process that has loaded an epoch of a synthetic data set."""
    from datasets.features.pack import pack_folder

    r = np.random.default_rng(0)
    for name in ("video", "text"):
        (folder / name).mkdir(parents=True)
    labels = write_labels(folder / "labels.jsonl", number)
    rows = r.normal(0, 1, (NUM_CLIPS, sum(VIDEO_DIMS.values()))).astype(np.float16)
    for label in labels:
        np.save(folder / "video" / f"{label['vid']}.npy", rows)
        np.savez(folder / "text" / f"qid{label['qid']}.npz", last_hidden_state=rows[:12, :TEXT_DIMS])
    packs = [str(pack_folder(folder / name)) for name in ("video", "text")]
    process = subprocess.run([sys.executable, "-c", LOAD_EPOCH, str(folder / "labels.jsonl"), *packs], cwd=ROOT,
                             check=True, capture_output=True, text=True)
    elapsed_s, megabytes = map(float, process.stdout.split()[-2:])
    return elapsed_s, megabytes
