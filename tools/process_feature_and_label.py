"""Create a dataset of rated clips: features in its layout, labels, and a split by source video.

  python tools/process_feature_and_label.py ratings.csv --visual features/clip_b32 --audio features/cnn14 \\
    --subtitles subtitles/ --out data/hotstar_highlight_865

The table has a header with clip, video, start, end, optionally text, and one column of ratings (1-5) per person:
rating; or rating_1, rating_2 and so on.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import cache, partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import cli
from common.errors import InputError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("ratings", help="table of ratings, CSV")
    parser.add_argument("--visual", nargs="+", required=True, metavar="DIR",
                        help="folders of {clip}.npz, or of {video}.npz, from which rows are extracted")
    parser.add_argument("--audio", nargs="+", default=[], metavar="DIR", help="folders of {clip}.npy or {video}.npy")
    parser.add_argument("--subtitles", metavar="DIR", help="folder of {clip}.srt or {video}.srt (or .vtt, .ass, .ssa): "
                        "the text of clips without text in the table")
    parser.add_argument("--out", required=True, help="folder of the dataset")
    parser.add_argument("--copy", action="store_true", help="copy feature files instead of linking to them")
    parser.add_argument("--clip-len", type=float, default=2, metavar="S", help="seconds per feature row (default: 2)")
    parser.add_argument("--val-share", type=float, default=0.2, help="share of validation clips (default: 0.2)")
    parser.add_argument("--positive-over", type=float, default=3, metavar="R",
                        help="clips with a mean rating above R are highlights (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split (default: 0)")
    parser.add_argument("--drop", action="store_true", help="exclude clips without features or text")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return cli.run(lambda: process(args))


def process(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from datasets.preparation.labels import prepare
    from datasets.preparation.ratings import read_ratings

    clips = read_ratings(args.ratings)
    texts = read_texts(clips, Path(args.subtitles)) if args.subtitles else {}
    try:
        report = prepare(
            clips, texts, folders_by_name(args.visual), folders_by_name(args.audio), args.out,
            way="copy" if args.copy else "link", clip_len_s=args.clip_len, val_share=args.val_share, seed=args.seed,
            over=args.positive_over, drop=args.drop, progress=partial(tqdm, unit="clip"))
    except OSError as err:
        raise InputError(args.out, f"{err}", "the labels are unchanged; run the command again to continue") from err
    print(json.dumps({key: value for key, value in report.items() if key != "dropped_clips"}, indent=2))
    print(f"{args.out}/train.jsonl, val.jsonl, report.json; next: tools/extract_features.py --labels for text features")


def folders_by_name(given: list[str]) -> dict[str, Path]:
    """Return the folders by name; they have the same names in the dataset."""
    found: dict[str, Path] = {}
    for folder in map(Path, given):
        if not folder.is_dir():
            raise InputError(folder, "no such folder of features")
        if found.setdefault(folder.resolve().name, folder) != folder:
            raise InputError(folder, f"has the same name as {found[folder.resolve().name]}", "rename one of them")
    return found


def read_texts(clips: list, folder: Path) -> dict[str, str]:
    """Return the subtitle text of each clip, from its own file or from the file of its source video."""
    from pipelines.media.subtitles import find_subtitles, read_subtitles

    if not folder.is_dir():
        raise InputError(folder, "no such folder of subtitles")
    texts = {}
    read = cache(read_subtitles)   # The clips of a video share its file.
    for clip in clips:
        for name, start_s, end_s in ((clip.clip, 0.0, float("inf")), (clip.video, clip.start_s, clip.end_s)):
            path = find_subtitles(folder, name)
            if path is not None:
                cues = [cue for cue in read(path) if cue.start_s < end_s and cue.end_s > start_s]
                texts[clip.clip] = " ".join(" ".join(cue.text.split()) for cue in cues)
                break
    return texts


if __name__ == "__main__":
    raise SystemExit(main())
