"""Measure the product against reference implementations, in the same run so that a busy machine slows down both.

Examples:
    python tools/benchmark.py evaluation
    python tools/benchmark.py long --minutes 60       # tools/summarize.py on an hour of video
    python tools/benchmark.py all --out benchmark.json
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import cli
from common.errors import InputError

HELPERS = ("__init__", "memory", "synthetic", "video")   # Modules of tools/benchmarks that measure nothing themselves.
SUBJECTS = sorted({p.stem for p in (Path(__file__).parent / "benchmarks").glob("*.py")} - set(HELPERS))


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("subject", choices=[*SUBJECTS, "all"], help="what to measure")
    parser.add_argument("--minutes", type=int, metavar="N", help="length of the test video, for features and long")
    parser.add_argument("--out", metavar="F", help="also write the rows to this JSON file, and a plot of the memory "
                        "over time to a PNG file beside it, if memory is measured")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return cli.run(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Measure the subjects, print a row for each comparison, and write the files.

    Raises:
        InputError: the length of the video is less than a minute, or a measurement failed.
    """
    from common.files import write_json

    if args.minutes is not None and args.minutes < 1:
        raise InputError(None, f"--minutes {args.minutes} is too short", "give at least 1")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(machine)
    rows = []
    for subject in SUBJECTS if args.subject == "all" else [args.subject]:
        module = importlib.import_module(f"tools.benchmarks.{subject}")
        has_length = args.minutes is not None and hasattr(module, "MINUTES")
        for row in module.measure(args.minutes) if has_length else module.measure():
            rows.append(dict(subject=subject, **row.to_json()))
            reference = "-" if row.reference_s is None else f"{row.reference_s:.3f}"
            speedup = "-" if row.speedup is None else f"{row.speedup:.1f}x"
            print(f"{row.name:<52}{reference:>10} s reference{row.product_s:>10.3f} s product{speedup:>9}  {row.note}",
                  flush=True)
    if args.out:
        write_json(args.out, dict(machine=machine, rows=rows))
        if any(row["memory"] for row in rows):
            from tools.benchmarks.long import plot_memory
            plot_memory(rows, Path(args.out).with_suffix(".png"))


if __name__ == "__main__":
    raise SystemExit(main())
