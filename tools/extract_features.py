"""Makes the feature files of videos, and of the queries of label files.

  python tools/extract_features.py videos/ --out features --encoders offline
  python tools/extract_features.py videos/ --labels train.jsonl val.jsonl --out features --encoders clip
  python tools/extract_features.py "archive/**/*.mkv" more.mp4 list.txt --out features
  python tools/extract_features.py list.txt --out features --shard 3/8     # in one of eight jobs
  python tools/extract_features.py --labels train.jsonl val.jsonl --out features --encoders clip     # text alone

What is there and whole is skipped, so the same command goes on where it was stopped. A video that cannot
be read does not stop the rest: it is named at the end, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import parse
from common.errors import InputError
from common.paths import ROOT


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", metavar="IN",
                        help="video files, folders of them, quoted patterns, or .txt lists with a path a line")
    parser.add_argument("--labels", nargs="+", default=[], metavar="L", help="JSON lines whose queries are encoded too")
    parser.add_argument("--out", required=True, metavar="DIR",
                        help="folder of the features; each part gets a folder in it")
    parser.add_argument("--encoders", default="offline", metavar="E",
                        help="offline, clip, or a config with encoders (default: offline)")
    parser.add_argument("--no-sound", action="store_true",
                        help="leave sound out, e.g. where audio/extract_audio_feature.sh makes its features")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16", help="(default: float16)")
    parser.add_argument("--sampling", choices=("exact", "keyframes"), default="exact",
                        help="keyframes: the key frames nearest to the clips' middles, several times faster")
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="only the I-th of N parts, I from 1 to N")
    return parse(parser, argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)   # a cluster's word for stopping
    try:
        return extract(args)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except OSError as err:
        print(f"error: {err}; what is done stays done, run it again for the rest", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what is done stays done, run it again for the rest", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)


def extract(args: argparse.Namespace) -> int:
    """Extracts all of the shard; a video that fails does not stop the rest, but makes the status 1."""
    from tqdm import tqdm

    from common.config import load_config
    from common.files import make_folder
    from datasets.annotations.qvhighlights import read_labels
    from models.encoders import build_encoders
    from pipelines.features.extract import (
        extract_queries,
        extract_videos,
        find_videos,
        is_extracted,
        parse_shard,
        take_shard,
    )

    if not args.videos and not args.labels:
        raise InputError("nothing to extract; name videos, --labels or both")
    shard = parse_shard(args.shard)
    videos = take_shard(find_videos(args.videos), shard)
    part = ROOT / "configs" / "_base_" / "encoders" / f"{args.encoders}.py"
    cfg = load_config(part if part.is_file() else args.encoders)
    if "encoders" not in cfg:
        raise InputError(f"{args.encoders}: has no 'encoders'; name offline, clip or a config that has")
    make_folder(args.out)
    encoders = build_encoders({**cfg.encoders, "audio": None} if args.no_sound else cfg.encoders)
    labels = [label for path in args.labels for label in read_labels(path, encoders.visual.clip_len_s)]
    todo = [path for path in videos if not is_extracted(path.stem, encoders, args.out)]
    sizes = {path: path.stat().st_size if path.is_file() else 0 for path in todo}
    with tqdm(total=sum(sizes.values()), desc="videos", unit="B", unit_scale=True, disable=not todo) as bar:
        def report(path: Path) -> None:
            bar.update(sizes[path])
            bar.set_postfix_str(path.name[:40])

        written, failed = extract_videos(todo, encoders, args.out, args.dtype, args.sampling, report)
    queries, remade = extract_queries(take_shard(labels, shard), encoders, args.out, args.dtype,
                                      lambda batches: tqdm(batches, desc="queries", unit="batch", disable=not labels))
    anew = f", {remade} of them anew, since their words had changed" if remade else ""
    print(f"{written} videos extracted, {len(videos) - len(todo)} were there, {len(failed)} failed; "
          f"{queries} queries written to {args.out}{anew}", file=sys.stderr)
    for reason in failed.values():
        print(f"error: {reason}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
