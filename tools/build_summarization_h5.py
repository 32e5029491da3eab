"""Makes the summarization field's h5 file (DSNet, PGL-SUM) from videos and TVSum's ratings, with any encoders.

  python tools/build_summarization_h5.py videos/ --ratings ydata-tvsum50.mat --out data/tvsum/tvsum.h5
  python tools/build_summarization_h5.py --complete tvsum40.h5 --out data/tvsum/tvsum40_offline.h5

--complete adds what this project's model also reads, ConSE points and the title's embedding, to a file that holds
pooled EfficientNet-Lite0 features.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="?", help="folder of videos, named as the ratings name them")
    parser.add_argument("--ratings", help="TVSum's ydata-tvsum50.mat")
    parser.add_argument("--complete", metavar="H5", help="a file to which the rest is added")
    parser.add_argument("--encoders", default="offline", help="of configs/_base_/encoders, or a config file")
    parser.add_argument("--out", required=True, help="the h5 file to write")
    args = parser.parse_args(argv)
    if bool(args.complete) == bool(args.videos and args.ratings):
        parser.error("give a folder of videos and --ratings, or --complete")
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        run(args)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


def run(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from common.config import load_config
    from models.encoders import build_encoders
    from pipelines.summarization_h5 import build_h5, complete_h5, read_ratings

    root = Path(__file__).resolve().parents[1]
    config = args.encoders if args.encoders.endswith(".py") else root / f"configs/_base_/encoders/{args.encoders}.py"
    parts = load_config(config).encoders
    encoders = build_encoders({kind: parts[kind] for kind in ("visual", "text")})
    if args.complete:
        number = complete_h5(args.complete, encoders, args.out)
    else:
        folder = Path(args.videos)
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of videos")
        ratings = read_ratings(args.ratings)
        files = {path.stem: path for path in sorted(folder.iterdir()) if path.stem in ratings}
        number = build_h5(files, ratings, encoders, args.out, partial(tqdm, desc="videos"))
    print(f"{args.out}: {number} videos")


if __name__ == "__main__":
    raise SystemExit(main())
