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

    The name of a marker depends on the arguments, and on the paths, sizes and modification times of the files that
    its shard reads. If a video changes, its shard therefore counts as not finished.

    Args:
        n_shards: number of shards.
        argv: arguments of `tools/extract_features.py`.

    Raises:
        InputError: a video, folder or label file does not exist.
    """
    from pipelines.features.extract import find_videos, take_shard
    from tools.extract_features import parse_args

    args = parse_args(list(argv))
    if not args.videos and not args.labels:
        raise InputError(None, "nothing to extract", "specify videos, --labels or both")
    videos, labels = find_videos(args.videos), [Path(path) for path in args.labels]
    missing = [path for path in labels if not path.is_file()]
    if missing:
        raise InputError(missing[0], "no such label file")
    left = {}
    for shard in range(1, n_shards + 1):
        inputs = [repr(list(argv)), *(_file_state(path) for path in take_shard(videos, (shard, n_shards)) + labels)]
        state = hashlib.sha256("\n".join(inputs).encode(errors="surrogateescape")).hexdigest()[:16]
        marker = f"{shard}-of-{n_shards}-{state}"
        if not (Path(args.out) / ".shards" / marker).exists():
            left[shard] = marker
    return left


def _file_state(path: Path) -> str:
    """Return a text that changes when the file does; a file that a list names may be missing."""
    try:
        stat = path.stat()
    except OSError:
        return f"{path} missing"
    return f"{path} {stat.st_size} {stat.st_mtime_ns}"


if __name__ == "__main__":
    raise SystemExit(main())
