#!/usr/bin/env python
"""Compare the results of this checkout with those of another one, e.g. after a refactoring.

    git worktree add ../before v1.0
    python tools/compare_versions.py ../before --videos videos/
    python tools/compare_versions.py ../before --videos videos/ --text "a red car" --sample

Summarize every video in every mode and extract its features, with both checkouts, and compare: all numbers in
summary.json, every decoded frame and audio sample of the cut, edit lists, and feature files. Timings and the wording
of `scored_by` are not compared. Exit status: 0 identical; 1 different; 2 invalid input.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import cli
from common.errors import InputError
from common.paths import ROOT

NOT_COMPARED = ("timings_s", "scored_by")
MODES = {"summary": ["--export", "csv,edl,otio"], "moments": ["--mode", "moments"], "shorts": ["--mode", "shorts"]}
NO_QUERY: dict[str, list[str]] = {"no query": []}
VARIANTS = {"copy": ["--copy", "--sampling", "keyframes"], "9:16": ["--aspect", "9:16"]}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path, metavar="BASE", help="the other checkout")
    parser.add_argument("--videos", type=Path, required=True, metavar="DIR", help="folder of videos")
    parser.add_argument("--text", default="a person", metavar="T", help="query (default: %(default)s)")
    parser.add_argument("--sample", action="store_true",
                        help="also compare work_dirs/sample/metrics.json, which ./run.sh writes in each checkout")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return cli.run(lambda: compare(args.base, args.videos, args.text, args.sample))


def compare(base: Path, folder: Path, text: str, sample: bool) -> int:
    """Compare two checkouts; print one line per case and return the exit status."""
    from pipelines.features.extract import find_videos
    if not (base / "tools/summarize.py").is_file():
        raise InputError(base, "not a checkout of this project", "specify a folder that holds tools/summarize.py")
    different = 0
    with tempfile.TemporaryDirectory() as temporary:
        cases = _cases(base.resolve(), find_videos([str(folder)]), text, Path(temporary))
        for name, differences in itertools.chain(cases, _sample_case(base) if sample else []):
            different += bool(differences)
            outcome = f"DIFFERENT: {', '.join(differences[:5])}" if differences else "identical"
            print(f"{name:55} {outcome}", flush=True)
    print(f"{different} cases differ")
    return 1 if different else 0


def _sample_case(base: Path) -> list[tuple[str, list[str]]]:
    metrics = [json.loads((root / "work_dirs/sample/metrics.json").read_text()) for root in (base, ROOT)]
    return [("work_dirs/sample/metrics.json", list(value_differences(*metrics)))]


def _cases(base: Path, videos: list[Path], text: str, temporary: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield a name and the differences of each case."""
    query = ["--text", text]
    options = {name: [*query, *extra] for name, extra in {**MODES, **VARIANTS}.items()} | NO_QUERY
    for video in videos:
        for name, extra in options.items():
            outs = [temporary / f"{video.stem}-{name.replace(':', '')}-{which}" for which in ("base", "here")]
            statuses = [_run(root, ["tools/summarize.py", str(video.resolve()), *extra, "--out", str(out), "--quiet",
                                    "--cache", str(temporary / f"cache-{root is ROOT}")])
                        for root, out in zip((base, ROOT), outs, strict=True)]
            if statuses[0] != statuses[1]:
                yield f"{video.name}: {name}", [f"exit status {statuses[0]} and {statuses[1]}"]
            elif statuses[0] == 0:   # Both may reject the input, e.g. a damaged file.
                yield f"{video.name}: {name}", list(summary_differences(*outs))
    outs = [temporary / f"features-{which}" for which in ("base", "here")]
    for root, out in zip((base, ROOT), outs, strict=True):
        command = ["tools/extract_features.py", *(str(video.resolve()) for video in videos), "--out", str(out)]
        if _run(root, command):
            raise InputError(root, f"`{' '.join(command)}` failed", "run it there to see why")
    yield "features", list(feature_differences(*outs))


def _run(root: Path, command: list[str]) -> int:
    """Run a command in a checkout and return its exit status."""
    return subprocess.run([sys.executable, *command], cwd=root, capture_output=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(root)}).returncode


def summary_differences(base: Path, here: Path) -> Iterator[str]:
    """Yield the names of what differs between two output folders of `tools/summarize.py`."""
    names = [{path.name for path in folder.iterdir()} for folder in (base, here)]
    yield from sorted(names[0] ^ names[1])
    for name in sorted(names[0] & names[1]):
        files = base / name, here / name
        if name.endswith(".json"):
            yield from value_differences(*(json.loads(path.read_text()) for path in files))
        elif name.endswith(".mp4"):
            if media_hash(files[0]) != media_hash(files[1]):
                yield name
        elif not name.endswith(".html") and files[0].read_bytes() != files[1].read_bytes():
            yield name


def value_differences(base: object, here: object, where: str = "") -> Iterator[str]:
    """Yield the paths of the values that differ between two JSON documents."""
    if isinstance(base, dict) and isinstance(here, dict):
        for key in sorted(base.keys() | here.keys()):
            if key not in NOT_COMPARED:
                yield from value_differences(base.get(key), here.get(key), f"{where}.{key}")
    elif isinstance(base, list) and isinstance(here, list) and len(base) == len(here):
        for index, (one, other) in enumerate(zip(base, here, strict=True)):
            yield from value_differences(one, other, f"{where}[{index}]")
    elif base != here:
        yield where


def media_hash(path: Path) -> str:
    """Return the SHA-256 of all decoded frames and audio samples, with their timestamps."""
    import av
    digest = hashlib.sha256()
    with av.open(str(path)) as container:
        for frame in container.decode(video=0, audio=0) if container.streams.audio else container.decode(video=0):
            digest.update(f"{type(frame).__name__} {frame.pts}".encode())
            digest.update(frame.to_ndarray().tobytes())
    return digest.hexdigest()


def feature_differences(base: Path, here: Path) -> Iterator[str]:
    """Yield the feature files that differ between two output folders of `tools/extract_features.py`."""
    import numpy as np
    names = [{str(path.relative_to(folder)) for path in folder.rglob("*.np[yz]")} for folder in (base, here)]
    yield from sorted(names[0] ^ names[1])
    for name in sorted(names[0] & names[1]):
        one, other = (np.load(folder / name) for folder in (base, here))
        pairs = [(one, other)] if name.endswith(".npy") else [(one[key], other[key]) for key in one.files]
        if not all(np.array_equal(a, b) for a, b in pairs):
            yield name


if __name__ == "__main__":
    raise SystemExit(main())
