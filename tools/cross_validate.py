"""Trains a summarization config on every fold with several seeds: mean, spread, and floors beside.

  python tools/cross_validate.py configs/tvsum/clip_it_offline.py --seeds 1 2 3
  python tools/cross_validate.py configs/tvsum/clip_it_offline.py --seeds 1 --set model.alike=0 --sentences other

What stands in the work dir is not trained again unless config, data or code changed since; --fresh trains all anew.
"""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a config with folds, e.g. configs/tvsum/clip_it_offline.py")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="one training per fold each")
    parser.add_argument("--work-dir", help="where everything goes (default: work_dirs/<config's name>_folds)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes",
                        help="change the config, e.g. model.alike=0; may be given several times")
    parser.add_argument("--sentences", choices=("own", "other", "none", "captions"), default="own",
                        help="what the tested videos are scored with: their own sentences, another video's, none, or "
                        "captions of their shots (default: own)")
    parser.add_argument("--fresh", action="store_true", help="train everything anew")
    return parser.parse_args(argv)


def read_changes(given: list[str]) -> dict[str, object]:
    """`model.alike=0` -> {"model.alike": 0}; values as Python writes them, or else texts."""
    changes = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not all(part.isidentifier() for part in key.split(".")):
            raise InputError(f"--set {text}: write KEY.KEY=VALUE, e.g. model.alike=0")
        try:
            changes[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            changes[key] = value
    return changes


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    from training.cross_validation import cross_validate, format_result
    try:
        result = cross_validate(args.config, args.seeds, args.work_dir, changes=read_changes(args.changes),
                                sentences=args.sentences, fresh=args.fresh)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on with the trainings that are left", file=sys.stderr)
        return 130
    print(format_result(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
