"""Extract the features of audio files: OUT/{vid}.npy, one row per 2 s.

  audio/extract_audio_feature.sh audio/ data/hotstar_highlight_865/panns_cnn14
  audio/extract_audio_feature.sh audio/ features/logmel --encoder offline

The encoder panns is the Cnn14 embedding, width 2048, which needs its weights; offline are log-mel statistics, width
256, without weights. Files with intact features are skipped. A file that cannot be read does not stop the others.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import cli
from common.errors import InputError

ENCODERS = {"panns": dict(type="Cnn14"), "offline": dict(type="LogMelStatistics")}
BATCH = 32


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", metavar="IN", help="folder of audio files, as written by unify_audio_name.sh")
    parser.add_argument("out", metavar="OUT", help="output folder of the features")
    parser.add_argument("--encoder", choices=list(ENCODERS), default="panns", help="audio encoder (default: panns)")
    parser.add_argument("--weights", metavar="F", help="weights of Cnn14 (default: the file in the cache folder)")
    parser.add_argument("--clip-len", type=float, default=2, metavar="S", help="seconds per feature row (default: 2)")
    parser.add_argument("--batch", type=int, default=BATCH, help=f"rows per forward pass (default: {BATCH})")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float32",
                        help="dtype of the features (default: float32)")
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="process only the I-th of N parts")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return cli.run(lambda: extract_all(args))


def extract_all(args: argparse.Namespace) -> int:
    from nncore.nn import MODELS
    from tqdm import tqdm

    import models.encoders  # noqa: F401  The import registers the encoders.
    from common.build import build
    from common.files import make_folder
    from models.device import best_device
    from pipelines.features.extract import parse_shard, raise_if_disk_full, take_shard

    files = take_shard(find_audio_files(Path(args.audio)), parse_shard(args.shard))
    out = make_folder(args.out)
    cfg = {**ENCODERS[args.encoder], "clip_len_s": args.clip_len, **({"weights": args.weights} if args.weights else {})}
    encoder = build(cfg, MODELS, location="encoder").eval().to(best_device())
    todo = [path for path in files if not is_intact(out / f"{path.stem}.npy", encoder.dims)]
    errors: list[Exception] = []
    for path in tqdm(todo, unit="file", disable=not todo):
        try:
            extract(path, encoder, out / f"{path.stem}.npy", args.batch, args.dtype)
        except (InputError, OSError) as err:
            raise_if_disk_full(err, out)
            errors.append(err)
    num_done, num_skipped = len(todo) - len(errors), len(files) - len(todo)
    print(f"extracted {num_done} file{'s' * (num_done != 1)}, skipped {num_skipped} with intact features, "
          f"{len(errors)} failed", file=sys.stderr)
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return 1 if errors else 0


def find_audio_files(given: Path) -> list[Path]:
    """Return the audio files of a folder, sorted by name; or the given file.

    Raises:
        InputError: the path does not exist, or the folder has no audio files, or two of the same name.
    """
    from pipelines.media.suffixes import AUDIO_SOURCE_SUFFIXES

    if given.is_file():
        return [given]
    if not given.is_dir():
        raise InputError(given, "no such folder of audio files")
    files = sorted(p for p in given.iterdir()
                   if p.suffix.lower() in AUDIO_SOURCE_SUFFIXES and not p.name.startswith("."))
    names = [p.stem for p in files]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates or not files:
        problem = f"several files are named {', '.join(duplicates)}" if duplicates else "no audio files in it"
        raise InputError(given, problem, "create one .wav file per video with unify_audio_name.sh")
    return files


def is_intact(path: Path, width: int) -> bool:
    """Return True if a feature file exists, can be read and has the given width."""
    from datasets.features.folder import read_matrix

    try:
        return read_matrix(path).shape[1] == width
    except InputError:
        return False


def extract(path: Path, encoder, target: Path, batch: int, dtype: str) -> None:
    """Write the features (T, width) of an audio file atomically.

    Raises:
        InputError: the file cannot be read, or has no audio.
    """
    import numpy as np
    import torch

    from common.files import write_npy
    from pipelines.media.audio_files import read_clips

    clips, rows = read_clips(path, encoder.clip_len_s, encoder.rate_hz), []
    while part := list(islice(clips, max(batch, 1))):   # Only one batch of a long file is held in memory.
        rows.append(encoder.encode(torch.from_numpy(np.stack(part))))
    write_npy(target, np.concatenate(rows).astype(dtype))


if __name__ == "__main__":
    raise SystemExit(main())
