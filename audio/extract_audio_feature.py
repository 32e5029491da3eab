"""Extract the features of audio files: OUT/{vid}.npy, one row per 2 s.

  audio/extract_audio_feature.sh audio/ data/hotstar_highlight_865/panns_cnn14
  audio/extract_audio_feature.sh audio/ features/logmel --encoder offline

The encoder panns is the Cnn14 embedding, width 2048, which needs its weights; offline are log-mel statistics, width
256, without weights. Features that are intact and up to date are kept; they are computed again if the audio file, the
encoder, or an option has changed. A file that cannot be read does not stop the others.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import cli
from common.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from models.encoders.base import AudioEncoder
    from pipelines.features.extraction_report import Written
    from pipelines.features.provenance import Origin

ENCODERS = {"panns": dict(type="Cnn14"), "offline": dict(type="LogMelStatistics")}
BATCH = 32


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("audio", metavar="IN", help="folder of audio files, as written by unify_audio_name.sh")
    parser.add_argument("out", metavar="OUT", help="output folder of the features")
    parser.add_argument("--encoder", choices=list(ENCODERS), default="panns", help="audio encoder (default: panns)")
    parser.add_argument("--weights", metavar="F", help="weights of Cnn14 (default: the file in the cache folder)")
    parser.add_argument("--clip-len", type=float, default=2, metavar="S", help="seconds per feature row (default: 2)")
    parser.add_argument("--batch", type=int, default=BATCH, help=f"rows per forward pass (default: {BATCH})")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float32",
                        help="dtype of the features (default: float32)")
    parser.add_argument("--keep-unverified", action="store_true",
                        help="keep intact feature files of earlier versions or other programs, whose origin is unknown "
                        "(default: move them to the subfolder 'replaced' and compute the features)")
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
    from common.files import make_folder, remove_leftovers
    from models.device import best_device
    from pipelines.features.extract import parse_shard, raise_if_disk_full, take_shard
    from pipelines.features.extraction_report import ExtractionReport
    from pipelines.features.provenance import AUDIO_FILE, origin_of

    files = take_shard(find_audio_files(Path(args.audio)), parse_shard(args.shard))
    out = make_folder(args.out)
    remove_leftovers(out)
    cfg = {**ENCODERS[args.encoder], "clip_len_s": args.clip_len, **({"weights": args.weights} if args.weights else {})}
    encoder = build(cfg, MODELS, location="encoder").eval().to(best_device())
    origin, report = origin_of(AUDIO_FILE, encoder, args.dtype), ExtractionReport()
    for path in tqdm(files, unit="file"):
        try:
            written = update(path, encoder, out / f"{path.stem}.npy", origin, args.batch, args.keep_unverified)
            if written is None:
                report.n_kept += 1
            else:
                report.written[path.name] = written
        except (InputError, OSError) as err:
            raise_if_disk_full(err, out)
            report.failed[path] = str(err)
    num_done, num_failed = len(report.written), len(report.failed)
    print(f"extracted {num_done} file{'s' * (num_done != 1)}, skipped {report.n_kept} with intact features, "
          f"{num_failed} failed", file=sys.stderr)
    for line in (*report.notes(), *(f"error: {error}" for error in report.failed.values())):
        print(line, file=sys.stderr)
    return 1 if report.failed else 0


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


def update(path: Path, encoder: AudioEncoder, target: Path, origin: Origin, batch: int,
           keep_unverified: bool = False) -> Written | None:
    """Write the features of an audio file, unless they are up to date.

    Args:
        path: audio file.
        encoder: the encoder.
        target: `.npy` file of the features.
        origin: see `origin_of`.
        batch: number of rows per forward pass.
        keep_unverified: keep intact features without provenance.

    Returns:
        The reason for which they were written; None if they are up to date.

    Raises:
        InputError: the file cannot be read, has no audio, or changes in the meantime.
        OSError: the file does not exist, or the disk is full.
    """
    from pipelines.features import identity
    from pipelines.features.extraction_report import Written
    from pipelines.features.integrity import to_dtype
    from pipelines.features.provenance import ARRAY, Source, check_stored, write_stored

    source = Source(path)
    reason, _ = check_stored(target, encoder.dims, origin, source, keep_unverified)
    if not reason:
        return None
    identity.content_key(path)   # Computed now, because it must belong to the audio that is read.
    rows = extract(path, encoder, batch)
    if source.has_changed():
        raise InputError(path, "was changed during the extraction of its features",
                         "run the command again when the file is complete")
    moved = write_stored(target, {ARRAY: to_dtype(rows, origin.dtype, path, "use --dtype float32")}, origin, source)
    return Written(reason, () if moved is None else (moved,))


def extract(path: Path, encoder: AudioEncoder, batch: int) -> np.ndarray:
    """Return the features (T, width) of an audio file.

    Raises:
        InputError: the file cannot be read, or has no audio.
    """
    import numpy as np
    import torch

    from pipelines.media.audio_files import read_clips

    clips, rows = read_clips(path, encoder.clip_len_s, encoder.rate_hz), []
    while part := list(islice(clips, max(batch, 1))):   # Only one batch of a long file is held in memory.
        rows.append(encoder.encode(torch.from_numpy(np.stack(part))))
    return np.concatenate(rows)


if __name__ == "__main__":
    raise SystemExit(main())
