"""Scores prediction files against label files.

  python tools/evaluate.py qvhighlights --pred predictions.jsonl --label val.jsonl --out metrics.json
  python tools/evaluate.py qvhighlights --pred predictions.jsonl --label val.jsonl --floors
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=("qvhighlights",), help="whose metrics")
    parser.add_argument("--pred", required=True, help="predictions, JSON lines")
    parser.add_argument("--label", required=True, help="labels, JSON lines")
    parser.add_argument("--out", help="write all metrics there, as JSON")
    parser.add_argument("--floors", action="store_true", help="print random and oracle scores beside")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    from common.files import write_json
    from datasets.eval import eval_qvhighlights
    from datasets.eval.floors import oracle, random_floor
    from datasets.labels import read_jsonl, read_labels
    try:
        if args.out and Path(args.out).is_dir():
            raise InputError(f"--out {args.out}: is a folder; name a file, e.g. {Path(args.out) / 'metrics.json'}")
        labels = read_labels(args.label)
        metrics = eval_qvhighlights(read_jsonl(args.pred), labels)
        if args.out:
            write_json(args.out, metrics)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    if args.floors:
        columns = dict(predictions=metrics["brief"], random=random_floor(labels), oracle=oracle(labels))
        for key in metrics["brief"]:
            print(key.ljust(24) + "".join(f"{name} {column[key]:6.2f}   " for name, column in columns.items()))
    else:
        print(json.dumps(metrics["brief"], indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
