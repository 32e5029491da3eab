"""Extract features from videos, and from the queries of label files.

  python tools/extract_features.py videos/ --out features --encoders offline
  python tools/extract_features.py videos/ --labels train.jsonl val.jsonl --out features --encoders clip
  python tools/extract_features.py "archive/**/*.mkv" more.mp4 list.txt --out features
  python tools/extract_features.py list.txt --out features --shard 3/8     # one of eight jobs
  python tools/extract_features.py --labels train.jsonl val.jsonl --out features --encoders clip     # queries only

Feature files that are up to date are kept, so you can run the same command again to continue an interrupted
extraction. Features are computed again if the video, the query, the encoders, or one of the options has changed, and if
a file is damaged. A video that cannot be read does not stop the others; it is reported at the end, and the exit status
is 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.build import suggest_value
from common.cli import ArgumentParser, parse, run
from common.errors import InputError
from common.paths import CONFIGS


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="*", metavar="IN",
                        help="video files, folders, quoted patterns, or .txt lists with one path per line")
    parser.add_argument("--labels", nargs="+", default=[], metavar="L",
                        help="JSON Lines files whose queries are encoded as well")
    parser.add_argument("--out", required=True, metavar="DIR",
                        help="output folder; each kind of feature gets a subfolder")
    parser.add_argument("--encoders", default="offline", metavar="E",
                        help="offline, clip, or a config with encoders (default: offline)")
    parser.add_argument("--no-audio", action="store_true",
                        help="skip audio, e.g. if audio/extract_audio_feature.sh extracts its features")
    parser.add_argument("--no-sound", dest="no_audio", action="store_true", help=argparse.SUPPRESS)   # Deprecated.
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16",
                        help="data type of the features (default: float16)")
    parser.add_argument("--sampling", choices=("exact", "keyframes"), default="exact",
                        help="keyframes: use the key frames nearest to the clips' centers, which is several times "
                        "faster (default: exact)")
    parser.add_argument("--keep-unverified", action="store_true",
                        help="keep intact feature files of earlier versions or other programs, whose origin is unknown "
                        "(default: move them to the subfolder 'replaced' and compute the features)")
    parser.add_argument("--shard", default="1/1", metavar="I/N",
                        help="process only shard I of N, I from 1 to N (default: 1/1)")
    return parse(parser, argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return run(lambda: extract(args),
               interrupted="Interrupted; finished files are kept. Run the command again to continue.")


def encoders_config(name: str) -> Path:
    """Return the config of the encoders, which is given as a name in `configs/_base_/encoders` or as a file.

    Raises:
        InputError: there are no encoders of this name, and it is no path of a config.
    """
    config = CONFIGS / "_base_" / "encoders" / f"{name}.py"
    if config.is_file() or Path(name).suffix == ".py":
        return config if config.is_file() else Path(name)
    names = [path.stem for path in sorted(config.parent.glob("*.py"))]
    raise InputError(None, f"--encoders {name} does not exist",
                     f"specify a config with encoders, or {suggest_value(name, names)}")


def extract(args: argparse.Namespace) -> int:
    """Extract the features of a shard; return the exit status, which is 1 if a video failed."""
    # Heavy libraries are imported here so that --help and errors in the options are shown at once.
    from tqdm import tqdm

    from common.config import load_config
    from common.files import make_folder
    from datasets.annotations.qvhighlights import read_labels
    from models.encoders import build_encoders
    from pipelines.features.extract import (
        extract_queries,
        extract_videos,
        find_videos,
        parse_shard,
        take_shard,
    )

    if not args.videos and not args.labels:
        raise InputError(None, "nothing to extract", "specify videos, --labels or both")
    shard = parse_shard(args.shard)
    videos = take_shard(find_videos(args.videos), shard)
    cfg = load_config(encoders_config(args.encoders))
    if "encoders" not in cfg:
        raise InputError(args.encoders, "has no 'encoders'", "specify offline, clip, or a config with encoders")
    make_folder(args.out)
    encoders = build_encoders({**cfg.encoders, "audio": None} if args.no_audio else cfg.encoders)
    labels = [label for path in args.labels for label in read_labels(path, encoders.visual.clip_len_s)]
    sizes = {path: path.stat().st_size if path.is_file() else 0 for path in videos}
    with tqdm(total=sum(sizes.values()), desc="videos", unit="B", unit_scale=True, disable=not videos) as bar:
        def advance(path: Path) -> None:
            bar.update(sizes[path])
            bar.set_postfix_str(path.name[:40])

        of_videos = extract_videos(videos, encoders, args.out, args.dtype, args.sampling, advance, args.keep_unverified)
    of_queries = extract_queries(
        take_shard(labels, shard), encoders, args.out, args.dtype,
        lambda batches: tqdm(batches, desc="queries", unit="batch", disable=not labels), args.keep_unverified)
    print(f"videos: {len(of_videos.written)} extracted, {of_videos.n_kept} already done, "
          f"{len(of_videos.failed)} failed; queries: {len(of_queries.written)} written to {args.out}, "
          f"{of_queries.n_kept} already done", file=sys.stderr)
    for kind, report in (("videos", of_videos), ("queries", of_queries)):
        for note in report.notes():
            print(f"{kind}: {note}", file=sys.stderr)
    for reason in of_videos.failed.values():
        print(f"error: {reason}", file=sys.stderr)
    return 1 if of_videos.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
