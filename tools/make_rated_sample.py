"""Create a synthetic set of rated clips with features, to try the studio workflow.

  python tools/make_rated_sample.py --out data/hotstar_highlight_865     # the path in configs/hotstar/

The command prints the next steps.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import cli
from common.errors import InputError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, metavar="DIR", help="output folder of the table and the features")
    parser.add_argument("--episodes", type=int, default=40, help="number of episodes (default: 40)")
    parser.add_argument("--clips", type=int, default=30, help="rated clips per episode (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (default: 0)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return cli.run(lambda: make(args))


def make(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from datasets.preparation.rated_sample import make_rated_sample

    try:
        table = make_rated_sample(args.out, args.episodes, args.clips, args.seed, partial(tqdm, unit="episode"))
    except OSError as err:
        raise InputError(args.out, f"{err}", "free some space and run the command again") from err
    out = shlex.quote(args.out)
    print(f"{table}: {args.episodes * args.clips} synthetic clips, with features in the same folder. Next:\n"
          f"python tools/process_feature_and_label.py {out}/ratings.csv --visual {out}/features/clip_b32 "
          f"--audio {out}/features/panns_cnn14 --out {out}\n"
          "./run.sh configs/hotstar/umt_base_200e_hotstar_highlight_865_clip_panns.py"
          "   # reads data/hotstar_highlight_865")


if __name__ == "__main__":
    raise SystemExit(main())
