"""Plot the losses and metrics of one or more training runs.

Examples:
    python tools/plot_metrics.py work_dirs/mine
    python tools/plot_metrics.py work_dirs/a work_dirs/b --metric MR-full-mAP --out compared.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import ArgumentParser, run


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("work_dirs", nargs="+", metavar="WORK_DIR", help="work dirs of tools/launch.py")
    parser.add_argument("--metric", action="append", default=[], metavar="M",
                        help="a validation metric to plot; may be repeated (default: the main ones)")
    parser.add_argument("--out", default="curves.png", metavar="PNG", help="the image file (default: curves.png)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)

    def command() -> None:
        from training.plots import compare_curves
        compare_curves(args.work_dirs, args.out, args.metric)
        print(args.out)

    return run(command)


if __name__ == "__main__":
    raise SystemExit(main())
