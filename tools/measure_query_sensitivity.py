"""Measure the query sensitivity of a summarizer: its moment retrieval with each video's own queries and with others.

A summarizer that ignores its queries scores equally well with the queries of another video.

Examples:
  python tools/measure_query_sensitivity.py data/sample/test.jsonl --videos data/sample/videos
  python tools/make_sample.py --out data/long --videos 6 --min-duration 600 --max-duration 600
  python tools/measure_query_sensitivity.py data/long/{train,val,test}.jsonl --videos data/long/videos
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import ArgumentParser, run
from common.errors import InputError

ROWS = dict(own="own query", other="query of another video", random="random windows")
CHECKS = dict(repeated="the same call again", permuted="queries in another order")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("labels", nargs="+", help="JSON lines in the format of QVHighlights")
    parser.add_argument("--videos", required=True, help="folder of the videos, named by vid")
    parser.add_argument("--subtitles", metavar="DIR",
                        help="folder of subtitles VID.srt (or .vtt, .ass, .ssa), which support the queries")
    parser.add_argument("--config", help="config of a trained model, with --checkpoint (default: zero-shot with the "
                        "embedded encoders)")
    parser.add_argument("--checkpoint", help="weights of the config's model")
    parser.add_argument("--cache", metavar="DIR", help="folder for encoded videos")
    parser.add_argument("--out", metavar="F", help="also write the metrics as JSON")
    return parser.parse_args(argv)


def measure(args: argparse.Namespace) -> None:
    """Measure the query sensitivity and print a table."""
    from common.files import write_json
    from datasets.annotations.qvhighlights import read_labels
    from pipelines.features.extract import find_videos
    from pipelines.media.subtitles import find_subtitles, read_subtitles
    from pipelines.summarizer import build_summarizer
    from training.query_sensitivity import measure_query_sensitivity

    labels = [label for path in args.labels for label in read_labels(path)]
    files = {path.stem: path for path in find_videos([args.videos])}
    vids = list(dict.fromkeys(label["vid"] for label in labels))
    missing = [vid for vid in vids if vid not in files]
    if missing:
        raise InputError(args.videos, f"{len(missing)} of {len(vids)} labeled videos are missing: "
                         f"{', '.join(missing[:5])}", "give the folder that contains VID.mp4 for each label")
    cues = {}
    if args.subtitles:
        paths = {vid: find_subtitles(Path(args.subtitles), vid) for vid in vids}
        cues = {vid: read_subtitles(path) for vid, path in paths.items() if path is not None}
        if not cues:
            raise InputError(args.subtitles, "contains no subtitles of a labeled video",
                             f"name them like {vids[0]}.srt")
    summarizer = build_summarizer(args.config, args.checkpoint, captioner=None)
    result = measure_query_sensitivity(
        summarizer, labels, lambda vid: summarizer.encode(files[vid], False, cache_dir=args.cache), cues)
    title = f"{result['queries']} queries of {len(vids)} videos"
    print(f"{title:32}" + "".join(f"{key:>9}" for key in result["own"]))
    for row, name in ROWS.items():
        print(f"{name:32}" + "".join(f"{value:9.2f}" for value in result[row].values()))
    for key, name in CHECKS.items():
        print(f"{name:32}{'identical' if result[key] else 'DIFFERENT':>18}")
    if args.out:
        write_json(args.out, result)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return run(lambda: measure(args))


if __name__ == "__main__":
    raise SystemExit(main())
