#!/usr/bin/env python
"""Generate the sample set: videos rendered from photographs, synthetic audio, subtitles and labels.

Example:
    python tools/make_sample.py --out data/sample
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import ArgumentParser, run
from sample_set.make import make_sample
from sample_set.script import Setting


def _size_px(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, e.g. 320x180")
    return int(match[1]), int(match[2])


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    default = Setting()
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="data/sample", help="output folder (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=default.seed,
                        help="random seed; equal seeds generate equal sets (default: %(default)s)")
    parser.add_argument("--videos", type=int, default=default.videos, help="number of videos (default: %(default)s)")
    parser.add_argument("--min-duration", type=int, default=default.min_duration_s, metavar="S",
                        help="minimum duration of a video in seconds (default: %(default)s)")
    parser.add_argument("--max-duration", type=int, default=default.max_duration_s, metavar="S",
                        help="maximum duration of a video in seconds (default: %(default)s)")
    parser.add_argument("--size", type=_size_px, default=(default.width_px, default.height_px), metavar="WxH",
                        help=f"frame size in pixels (default: {default.width_px}x{default.height_px})")
    parser.add_argument("--fps", type=int, default=default.fps, help="frames per second (default: %(default)s)")
    parser.add_argument("--workers", type=int, help="number of processes (default: one per core)")
    parser.add_argument("--force", action="store_true",
                        help="replace an existing set; everything in its folder is deleted")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    setting = Setting(seed=args.seed, videos=args.videos, min_duration_s=args.min_duration,
                      max_duration_s=args.max_duration, width_px=args.size[0], height_px=args.size[1], fps=args.fps)

    def generate() -> None:
        generated = make_sample(args.out, setting, workers=args.workers, force=args.force)
        print(f"{args.out}: {'generated' if generated else 'already exists'}, {setting.videos} videos")

    return run(generate)


if __name__ == "__main__":
    raise SystemExit(main())
