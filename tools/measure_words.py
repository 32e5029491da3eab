"""Measures whether words steer: moments found with the own sentence, and with another video's.

  python tools/measure_words.py data/sample/test.jsonl --videos data/sample/videos
  python tools/make_sample.py --out data/long --videos 6 --min-duration 600 --max-duration 600
  python tools/measure_words.py data/long/{train,val,test}.jsonl --videos data/long/videos
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="+", help="JSON lines as QVHighlights has them")
    parser.add_argument("--videos", required=True, help="folder of the videos, named by vid")
    parser.add_argument("--subtitles", metavar="DIR", help="folder of VID.srt, which are looked through too")
    parser.add_argument("--config", help="of a trained model, with --checkpoint (default: zero-shot, offline encoders)")
    parser.add_argument("--checkpoint", help="its weights")
    parser.add_argument("--cache", metavar="DIR", help="keep encoded videos there")
    parser.add_argument("--out", metavar="F", help="write the numbers as JSON too")
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
    from datasets.annotations.qvhighlights import read_labels
    from pipelines.features.extract import find_videos
    from pipelines.media.subtitles import read_subtitles
    from pipelines.summarizer import build_summarizer
    from training.query_sensitivity import measure_query_sensitivity

    labels = [label for path in args.labels for label in read_labels(path)]
    files = {path.stem: path for path in find_videos([args.videos])}
    vids = list(dict.fromkeys(label["vid"] for label in labels))
    lacking = [vid for vid in vids if vid not in files]
    if lacking:
        raise InputError(f"{args.videos}: has no {', '.join(lacking[:5])}: {len(lacking)} of {len(vids)}")
    cues = {}
    if args.subtitles:
        paths = {vid: Path(args.subtitles) / f"{vid}.srt" for vid in vids}
        cues = {vid: read_subtitles(path) for vid, path in paths.items() if path.is_file()}
        if not cues:
            raise InputError(f"{args.subtitles}: holds no subtitles of a labelled video, e.g. {paths[vids[0]].name}")
    summarizer = build_summarizer(args.config, args.checkpoint, captioner=None)
    result = measure_query_sensitivity(
        summarizer, labels, lambda vid: summarizer.encode(files[vid], False, cache_dir=args.cache), cues)
    head = f"{result['queries']} queries of {len(vids)} videos"
    print(f"{head:32}" + "".join(f"{key:>9}" for key in result["own"]))
    for row, name in dict(own="the own sentence", other="another video's", random="chance").items():
        print(f"{name:32}" + "".join(f"{value:9.2f}" for value in result[row].values()))
    for key, name in dict(repeated="asked again", permuted="asked in another order").items():
        print(f"{name:32}{'the very same' if result[key] else 'OTHER NUMBERS':>18}")
    if args.out:
        write_json(args.out, result)


if __name__ == "__main__":
    raise SystemExit(main())
