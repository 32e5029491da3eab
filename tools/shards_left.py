"""List the shards of a feature extraction that have not finished for the current videos; used by run_slurm.sh.

  python tools/shards_left.py 8 clips/ --out features --encoders clip    # options of tools/extract_features.py

Prints one line per shard: its number, a tab, and the name of the file that its job creates in DIR/.shards on success.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import run
from common.errors import InputError


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if argv else 2

    def command() -> None:
        for shard, marker in shards_left(int(argv[0]), argv[1:]).items():
            print(f"{shard}\t{marker}")

    return run(command)


def shards_left(n_shards: int, argv: Sequence[str]) -> dict[int, str]:
    """Return number -> marker file name of the shards without a marker file.

    The name of a marker depends on the arguments, the content of the encoders' config, the version of the features, and
    the paths, sizes and times of the files that its shard reads. If one of them changes, the shard therefore counts as
    not finished. So does a shard with a video that has no feature file.

    Args:
        n_shards: number of shards.
        argv: arguments of `tools/extract_features.py`.

    Raises:
        InputError: a video, folder, label file or config does not exist.
    """
    from common.config import load_config
    from pipelines.features import identity
    from pipelines.features.extract import find_videos, take_shard
    from tools.extract_features import encoders_config, parse_args

    args = parse_args(list(argv))
    if not args.videos and not args.labels:
        raise InputError(None, "nothing to extract", "specify videos, --labels or both")
    videos, labels = find_videos(args.videos), [Path(path) for path in args.labels]
    missing = [path for path in labels if not path.is_file()]
    if missing:
        raise InputError(missing[0], "no such label file")
    settings = [repr(list(argv)), str(identity.FEATURE_VERSION), repr(load_config(encoders_config(args.encoders)))]
    left = {}
    for shard in range(1, n_shards + 1):
        own = take_shard(videos, (shard, n_shards))
        inputs = [*settings, *(_file_state(path) for path in own + labels)]
        state = hashlib.sha256("\n".join(inputs).encode(errors="surrogateescape")).hexdigest()[:16]
        marker = f"{shard}-of-{n_shards}-{state}"
        is_marked = (Path(args.out) / ".shards" / marker).exists()
        if not is_marked or not all(_has_features(path.stem, Path(args.out)) for path in own):
            left[shard] = marker
    return left


def _has_features(vid: str, out: Path) -> bool:
    """Return True if a subfolder of the features has a file of a video; the extraction itself checks them all."""
    return any((folder / f"{vid}.npz").is_file() for folder in out.iterdir() if folder.is_dir())


def _file_state(path: Path) -> str:
    """Return a text that changes when the file does; a file that a list names may be missing."""
    try:
        stat = path.stat()
    except OSError:
        return f"{path} missing"
    return f"{path} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"


if __name__ == "__main__":
    raise SystemExit(main())
