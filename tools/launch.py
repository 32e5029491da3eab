"""Trains a config and evaluates its best checkpoint, or evaluates a checkpoint.

  python tools/launch.py configs/sample/umt_sample.py
  python tools/launch.py configs/sample/umt_sample.py --eval --checkpoint work_dirs/sample/best.pth --dump preds.jsonl
  python tools/launch.py configs/sample/umt_sample.py --resume work_dirs/umt_sample/last.pth
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a Python config, e.g. configs/sample/umt_sample.py")
    parser.add_argument("--checkpoint", help="weights to begin with, or with --eval to evaluate")
    parser.add_argument("--resume", nargs="?", const="auto", metavar="LAST.PTH",
                        help="go on with an interrupted training; without a file that of the work dir, if there is one")
    parser.add_argument("--eval", action="store_true", help="evaluate --checkpoint, train nothing")
    parser.add_argument("--label", metavar="F", help="with --eval: labels to evaluate on, instead of the config's")
    parser.add_argument("--check", action="store_true", help="check config, labels and features, do nothing else")
    parser.add_argument("--dump", help="write the predictions there, as JSON lines")
    parser.add_argument("--seed", type=int, help="random seed, instead of the config's")
    parser.add_argument("--work-dir", help="where everything goes (default: work_dirs/<config's name>)")
    parser.add_argument("--launcher", choices=("torch", "slurm"),
                        help="how the processes were started (default: found out)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    from training.launcher import launch
    try:
        launch(args.config, checkpoint=args.checkpoint, resume=args.resume, evaluate=args.eval, dump=args.dump,
               label=args.label, seed=args.seed, work_dir=args.work_dir, launcher=args.launcher, check=args.check)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command with --resume goes on from the last whole epoch", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
