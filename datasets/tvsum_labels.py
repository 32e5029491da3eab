"""TVSum's ratings: UMT's JSON, and the released .mat and .tsv."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from common.errors import InputError

from .domains_labels import read_json
from .labels import num_clips

LOWEST, HIGHEST = 1, 5
INFO = "ydata-tvsum50-info.tsv"   # released beside the .tsv; it knows the lengths


def read_tvsum(path: str | os.PathLike, clip_len_s: float = 2) -> dict[str, np.ndarray]:
    """Every video's ratings (T, annotators), 1 to 5, one row per clip.

    Args:
        path: UMT's `tvsum_anno.json` (video -> `anno`), or `ydata-tvsum50.mat` or `ydata-tvsum50-anno.tsv` as
            released (Song et al., CVPR 2015), whose ratings per frame are taken in the middle of each clip;
            the .tsv needs `ydata-tvsum50-info.tsv` beside it.
        clip_len_s: seconds in a clip.

    Raises:
        InputError: unreadable, another format, ratings that are no table of numbers from 1 to 5.
    """
    path = Path(path)
    readers = {".json": _read_json, ".mat": _read_mat, ".tsv": _read_tsv}
    if path.suffix not in readers:
        raise InputError(f"{path}: TVSum's ratings are in a .json, .mat or .tsv file")
    if not path.is_file():
        raise InputError(f"{path}: no such file; name TVSum's ratings")
    ratings = readers[path.suffix](path, clip_len_s)
    faults = [f"{vid}: {fault}" for vid, rows in ratings.items() if (fault := _fault(rows))]
    if faults or not ratings:
        raise InputError(f"{path}: " + ("\n  ".join(faults[:20]) or "holds no video"))
    return {vid: np.asarray(rows, dtype=np.float64) for vid, rows in ratings.items()}


def _fault(rows: object) -> str:
    try:
        table = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        return "ratings are no table of clips and annotators"
    if table.ndim != 2 or table.size == 0:
        return f"ratings are {table.shape}, not (clips, annotators)"
    if not ((table >= LOWEST) & (table <= HIGHEST)).all():
        return f"ratings must be from {LOWEST} to {HIGHEST}, not {table.min()} to {table.max()}"
    return ""


def _read_json(path: Path, clip_len_s: float) -> dict:
    labels = read_json(path)
    lacking = [vid for vid, label in labels.items() if not isinstance(label, dict) or "anno" not in label]
    if lacking:
        raise InputError(f"{path}: {len(lacking)} videos have no 'anno', the first is {lacking[0]}")
    return {vid: label["anno"] for vid, label in labels.items()}


def _read_mat(path: Path, clip_len_s: float) -> dict:
    import h5py

    try:
        with h5py.File(path) as file:
            table = file["tvsum50"]
            ratings = {}
            for i in range(len(table["video"])):
                vid, frames, seconds, users = (file[table[key][i, 0]][()]
                                               for key in ("video", "nframes", "length", "user_anno"))
                rows = users if users.shape[1] == int(frames.item()) else users.T   # (annotators, frames)
                ratings["".join(map(chr, vid.ravel()))] = _at_clips(rows, float(seconds.item()), clip_len_s)
            return ratings
    except (OSError, KeyError, IndexError, ValueError, AttributeError) as err:
        raise InputError(f"{path}: not TVSum's .mat as released ({type(err).__name__}: {err})") from err


def _read_tsv(path: Path, clip_len_s: float) -> dict:
    info = path.with_name(INFO)
    if not info.is_file():
        raise InputError(f"{path}: needs {INFO} beside it, which knows the videos' lengths; or name the .mat")
    csv.field_size_limit(1 << 24)
    seconds: dict[str, float] = {}
    with info.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            *hours, minutes, rest = (row.get("length") or "").split(":")
            seconds[row.get("video_id", "")] = float(hours[0] if hours else 0) * 3600 + int(minutes) * 60 + float(rest)
    users: dict[str, list] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file, delimiter="\t"), 1):
            try:
                users.setdefault(row[0], []).append([float(x) for x in row[2].split(",")])
            except (IndexError, ValueError) as err:
                raise InputError(f"{path}: line {number} is not video, category, comma-separated ratings") from err
    lacking = [vid for vid in users if vid not in seconds]
    if lacking:
        raise InputError(f"{info}: lacks the length of {lacking[0]}")
    for vid, rows in users.items():
        if len({len(row) for row in rows}) > 1:
            raise InputError(f"{path}: {vid} has ratings of different lengths")
    return {vid: _at_clips(np.array(rows), seconds[vid], clip_len_s) for vid, rows in users.items()}


def _at_clips(frames: np.ndarray, seconds: float, clip_len_s: float) -> np.ndarray:
    """(annotators, frames) -> (clips, annotators), as rated in the middle of each clip."""
    clips = num_clips(seconds, clip_len_s)
    middle = ((np.arange(clips) + 0.5) * clip_len_s / seconds * frames.shape[1]).astype(int)
    return frames[:, np.minimum(middle, frames.shape[1] - 1)].T
