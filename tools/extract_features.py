"""Makes the feature files of videos, and of the queries of label files.

  python tools/extract_features.py videos/ --out features --encoders offline
  python tools/extract_features.py videos/ --labels train.jsonl val.jsonl --out features --encoders clip
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", help="video files, or folders of them")
    parser.add_argument("--labels", nargs="+", default=[], help="JSON lines whose queries are encoded too")
    parser.add_argument("--out", required=True, help="folder of the features; each part gets a folder in it")
    parser.add_argument("--encoders", default="offline",
                        help="offline, clip, or a config with encoders (default: offline)")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        return extract(args)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2


def extract(args: argparse.Namespace) -> int:
    """Extracts all; a video that fails does not stop the rest, but makes the status 1."""
    from tqdm import tqdm

    from common.config import load_config
    from common.files import make_folder
    from datasets.labels import read_labels
    from models.encoders import build_encoders
    from pipelines.extract import extract_queries, extract_video, find_videos

    videos = find_videos(args.videos)
    labels = [label for path in args.labels for label in read_labels(path)]
    make_folder(args.out)
    part = ROOT / "configs" / "_base_" / "encoders" / f"{args.encoders}.py"
    encoders = build_encoders(load_config(part if part.is_file() else args.encoders).encoders)
    done, failed = 0, []
    for path in tqdm(videos, desc="videos", unit="video"):
        try:
            done += extract_video(path, encoders, args.out, args.dtype)
        except InputError as err:
            failed.append(str(err))
    queries = extract_queries(labels, encoders, args.out, args.dtype,
                              lambda todo: tqdm(todo, desc="queries", unit="batch"))
    print(f"{done} videos extracted, {len(videos) - done - len(failed)} were there, {len(failed)} failed; "
          f"{queries} queries written to {args.out}", file=sys.stderr)
    for reason in failed:
        print(f"error: {reason}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
