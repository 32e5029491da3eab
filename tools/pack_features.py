"""Packs folders of feature files into memory-mapped stores, which training reads faster.

  python tools/pack_features.py data/qvhighlights/clip_features data/qvhighlights/slowfast_features
  python tools/pack_features.py --check data/qvhighlights/clip_features

FOLDER gives FOLDER.pack beside it; name that in the config in FOLDER's place.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="folders of .npz or .npy files")
    parser.add_argument("--key", help="array inside .npz files (default: features, last_hidden_state or token)")
    parser.add_argument("--dtype", choices=("float16", "float32"),
                        help="of the pack (default: that of the files; float16 halves float32 files, and rounds)")
    parser.add_argument("--check", action="store_true", help="compare packs with their folders, value by value")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        return check(args) if args.check else pack(args)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2


def pack(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from datasets.features.pack import PackedFeatures, pack_folder

    for folder in args.folders:
        progress = partial(tqdm, desc=Path(folder).name)
        made = PackedFeatures(pack_folder(folder, args.key, args.dtype, progress=progress))
        size_mb = made.data.nbytes / 1e6
        rounded = _rounding(made, Path(folder)) if args.dtype == "float16" else ""
        print(f"{made.path}: {len(made.items)} files, {made.data.shape[0]} rows of {made.data.shape[1]}, "
              f"{made.data.dtype}, {size_mb:.1f} MB{rounded}")
    return 0


def _rounding(made, folder: Path) -> str:
    """The largest error of a pack in float16, for the screen; "" where nothing was rounded."""
    import numpy as np

    from datasets.features.folder import read_matrix
    from datasets.features.pack import feature_files

    error = max(float(np.abs(made.read(name).astype(np.float32) - read_matrix(path, made.key)).max())
                for name, path in feature_files(folder).items())
    return f", rounded by {error:.2g} at most" if error else ""


def check(args: argparse.Namespace) -> int:
    from datasets.features.folder import PACK_SUFFIX
    from datasets.features.pack import PackedFeatures

    faults = []
    for folder in args.folders:
        path = Path(folder).resolve()
        pack_path = path if path.suffix == PACK_SUFFIX else path.with_name(path.name + PACK_SUFFIX)
        made = PackedFeatures(pack_path)
        found = made.faults(deep=True)
        if args.key and made.key not in (None, args.key):
            found.insert(0, f"{pack_path}: holds {made.key!r}, not {args.key!r}; pack its folder again with --key "
                            f"{args.key}")
        faults += found
        print(f"{pack_path}: {len(found)} faults" if found else f"{pack_path}: equals its folder")
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
