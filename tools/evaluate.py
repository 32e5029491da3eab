"""Scores prediction files against label files.

  python tools/evaluate.py qvhighlights --pred predictions.jsonl --label val.jsonl --out metrics.json
  python tools/evaluate.py tvsum --pred predictions.jsonl --label tvsum_anno.json --domain BK --floors
  python tools/evaluate.py youtube --pred predictions.jsonl --label youtube_anno.json --domain dog
  python tools/evaluate.py charades --pred predictions.jsonl --label charades_sta_test.txt
  python tools/evaluate.py summary --pred scores.jsonl --label tvsum.h5 --split splits.json --fold 0 --floors
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError

BENCHMARKS = {   # name -> whose labels, further options
    "qvhighlights": ("JSON lines", ("clip_len_s",)),
    "tvsum": ("tvsum_anno.json, ydata-tvsum50.mat or ydata-tvsum50-anno.tsv", ("domain", "clip_len_s")),
    "youtube": ("youtube_anno.json", ("domain",)),
    "charades": ("charades_sta_test.txt", ()),
    "summary": ("an h5 file as DSNet and PGL-SUM have it", ("split", "fold")),
}
PREDICTIONS = {"summary": " of vid and scores, one for every picked frame, or one JSON object from videos to scores"}
OPTIONS = {
    "domain": dict(help="only its validation videos (default: all that are labelled)"),
    "clip_len_s": dict(type=float, default=2, metavar="S", help="seconds in a clip (default: 2)"),
    "split": dict(metavar="F", help="JSON list of train_keys and test_keys (default: all videos count)"),
    "fold": dict(type=int, metavar="N", help="of the split, whose test_keys count"),
}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="benchmark", required=True, metavar="{" + ",".join(BENCHMARKS) + "}")
    for name, (labels, options) in BENCHMARKS.items():
        command = commands.add_parser(name, help=f"labels: {labels}")
        command.add_argument("--pred", required=True, help="predictions, JSON lines" + PREDICTIONS.get(name, ""))
        command.add_argument("--label", required=True, help=f"labels: {labels}")
        command.add_argument("--out", help="write all metrics there, as JSON; with --floors those, too")
        command.add_argument("--floors", action="store_true",
                             help="print what random predictions (20 seeds) and the labels themselves score beside, "
                                  "and people where several summarised a video")
        if name == "summary":
            command.add_argument("--per-video", action="store_true", help="print every video's numbers, then the mean")
        for option in options:
            command.add_argument("--" + option.replace("_", "-"), **OPTIONS[option])
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
    from datasets.eval import benchmarks

    if args.out and Path(args.out).is_dir():
        raise InputError(f"--out {args.out}: is a folder; name a file, e.g. {Path(args.out) / 'metrics.json'}")
    options = {option: getattr(args, option) for option in BENCHMARKS[args.benchmark][1]}
    if args.benchmark == "summary":
        from pipelines.selection.knapsack import key_frames
        options["select"] = key_frames
    scores = getattr(benchmarks, args.benchmark)(args.pred, args.label, **options)
    columns = dict(predictions=scores.metrics)
    if args.floors:
        columns.update(random=scores.random(), oracle=scores.oracle())
        if scores.human is not None:
            columns["human"] = scores.human()
    if args.out:
        floors = {name: column for name, column in columns.items() if name != "predictions"}
        write_json(args.out, {**scores.full, **(dict(floors=floors) if floors else {})})
    if scores.note:
        print(f"note: {scores.note}", file=sys.stderr)
    rows = {**scores.by_video, "mean": scores.metrics} if getattr(args, "per_video", False) else {}
    for name, row in rows.items():
        print(name.ljust(24) + "".join(f"{key} {_number(value, [value])}   " for key, value in row.items()))
    if args.floors:
        for key in scores.metrics:
            values = [column[key] for column in columns.values() if key in column]
            print(key.ljust(24) + "".join(
                f"{name} {_number(column.get(key), values)}   " for name, column in columns.items()))
    elif not rows:
        print(json.dumps(scores.metrics, indent=2))


def _number(value: float | None, beside: list[float]) -> str:
    """Two digits where one of those beside is per cent, four of shares; a dash for nothing."""
    return f"{'-':>6}" if value is None else f"{value:6.{2 if max(map(abs, beside)) > 1 else 4}f}"


if __name__ == "__main__":
    raise SystemExit(main())
