"""Pack folders of feature files into memory-mapped files, which training reads faster.

  python tools/pack_features.py data/qvhighlights/clip_features data/qvhighlights/slowfast_features
  python tools/pack_features.py --check data/qvhighlights/clip_features

Each FOLDER is packed into FOLDER.pack; use that path in the config instead of FOLDER.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import cli
from common.errors import InputError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="folder of .npz or .npy files")
    parser.add_argument("--key", help="key of the array in .npz files (default: features, last_hidden_state or token)")
    parser.add_argument("--dtype", choices=("float16", "float32"),
                        help="dtype of the pack (default: that of the files); float16 halves the size of float32 "
                             "files and rounds their values")
    parser.add_argument("--check", action="store_true", help="compare packs with their folders, value by value")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return cli.run(lambda: check(args) if args.check else pack(args))


def pack(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from datasets.features.pack import PackedFeatures, pack_folder

    for folder in args.folders:
        progress = partial(tqdm, desc=Path(folder).name)
        packed = PackedFeatures(pack_folder(folder, args.key, args.dtype, progress=progress))
        size_mb = packed.data.nbytes / 1e6
        rounding = _rounding(packed, Path(folder)) if args.dtype == "float16" else ""
        print(f"{packed.path}: {len(packed.items)} files, {packed.data.shape[0]} rows of {packed.data.shape[1]}, "
              f"{packed.data.dtype}, {size_mb:.1f} MB{rounding}")
    return 0


def _rounding(packed, folder: Path) -> str:
    """Describe the largest rounding error of a float16 pack; return "" if there is none."""
    import numpy as np

    from datasets.features.folder import feature_files, read_matrix

    error = max(float(np.abs(packed.read(name).astype(np.float32) - read_matrix(path, packed.key)).max())
                for name, path in feature_files(folder).items())
    return f", rounded by at most {error:.2g}" if error else ""


def check(args: argparse.Namespace) -> int:
    from datasets.features.folder import PACK_SUFFIX
    from datasets.features.pack import PackedFeatures

    errors = []
    for folder in args.folders:
        path = Path(folder).resolve()
        pack_path = path if path.suffix == PACK_SUFFIX else path.with_name(path.name + PACK_SUFFIX)
        packed = PackedFeatures(pack_path)
        differences = packed.differences(deep=True)
        if args.key and packed.key not in (None, args.key):
            differences.insert(0, InputError(pack_path, f"contains {packed.key!r}, not {args.key!r}",
                                             f"pack its folder again with --key {args.key}"))
        errors += differences
        number = f"{len(differences)} difference{'s' * (len(differences) != 1)} from its folder"
        print(f"{pack_path}: {number if differences else 'equals its folder'}")
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    raise SystemExit(main())
