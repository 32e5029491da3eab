"""Makes the summarization field's h5 file (DSNet, PGL-SUM) from videos and TVSum's or SumMe's labels.

  python tools/build_summarization_h5.py videos/ --ratings ydata-tvsum50.mat --out data/tvsum/tvsum.h5
  python tools/build_summarization_h5.py videos/ --ratings GT/ --out data/summe/summe.h5 --split data/summe/splits.json
  python tools/build_summarization_h5.py --complete tvsum40.h5 --out data/tvsum/tvsum40_offline.h5 \\
      --split data/tvsum/tvsum40_splits.json --folds-of tvsum40_splits.json

--complete adds what this project's model also reads, ConSE points and the title's embedding, to a file that holds
pooled EfficientNet-Lite0 features. --split writes folds that test every video once, or those of --folds-of.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError
from common.paths import ROOT

SHOWN = 5   # names of a list


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="?", help="folder of videos, named as the labels name them")
    parser.add_argument("--ratings", help="TVSum's ydata-tvsum50.mat or ydata-tvsum50-anno.tsv, or SumMe's folder GT")
    parser.add_argument("--complete", metavar="H5", help="a file to which the rest is added")
    parser.add_argument("--encoders", default="offline", help="of configs/_base_/encoders, or a config file")
    parser.add_argument("--split", metavar="F", help="write a split file there too, whose folds test every video once")
    parser.add_argument("--folds", type=int, default=5, help="of the split file (default: 5)")
    parser.add_argument("--folds-of", metavar="F", help="with --split: the folds of this JSON or YAML split file, "
                        "checked against the videos")
    parser.add_argument("--out", required=True, help="the h5 file to write")
    args = parser.parse_args(argv)
    if bool(args.complete) == bool(args.videos and args.ratings):
        parser.error("give a folder of videos and --ratings, or --complete")
    if args.folds_of and not args.split:
        parser.error("--folds-of goes with --split, the file to write")
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
    from common.files import write_json
    from datasets.annotations.summarization_h5 import read_summarization_h5
    from models.encoders import build_encoders
    from pipelines.h5_builder import add_shared_features, build_h5

    config = args.encoders if args.encoders.endswith(".py") else ROOT / f"configs/_base_/encoders/{args.encoders}.py"
    parts = load_config(config).encoders
    if args.complete:
        folds = split_of(list(read_summarization_h5(args.complete, None, ())), args) if args.split else []
        encoders = build_encoders({kind: parts[kind] for kind in ("visual", "text")})
        number = add_shared_features(args.complete, encoders, args.out)
    else:
        ratings, files = find_labelled(args.videos, args.ratings)
        folds = split_of(list(files), args)
        encoders = build_encoders({kind: parts[kind] for kind in ("visual", "text")})
        number = build_h5(files, ratings, encoders, args.out, partial(tqdm, desc="videos"))
    if args.split:
        write_json(args.split, folds)
    print(f"{args.out}: {number} videos" + (f"; {args.split}: {len(folds)} folds" if args.split else ""))


def split_of(names: list[str], args: argparse.Namespace) -> list[dict[str, list[str]]]:
    """The folds to write, before the first video is encoded; none where none are wanted."""
    from common.build import suggest
    from datasets.annotations.summarization_h5 import disjoint_folds, read_folds

    if not args.split:
        return []
    if not args.folds_of:
        return disjoint_folds(names, args.folds)
    folds = read_folds(args.folds_of)
    for number, fold in enumerate(folds):
        lacking = [name for key in ("train_keys", "test_keys") for name in fold[key] if name not in names]
        if lacking:
            raise InputError(f"{args.folds_of}: fold {number} names {lacking[0]!r}, which is none of the {len(names)} "
                             f"videos; {suggest(lacking[0], names)}")
    return folds


def find_labelled(videos: str, labels: str) -> tuple[dict, dict[str, Path]]:
    """What people said of every video, and the files of those that are there; what is on one side alone is told."""
    from datasets.annotations.summe import read_summe
    from datasets.annotations.tvsum import read_tvsum_release
    from pipelines.features.extract import find_videos
    from pipelines.h5_builder import VideoAnnotations

    if not Path(videos).is_dir():
        raise InputError(f"{videos}: no such folder of videos")
    if Path(labels).is_dir():
        ratings = {name: VideoAnnotations(video.title, video.duration_s, user_summary=video.user_summary)
                   for name, video in read_summe(labels).items()}
    else:
        ratings = {name: VideoAnnotations(video.title, video.duration_s, user_scores=video.ratings)
                   for name, video in read_tvsum_release(labels).items()}
    found = {path.stem: path for path in find_videos([videos])}
    files = {name: found[name] for name in ratings if name in found}
    if not files:
        raise InputError(f"{videos}: no file is named as one of the {len(ratings)} videos of {labels}, e.g. "
                         f"{min(ratings, default='')}.mp4; rename them")
    for what, left_out in (("file", ratings.keys() - files.keys()), ("label", found.keys() - files.keys())):
        names = sorted(left_out)
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            print(f"note: no {what} for {', '.join(names[:SHOWN])}{more}; left out", file=sys.stderr)
    return ratings, files


if __name__ == "__main__":
    raise SystemExit(main())
