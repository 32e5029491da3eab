"""Build the video summarization field's h5 file (DSNet, PGL-SUM) from videos and the annotations of TVSum or SumMe.

  python tools/build_summarization_h5.py videos/ --ratings ydata-tvsum50.mat --out data/tvsum/tvsum.h5
  python tools/build_summarization_h5.py videos/ --ratings GT/ --out data/summe/summe.h5 --split data/summe/splits.json
  python tools/build_summarization_h5.py --complete tvsum40.h5 --out data/tvsum/tvsum40_offline.h5 \\
      --split data/tvsum/tvsum40_splits.json --folds-of tvsum40_splits.json

--complete adds ConSE embeddings and the title's embedding, which this project's models also read, to a file of pooled
EfficientNet-Lite0 features. --split writes folds that test every video once, or the folds of --folds-of.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import cli
from common.errors import InputError
from common.paths import CONFIGS

if TYPE_CHECKING:
    from pipelines.h5_builder import VideoAnnotations

MAX_NAMES = 5   # Names that a note lists.


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="?", help="folder of videos, named as in the annotations")
    parser.add_argument("--ratings", help="annotations: ydata-tvsum50.mat or ydata-tvsum50-anno.tsv of TVSum, or "
                        "folder GT of SumMe")
    parser.add_argument("--complete", metavar="H5", help="h5 file whose missing features are added")
    parser.add_argument("--encoders", default="offline",
                        help="encoders in configs/_base_/encoders, or a config file (default: offline)")
    parser.add_argument("--split", metavar="F", help="also write a split file whose folds test every video once")
    parser.add_argument("--folds", type=int, default=5, help="number of folds in the split file (default: 5)")
    parser.add_argument("--folds-of", metavar="F", help="with --split: copy the folds of this JSON or YAML split file, "
                        "after checking them against the videos")
    parser.add_argument("--out", required=True, help="h5 file to write")
    args = parser.parse_args(argv)
    if bool(args.complete) == bool(args.videos and args.ratings):
        parser.error("give a folder of videos and --ratings, or --complete")
    if args.folds_of and not args.split:
        parser.error("--folds-of needs --split, the file to write")
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return cli.run(lambda: build(args))


def build(args: argparse.Namespace) -> None:
    """Write the h5 file and, if requested, the split file."""
    # Heavy libraries are imported here so that --help and errors in the options are shown at once.
    from tqdm import tqdm

    from common.config import load_config
    from common.files import write_json
    from datasets.annotations.summarization_h5 import read_summarization_h5
    from models.encoders import build_encoders
    from pipelines.h5_builder import add_shared_features, build_h5

    config = args.encoders if args.encoders.endswith(".py") else CONFIGS / f"_base_/encoders/{args.encoders}.py"
    parts = load_config(config).encoders
    if args.complete:
        folds = select_folds(list(read_summarization_h5(args.complete, None, ())), args) if args.split else []
        encoders = build_encoders({kind: parts[kind] for kind in ("visual", "text")})
        n_videos = add_shared_features(args.complete, encoders, args.out)
    else:
        annotations, files = match_annotations(args.videos, args.ratings)
        folds = select_folds(list(files), args)
        encoders = build_encoders({kind: parts[kind] for kind in ("visual", "text")})
        n_videos = build_h5(files, annotations, encoders, args.out, partial(tqdm, desc="videos"))
    if args.split:
        write_json(args.split, folds)
    print(f"{args.out}: {n_videos} videos" + (f"; {args.split}: {len(folds)} folds" if args.split else ""))


def select_folds(names: list[str], args: argparse.Namespace) -> list[dict[str, list[str]]]:
    """Return the folds of the split file, checked before any video is encoded; empty without --split."""
    from common.build import suggest
    from datasets.annotations.summarization_h5 import disjoint_folds, read_folds

    if not args.split:
        return []
    if not args.folds_of:
        return disjoint_folds(names, args.folds)
    folds = read_folds(args.folds_of)
    for number, fold in enumerate(folds):
        unknown = [name for key in ("train_keys", "test_keys") for name in fold[key] if name not in names]
        if unknown:
            raise InputError(args.folds_of, f"fold {number} names {unknown[0]!r}, which is not one of the {len(names)} "
                             "videos", suggest(unknown[0], names))
    return folds


def match_annotations(videos: str, labels: str) -> tuple[dict[str, VideoAnnotations], dict[str, Path]]:
    """Return the annotations, and the files of the annotated videos; print the names that only one side has."""
    from datasets.annotations.summe import read_summe
    from datasets.annotations.tvsum import read_tvsum_release
    from pipelines.features.extract import find_videos
    from pipelines.h5_builder import VideoAnnotations

    if not Path(videos).is_dir():
        raise InputError(videos, "no such folder of videos")
    if Path(labels).is_dir():
        annotations = {name: VideoAnnotations(video.title, video.duration_s, user_summary=video.user_summary)
                       for name, video in read_summe(labels).items()}
    else:
        annotations = {name: VideoAnnotations(video.title, video.duration_s, user_scores=video.ratings)
                       for name, video in read_tvsum_release(labels).items()}
    found = {path.stem: path for path in find_videos([videos])}
    files = {name: found[name] for name in annotations if name in found}
    if not files:
        raise InputError(videos, f"no file is named as one of the {len(annotations)} videos of {labels}, e.g. "
                         f"{min(annotations, default='')}.mp4", "rename them")
    for missing, unmatched in (("video file", annotations.keys() - files.keys()),
                               ("annotation", found.keys() - files.keys())):
        names = sorted(unmatched)
        if names:
            more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
            print(f"note: skipping {', '.join(names[:MAX_NAMES])}{more}, without {missing}", file=sys.stderr)
    return annotations, files


if __name__ == "__main__":
    raise SystemExit(main())
