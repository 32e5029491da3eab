"""Evaluate prediction files against label files.

Examples:
    python tools/evaluate.py qvhighlights --pred predictions.jsonl --label val.jsonl --out metrics.json
    python tools/evaluate.py tvsum --pred predictions.jsonl --label tvsum_anno.json --domain BK --baselines
    python tools/evaluate.py youtube --pred predictions.jsonl --label youtube_anno.json --domain dog
    python tools/evaluate.py charades --pred predictions.jsonl --label charades_sta_test.txt
    python tools/evaluate.py summary --pred scores.jsonl --label tvsum.h5 --split splits.json --fold 0 --baselines
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import cli
from common.errors import InputError

BENCHMARKS = {   # Label files and further options by benchmark.
    "qvhighlights": ("JSON lines", ("clip_len_s",)),
    "tvsum": ("tvsum_anno.json, ydata-tvsum50.mat or ydata-tvsum50-anno.tsv", ("domain", "clip_len_s")),
    "youtube": ("youtube_anno.json", ("domain",)),
    "charades": ("charades_sta_test.txt", ()),
    "summary": ("h5 file in the schema of DSNet and PGL-SUM", ("split", "fold")),
}
PREDICTIONS = {"summary": " of vid and scores, one score per sampled frame; or one JSON object from videos to scores"}
OPTIONS: dict[str, dict[str, Any]] = {   # Arguments of `add_argument` by option.
    "domain": dict(help="evaluate the validation videos of this domain (default: all labeled videos)"),
    "clip_len_s": dict(type=float, default=2, metavar="S", help="seconds per clip (default: 2)"),
    "split": dict(metavar="F", help="JSON list of train_keys and test_keys (default: evaluate all videos)"),
    "fold": dict(type=int, metavar="N", help="evaluate the test_keys of this fold of the split"),
}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="benchmark", required=True, metavar="{" + ",".join(BENCHMARKS) + "}")
    for name, (labels, options) in BENCHMARKS.items():
        command = commands.add_parser(name, help=f"labels: {labels}")
        command.add_argument("--pred", required=True, help="predictions, JSON lines" + PREDICTIONS.get(name, ""))
        command.add_argument("--label", required=True, help=f"labels: {labels}")
        command.add_argument("--out", help="write all metrics to this JSON file, including baselines with --baselines")
        command.add_argument("--baselines", action="store_true",
                             help="also print the metrics of random predictions (20 seeds), of the labels as "
                                  "predictions, and of human annotators if several annotated a video")
        command.add_argument("--floors", dest="baselines", action="store_true",
                             help="deprecated alias of --baselines")
        if name == "summary":
            command.add_argument("--per-video", action="store_true",
                                 help="print the metrics of each video, then their mean")
        for option in options:
            command.add_argument("--" + option.replace("_", "-"), **OPTIONS[option])
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return cli.run(lambda: evaluate(args))


def evaluate(args: argparse.Namespace) -> None:
    from common.files import write_json
    from datasets.eval.benchmarks import EVALUATORS

    if args.out and Path(args.out).is_dir():
        raise InputError(f"--out {args.out}", "is a folder", f"specify a file, e.g. {Path(args.out) / 'metrics.json'}")
    options = {option: getattr(args, option) for option in BENCHMARKS[args.benchmark][1]}
    if args.benchmark == "summary":
        from pipelines.selection.knapsack import key_frames
        options["select"] = key_frames
    evaluation = EVALUATORS[args.benchmark](args.pred, args.label, **options)
    baselines: dict[str, dict[str, float]] = {}
    if args.baselines:
        baselines.update(random=evaluation.random(), oracle=evaluation.oracle())
        if evaluation.human is not None:
            baselines["human"] = evaluation.human()
    if args.out:
        write_json(args.out, {**evaluation.full, **(dict(floors=baselines) if baselines else {})})
    if evaluation.note:
        print(f"note: {evaluation.note}", file=sys.stderr)
    rows = {**evaluation.by_video, "mean": evaluation.metrics} if getattr(args, "per_video", False) else {}
    for name, row in rows.items():
        print(name.ljust(24) + "".join(f"{key} {_number(value, [value])}   " for key, value in row.items()))
    if args.baselines:
        columns = dict(predictions=evaluation.metrics, **baselines)
        for key in evaluation.metrics:
            values = [column[key] for column in columns.values() if key in column]
            print(key.ljust(24) + "".join(
                f"{name} {_number(column.get(key), values)}   " for name, column in columns.items()))
    elif not rows:
        print(json.dumps(evaluation.metrics, indent=2))


def _number(value: float | None, row: list[float]) -> str:
    """Format a metric: two decimals if its row is in percent, four if it is a share; a dash for no value."""
    return f"{'-':>6}" if value is None else f"{value:6.{2 if max(map(abs, row)) > 1 else 4}f}"


if __name__ == "__main__":
    raise SystemExit(main())
