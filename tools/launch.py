"""Train a config and evaluate its best checkpoint, or evaluate a checkpoint.

Examples:
    python tools/launch.py configs/sample/umt_sample.py
    python tools/launch.py configs/sample/umt_sample.py --eval --checkpoint work_dirs/sample/best.pth --dump preds.jsonl
    python tools/launch.py configs/sample/umt_sample.py --resume work_dirs/umt_sample/last.pth
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import run


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a Python config, e.g. configs/sample/umt_sample.py")
    parser.add_argument("--checkpoint", help="weights to start from, or to evaluate with --eval")
    parser.add_argument("--resume", nargs="?", const="auto", metavar="LAST.PTH",
                        help="continue an interrupted training (default: the work dir's last.pth if it exists)")
    parser.add_argument("--eval", action="store_true", help="evaluate --checkpoint without training")
    parser.add_argument("--label", metavar="F", help="with --eval: a label file to evaluate on instead of the config's")
    parser.add_argument("--check", action="store_true", help="check config, labels and features, then exit")
    parser.add_argument("--dump", help="write the predictions to this file, as JSON lines")
    parser.add_argument("--seed", type=int, help="random seed (default: the config's)")
    parser.add_argument("--work-dir", help="folder for all outputs (default: work_dirs/<name of the config>)")
    parser.add_argument("--launcher", choices=("torch", "slurm"),
                        help="the program that started the processes (default: detected)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    from training.launcher import launch

    def command() -> None:
        launch(args.config, checkpoint=args.checkpoint, resume=args.resume, evaluate=args.eval, dump=args.dump,
               label=args.label, seed=args.seed, work_dir=args.work_dir, launcher=args.launcher, check=args.check)

    return run(command,
               interrupted="Interrupted. Run the same command with --resume to continue after the last complete epoch.")


if __name__ == "__main__":
    raise SystemExit(main())
