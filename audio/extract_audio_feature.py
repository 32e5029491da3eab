"""Makes the feature files of sound files: OUT/{vid}.npy, one row per 2 s.

  audio/extract_audio_feature.sh sounds/ data/hotstar_highlight_865/panns_cnn14
  audio/extract_audio_feature.sh sounds/ features/logmel --encoder offline

panns is Cnn14's embedding, 2048 wide, and needs its weights; offline are log-mel statistics, 256 wide, and
need nothing. What is there and whole is skipped; a file that cannot be read does not stop the rest.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError

ENCODERS = {"panns": dict(type="Cnn14"), "offline": dict(type="LogMelStatistics")}
BATCH = 32


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sounds", metavar="IN", help="folder of sound files, as unify_audio_name.sh leaves it")
    parser.add_argument("out", metavar="OUT", help="folder of the features")
    parser.add_argument("--encoder", choices=list(ENCODERS), default="panns", help="(default: panns)")
    parser.add_argument("--weights", metavar="F", help="Cnn14's file, instead of the one in the cache folder")
    parser.add_argument("--clip-len", type=float, default=2, metavar="S", help="seconds in a row (default: 2)")
    parser.add_argument("--batch", type=int, default=BATCH, help=f"rows at a time (default: {BATCH})")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float32", help="(default: float32)")
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="only the I-th of N parts")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        return run(args)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except OSError as err:
        print(f"error: {err}; what is done stays done, run it again for the rest", file=sys.stderr)
        return 2


def run(args: argparse.Namespace) -> int:
    from nncore.nn import MODELS
    from tqdm import tqdm

    import models.encoders  # noqa: F401  registers them
    from common.build import build
    from common.files import make_folder
    from models.device import best_device
    from pipelines.features.extract import parse_shard, raise_if_disk_full, take_shard

    files = take_shard(find_sounds(Path(args.sounds)), parse_shard(args.shard))
    out = make_folder(args.out)
    cfg = {**ENCODERS[args.encoder], "clip_len_s": args.clip_len, **({"weights": args.weights} if args.weights else {})}
    encoder = build(cfg, MODELS, location="encoder").eval().to(best_device())
    todo = [path for path in files if not is_whole(out / f"{path.stem}.npy", encoder.dims)]
    failed = []
    for path in tqdm(todo, unit="file", disable=not todo):
        try:
            extract(path, encoder, out / f"{path.stem}.npy", args.batch, args.dtype)
        except (InputError, OSError) as err:
            raise_if_disk_full(err, out)
            failed.append(str(err))
    print(f"{len(todo) - len(failed)} files extracted, {len(files) - len(todo)} were there, {len(failed)} failed",
          file=sys.stderr)
    for reason in failed:
        print(f"error: {reason}", file=sys.stderr)
    return 1 if failed else 0


def find_sounds(given: Path) -> list[Path]:
    """The sound files of a folder, by name; or the file.

    Raises:
        InputError: no such place, no sound file, two of one name.
    """
    from pipelines.media.suffixes import AUDIO_SOURCE_SUFFIXES

    if given.is_file():
        return [given]
    if not given.is_dir():
        raise InputError(f"{given}: no such folder of sound files")
    files = sorted(p for p in given.iterdir()
                   if p.suffix.lower() in AUDIO_SOURCE_SUFFIXES and not p.name.startswith("."))
    names = [p.stem for p in files]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled or not files:
        what = f"several files are called {', '.join(doubled)}" if doubled else "no sound file in it"
        raise InputError(f"{given}: {what}; unify_audio_name.sh makes one .wav a video")
    return files


def is_whole(path: Path, width: int) -> bool:
    """Whether a feature file is there, readable and as wide."""
    from datasets.features.folder import read_matrix

    try:
        return read_matrix(path).shape[1] == width
    except InputError:
        return False


def extract(path: Path, encoder, target: Path, batch: int, dtype: str) -> None:
    """Writes a file's features (T, width), whole or not at all.

    Raises:
        InputError: it cannot be read, or holds no sound.
    """
    import numpy as np
    import torch

    from common.files import write_npy
    from pipelines.media.audio_files import read_clips

    clips, rows = read_clips(path, encoder.clip_len_s, encoder.rate_hz), []
    while part := list(islice(clips, max(batch, 1))):   # no more of a long file is in memory
        rows.append(encoder.encode(torch.from_numpy(np.stack(part))))
    write_npy(target, np.concatenate(rows).astype(dtype))


if __name__ == "__main__":
    raise SystemExit(main())
