"""Train a config and evaluate its best checkpoint, or evaluate a checkpoint.

Examples:
    python tools/launch.py configs/sample/umt_sample.py
    python tools/launch.py configs/sample/umt_sample.py --eval --checkpoint work_dirs/sample/best.pth --dump preds.jsonl
    python tools/launch.py configs/sample/umt_sample.py --resume
    python tools/launch.py configs/sample/umt_sample.py --resume work_dirs/umt_sample/last.pth

A new training never replaces the results of an earlier one: if the work dir contains results, NAME_1, NAME_2, ... is
used instead. --resume continues the training in the work dir, and --overwrite replaces it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import ArgumentParser, run


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("config", help="a Python config, e.g. configs/sample/umt_sample.py")
    parser.add_argument("--checkpoint", help="weights to start from, or to evaluate with --eval")
    parser.add_argument("--resume", nargs="?", const="auto", metavar="LAST.PTH",
                        help="continue an interrupted training (default: the newest checkpoint of the work dir, or a "
                        "new training if there is none)")
    parser.add_argument("--overwrite", action="store_true",
                        help="replace the results of an earlier run in the work dir (default: use NAME_1, NAME_2, ...)")
    parser.add_argument("--eval", action="store_true", help="evaluate --checkpoint without training")
    parser.add_argument("--label", metavar="F", help="with --eval: a label file to evaluate on instead of the config's")
    parser.add_argument("--check", action="store_true", help="check config, labels and features, then exit")
    parser.add_argument("--dump", help="write the predictions to this file, as JSON lines")
    parser.add_argument("--seed", type=int, help="random seed (default: the config's)")
    parser.add_argument("--work-dir", help="folder for all outputs (default: work_dirs/<name of the config>)")
    parser.add_argument("--work-dir-file", metavar="F", help="write the path of the work dir that is used to this file")
    parser.add_argument("--launcher", choices=("torch", "slurm"),
                        help="the program that started the processes (default: detected)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    from training.launcher import launch
    used: list[Path] = []

    def use_work_dir(path: Path) -> None:
        used.append(path)
        if args.work_dir_file:
            Path(args.work_dir_file).write_text(f"{path}\n", encoding="utf-8")

    def command() -> None:
        launch(args.config, checkpoint=args.checkpoint, resume=args.resume, evaluate=args.eval, dump=args.dump,
               label=args.label, seed=args.seed, work_dir=args.work_dir, launcher=args.launcher, check=args.check,
               overwrite=args.overwrite, on_work_dir=use_work_dir)

    return run(command, interrupted=lambda: interruption_message(args, used[0] if used else None))


def interruption_message(args: argparse.Namespace, work_dir: Path | None) -> str:
    """Return what to do after an interruption; `work_dir` is the folder that the run used, None for none."""
    if work_dir is None or args.eval:
        return "Interrupted."
    requested = args.work_dir or Path("work_dirs") / Path(args.config).stem
    option = "--resume" if work_dir == Path(requested) else f"--resume --work-dir {work_dir}"
    option += " instead of --overwrite" if args.overwrite else ""
    return f"Interrupted. Run the same command with {option} to continue after the last complete epoch."


if __name__ == "__main__":
    raise SystemExit(main())
