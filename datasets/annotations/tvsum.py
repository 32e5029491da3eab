"""TVSum's ratings: UMT's JSON, and the released .mat and .tsv."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.temporal import num_complete_clips

from .domain_splits import read_json
from .qvhighlights import raise_errors

LOWEST, HIGHEST = 1, 5
RELEASED = (".mat", ".tsv")
INFO = "ydata-tvsum50-info.tsv"   # released beside the .tsv; it knows the lengths


@dataclass(frozen=True)
class TVSumVideo:
    """A video of the released ratings.

    Attributes:
        title: as it stands in the file.
        duration_s: its length.
        ratings: (annotators, frames), 1 to 5.
    """

    title: str
    duration_s: float
    ratings: np.ndarray


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
    if path.suffix not in (".json", *RELEASED):
        raise InputError(f"{path}: TVSum's ratings are in a .json, .mat or .tsv file")
    if not path.is_file():
        raise InputError(f"{path}: no such file; name TVSum's ratings")
    ratings = _read_json(path) if path.suffix == ".json" else {
        vid: _at_clips(video.ratings, video.duration_s, clip_len_s) for vid, video in read_tvsum_release(path).items()}
    faults = {vid: fault for vid, rows in ratings.items() if (fault := _fault(rows))}
    sound = {vid: np.asarray(rows, dtype=np.float64) for vid, rows in ratings.items() if vid not in faults}
    raise_errors(path, [f"{vid}: {fault}" for vid, fault in faults.items()] if ratings else ["holds no video"], sound)
    return sound


def read_tvsum_release(path: str | os.PathLike) -> dict[str, TVSumVideo]:
    """Every video of `ydata-tvsum50.mat` (MATLAB v7.3) or `ydata-tvsum50-anno.tsv`, its ratings frame by frame.

    Raises:
        InputError: no such file, or another format.
    """
    path = Path(path)
    if path.suffix not in RELEASED:
        raise InputError(f"{path}: TVSum's ratings are released as a .mat and as a .tsv file")
    if not path.is_file():
        raise InputError(f"{path}: no such file; name TVSum's ratings")
    return _read_mat(path) if path.suffix == ".mat" else _read_tsv(path)


def _fault(rows: object) -> str:
    if rows is None:
        return "no 'anno', a table of ratings"
    try:
        table = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        return "ratings are no table of clips and annotators"
    if table.ndim != 2 or table.size == 0:
        return f"ratings are {table.shape}, not (clips, annotators)"
    if not ((table >= LOWEST) & (table <= HIGHEST)).all():
        return f"ratings must be from {LOWEST} to {HIGHEST}, not {table.min()} to {table.max()}"
    return ""


def _read_json(path: Path) -> dict:
    labels = read_json(path)
    return {vid: label.get("anno") if isinstance(label, dict) else None for vid, label in labels.items()}


def _read_mat(path: Path) -> dict[str, TVSumVideo]:
    import h5py

    try:
        with h5py.File(path) as file:
            table = file["tvsum50"]
            released = {}
            for i in range(len(table["video"])):
                vid, title, frames, seconds, users = (file[table[key][i, 0]][()] for key in (
                    "video", "title", "nframes", "length", "user_anno"))
                rows = users if users.shape[1] == int(frames.item()) else users.T   # (annotators, frames)
                released[_text(vid)] = TVSumVideo(_text(title), float(seconds.item()), rows.astype(np.float64))
            return released
    except (OSError, KeyError, IndexError, ValueError, AttributeError) as err:
        raise InputError(f"{path}: not TVSum's .mat as released ({type(err).__name__}: {err})") from err


def _text(codes: np.ndarray) -> str:
    """MATLAB's char array, in UTF-16."""
    return codes.astype("<u2").tobytes().decode("utf-16-le")


def _read_tsv(path: Path) -> dict[str, TVSumVideo]:
    info = path.with_name(INFO)
    if not info.is_file():
        raise InputError(f"{path}: needs {INFO} beside it, which knows the videos' lengths; or name the .mat")
    about, users, faults = _read_info(info), {}, []
    for number, row in enumerate(_rows(path), 1):
        try:
            users.setdefault(row[0], []).append([float(x) for x in row[2].split(",")])
        except (IndexError, ValueError):
            faults.append(f"line {number} is not video, category, comma-separated ratings")
    faults += [f"{vid} is not in {info.name}, which knows the lengths" for vid in users if vid not in about]
    faults += [f"{vid} has ratings of different lengths" for vid, rows in users.items() if len(set(map(len, rows))) > 1]
    raise_errors(path, faults)
    return {vid: TVSumVideo(*about[vid], np.array(rows)) for vid, rows in users.items()}


def _read_info(path: Path) -> dict[str, tuple[str, float]]:
    """Title and length in seconds by video."""
    header, *rows = _rows(path, csv.QUOTE_NONE) or [[]]
    about, faults = {}, [f"no column {key!r}" for key in ("video_id", "length") if key not in header]
    for number, row in enumerate(rows if not faults else [], 2):
        entry = dict(zip(header, row, strict=False))
        try:
            *hours, minutes, rest = entry["length"].split(":")
            seconds = float(hours[0] if hours else 0) * 3600 + int(minutes) * 60 + float(rest)
            if not 0 < seconds < 1e6:
                raise ValueError
            about[entry["video_id"]] = (entry.get("title") or "", seconds)
        except (KeyError, ValueError):
            faults.append(f"line {number}: length {entry.get('length')!r} is not minutes:seconds above 0")
    raise_errors(path, faults)
    return about


def _rows(path: Path, quoting: int = csv.QUOTE_MINIMAL) -> list[list[str]]:
    limit = csv.field_size_limit(1 << 24)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file, delimiter="\t", quoting=quoting))
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise InputError(f"{path}: cannot be read as text in columns ({err}); fetch it again") from err
    finally:
        csv.field_size_limit(limit)


def _at_clips(frames: np.ndarray, seconds: float, clip_len_s: float) -> np.ndarray:
    """(annotators, frames) -> (clips, annotators), as rated in the middle of each clip."""
    clips = num_complete_clips(seconds, clip_len_s)
    middle = ((np.arange(clips) + 0.5) * clip_len_s / seconds * frames.shape[1]).astype(int)
    return frames[:, np.minimum(middle, frames.shape[1] - 1)].T
