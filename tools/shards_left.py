"""Names the shards of an extraction that have not ended well on the videos as they are now; run_slurm.sh asks it.

  python tools/shards_left.py 8 clips/ --out features --encoders clip    # options of tools/extract_features.py

Prints a line each: its number, a tab, and the file that a job leaves in DIR/.shards when it ends well.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if argv else 2
    try:
        for shard, mark in shards_left(int(argv[0]), argv[1:]).items():
            print(f"{shard}\t{mark}")
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


def shards_left(shards: int, argv: Sequence[str]) -> dict[int, str]:
    """The marks of the shards that left none, by their numbers.

    A mark's name tells the arguments and the names, sizes and times of what its shard reads, so that a shard
    whose videos are others than then counts as not done.

    Args:
        shards: how many there are.
        argv: of `tools/extract_features.py`.

    Raises:
        InputError: a video, folder or label file that is not there.
    """
    from pipelines.features.extract import find_videos, take_shard
    from tools.extract_features import parse_args

    args = parse_args(list(argv))
    if not args.videos and not args.labels:
        raise InputError("nothing to extract; name videos, --labels or both")
    videos, labels = find_videos(args.videos), [Path(path) for path in args.labels]
    missing = [path for path in labels if not path.is_file()]
    if missing:
        raise InputError(f"{missing[0]}: no such file of labels")
    left = {}
    for shard in range(1, shards + 1):
        read = [repr(list(argv)), *(_state(path) for path in take_shard(videos, (shard, shards)) + labels)]
        state = hashlib.sha256("\n".join(read).encode(errors="surrogateescape")).hexdigest()[:16]
        mark = f"{shard}-of-{shards}-{state}"
        if not (Path(args.out) / ".shards" / mark).exists():
            left[shard] = mark
    return left


def _state(path: Path) -> str:
    """What changes when a file does; a listed file may be missing."""
    try:
        stat = path.stat()
    except OSError:
        return f"{path} missing"
    return f"{path} {stat.st_size} {stat.st_mtime_ns}"


if __name__ == "__main__":
    raise SystemExit(main())
