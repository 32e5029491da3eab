"""Trains a summarization config on every fold with several seeds: mean, spread, and floors beside.

  python tools/cross_validate.py configs/tvsum/clip_it_offline.py --seeds 1 2 3
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a config with folds, e.g. configs/tvsum/clip_it_offline.py")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="one training per fold each")
    parser.add_argument("--work-dir", help="where everything goes (default: work_dirs/<config's name>_folds)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    from training.cross_validation import cross_validate, format_result
    try:
        result = cross_validate(args.config, args.seeds, args.work_dir)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    print(format_result(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
