"""Measures our way beside the plain way, in one run, so that a busy machine slows both.

  python tools/benchmark.py evaluation
  python tools/benchmark.py long --minutes 60       # the command line on an hour of film
  python tools/benchmark.py all --out benchmark.json
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError

HELPERS = ("__init__", "made_up", "film", "memory")
SUBJECTS = sorted({p.stem for p in (Path(__file__).parent / "benchmarks").glob("*.py")} - set(HELPERS))


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", choices=[*SUBJECTS, "all"])
    parser.add_argument("--minutes", type=int, metavar="N", help="length of the film, where one is watched")
    parser.add_argument("--out", metavar="F", help="write the rows as JSON too, and beside it "
                        "memory over time as a picture, where it is watched")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        run(args)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


def run(args: argparse.Namespace) -> None:
    from common.files import write_json

    if args.minutes is not None and args.minutes < 1:
        raise InputError(f"--minutes {args.minutes}: give at least 1")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(machine)
    rows = []
    for subject in SUBJECTS if args.subject == "all" else [args.subject]:
        module = importlib.import_module(f"tools.benchmarks.{subject}")
        filmed = args.minutes is not None and hasattr(module, "MINUTES")
        for row in module.measure(args.minutes) if filmed else module.measure():
            rows.append(dict(subject=subject, **asdict(row), ratio=row.ratio))
            plain = "-" if row.plain_s is None else f"{row.plain_s:.3f}"
            ratio = "-" if row.ratio is None else f"{row.ratio:.1f}x"
            print(f"{row.name:<52}{plain:>10} s plain{row.fast_s:>10.3f} s ours{ratio:>9}  {row.note}", flush=True)
    if args.out:
        write_json(args.out, dict(machine=machine, rows=rows))
        if any(row["memory"] for row in rows):
            from tools.benchmarks.long import draw_memory
            draw_memory(rows, Path(args.out).with_suffix(".png"))


if __name__ == "__main__":
    raise SystemExit(main())
