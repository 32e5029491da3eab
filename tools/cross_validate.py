"""Train a summarization config on every fold with several seeds; print mean, spread and baselines.

  python tools/cross_validate.py configs/tvsum/clip_it_offline.py --seeds 1 2 3
  python tools/cross_validate.py configs/tvsum/clip_it_offline.py --seeds 1 --set model.propagation=0 --sentences other

Finished training runs in the work dir are reused unless config, data or code have changed; --fresh repeats all of them.
"""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import ArgumentParser, run
from common.errors import InputError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("config", help="a config with folds, e.g. configs/tvsum/clip_it_offline.py")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3],
                        help="random seeds; each fold is trained once with each (default: 1 2 3)")
    parser.add_argument("--work-dir", help="folder for all outputs (default: work_dirs/<name of the config>_folds)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes",
                        help="change the config, e.g. model.propagation=0; may be repeated")
    parser.add_argument("--sentences", choices=("own", "other", "none", "captions"), default="own",
                        help="sentences to score the test videos with: their own, those of another video, none, or "
                        "captions of their shots (default: own)")
    parser.add_argument("--fresh", action="store_true", help="repeat all training runs")
    return parser.parse_args(argv)


def read_changes(assignments: list[str]) -> dict[str, object]:
    """Parse `model.propagation=0` to {"model.propagation": 0}; a value that is not a Python literal is a string.

    Raises:
        InputError: not of the form KEY.KEY=VALUE.
    """
    changes: dict[str, object] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not all(part.isidentifier() for part in key.split(".")):
            raise InputError(None, f"--set {text}: not an assignment", "write KEY.KEY=VALUE, e.g. model.propagation=0")
        try:
            changes[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            changes[key] = value
    return changes


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)

    def command() -> None:
        from training.cross_validation import cross_validate, format_result
        result = cross_validate(args.config, args.seeds, args.work_dir, changes=read_changes(args.changes),
                                sentences=args.sentences, fresh=args.fresh)
        print(format_result(result))

    return run(command, interrupted="Interrupted. Run the same command again to continue with the remaining runs.")


if __name__ == "__main__":
    raise SystemExit(main())
