"""TVSum's ratings: UMT's JSON, and the released .mat and .tsv files."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.temporal import num_complete_clips
from datasets.errors import LineError, raise_errors

from .json_files import read_json

MIN_RATING, MAX_RATING = 1, 5
RELEASE_SUFFIXES = (".mat", ".tsv")
INFO = "ydata-tvsum50-info.tsv"   # Released with the ratings' .tsv; contains the durations.


@dataclass(frozen=True)
class TVSumVideo:
    """The released ratings of one video.

    Attributes:
        title: title in the release.
        duration_s: duration of the video.
        ratings: (annotators, frames), 1 to 5.
    """

    title: str
    duration_s: float
    ratings: np.ndarray


def read_tvsum(path: str | os.PathLike, clip_len_s: float = 2) -> dict[str, np.ndarray]:
    """Read the ratings of each clip.

    Args:
        path: UMT's `tvsum_anno.json` (video -> `anno`); or `ydata-tvsum50.mat` or `ydata-tvsum50-anno.tsv` as
            released (Song et al., CVPR 2015), whose frame ratings are sampled in the middle of each clip. The .tsv
            needs `ydata-tvsum50-info.tsv` in the same folder.
        clip_len_s: seconds per clip.

    Returns:
        (T, annotators) by video, 1 to 5, one row per clip.

    Raises:
        InputError: the file cannot be read or has another format; lists the videos whose ratings are not a table of
            numbers from 1 to 5.
    """
    path = Path(path)
    if path.suffix not in (".json", *RELEASE_SUFFIXES):
        raise InputError(path, "TVSum's ratings must be a .json, .mat or .tsv file")
    if not path.is_file():
        raise InputError(path, "no such file", "specify TVSum's ratings")
    ratings = _read_json(path) if path.suffix == ".json" else {
        vid: _at_clips(video.ratings, video.duration_s, clip_len_s) for vid, video in read_tvsum_release(path).items()}
    if not ratings:
        raise InputError(path, "contains no videos")
    errors = {vid: InputError(vid, problem) for vid, rows in ratings.items() if (problem := _problem(rows))}
    valid = {vid: np.asarray(rows, dtype=np.float64) for vid, rows in ratings.items() if vid not in errors}
    raise_errors(path, list(errors.values()), valid)
    return valid


def read_tvsum_release(path: str | os.PathLike) -> dict[str, TVSumVideo]:
    """Read `ydata-tvsum50.mat` (MATLAB v7.3) or `ydata-tvsum50-anno.tsv`, with ratings per frame.

    Raises:
        InputError: the file does not exist or has another format.
    """
    path = Path(path)
    if path.suffix not in RELEASE_SUFFIXES:
        raise InputError(path, "TVSum's released ratings must be a .mat or .tsv file")
    if not path.is_file():
        raise InputError(path, "no such file", "specify TVSum's ratings")
    return _read_mat(path) if path.suffix == ".mat" else _read_tsv(path)


def _problem(rows: object) -> str:
    """Return the reason why ratings are invalid, "" if they are valid."""
    if rows is None:
        return "no 'anno', a table of ratings"
    try:
        table = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        return "ratings are not a table of clips and annotators"
    if table.ndim != 2 or table.size == 0:
        return f"ratings have shape {table.shape}, not (clips, annotators)"
    if not ((table >= MIN_RATING) & (table <= MAX_RATING)).all():
        return f"ratings must be from {MIN_RATING} to {MAX_RATING}, but range from {table.min()} to {table.max()}"
    return ""


def _read_json(path: Path) -> dict:
    labels = read_json(path)
    return {vid: label.get("anno") if isinstance(label, dict) else None for vid, label in labels.items()}


def _read_mat(path: Path) -> dict[str, TVSumVideo]:
    import h5py  # Slow to import.

    try:
        with h5py.File(path) as file:
            table = file["tvsum50"]
            videos = {}
            for i in range(len(table["video"])):
                vid, title, num_frames, duration_s, users = (file[table[key][i, 0]][()] for key in (
                    "video", "title", "nframes", "length", "user_anno"))
                rows = users if users.shape[1] == int(num_frames.item()) else users.T   # (annotators, frames)
                videos[_text(vid)] = TVSumVideo(_text(title), float(duration_s.item()), rows.astype(np.float64))
            return videos
    except (OSError, KeyError, IndexError, ValueError, AttributeError) as err:
        raise InputError(path, f"not TVSum's .mat file as released ({type(err).__name__}: {err})") from err


def _text(codes: np.ndarray) -> str:
    """Decode a MATLAB char array, which is UTF-16."""
    return codes.astype("<u2").tobytes().decode("utf-16-le")


def _read_tsv(path: Path) -> dict[str, TVSumVideo]:
    info_path = path.with_name(INFO)
    if not info_path.is_file():
        raise InputError(path, f"needs {INFO} in the same folder, which contains the durations",
                         "add it, or name the .mat file")
    info = _read_info(info_path)
    users: dict[str, list[list[float]]] = {}
    errors: list[InputError] = []
    for number, row in enumerate(_rows(path), 1):
        try:
            users.setdefault(row[0], []).append([float(x) for x in row[2].split(",")])
        except (IndexError, ValueError):
            errors.append(LineError(number, "not video, category and comma-separated ratings"))
    errors += [InputError(f"video {vid}", f"not in {info_path.name}, which contains the durations")
               for vid in users if vid not in info]
    errors += [InputError(f"video {vid}", "ratings of different lengths")
               for vid, rows in users.items() if len(set(map(len, rows))) > 1]
    raise_errors(path, errors)
    return {vid: TVSumVideo(*info[vid], np.array(rows)) for vid, rows in users.items()}


def _read_info(path: Path) -> dict[str, tuple[str, float]]:
    """Return the title and the duration in seconds by video."""
    header, *rows = _rows(path, is_quoted=False) or [[]]
    missing = [key for key in ("video_id", "length") if key not in header]
    if missing:
        raise InputError(path, f"no column {' and no column '.join(map(repr, missing))}")
    info, errors = {}, []
    for number, row in enumerate(rows, 2):
        entry = dict(zip(header, row, strict=False))
        try:
            *hours, minutes, seconds = entry["length"].split(":")
            duration_s = float(hours[0] if hours else 0) * 3600 + int(minutes) * 60 + float(seconds)
            if not 0 < duration_s < 1e6:
                raise ValueError
            info[entry["video_id"]] = (entry.get("title") or "", duration_s)
        except (KeyError, ValueError):
            errors.append(LineError(number, f"length {entry.get('length')!r} is not minutes:seconds above 0"))
    raise_errors(path, errors)
    return info


def _rows(path: Path, is_quoted: bool = True) -> list[list[str]]:
    """Return the rows of a tab-separated file; without quoting, quotation marks are ordinary characters."""
    limit = csv.field_size_limit(1 << 24)   # Ratings of all frames are one field.
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise InputError(path, f"cannot be read as tab-separated text ({err})", "download it again") from err
    finally:
        csv.field_size_limit(limit)


def _at_clips(frame_ratings: np.ndarray, duration_s: float, clip_len_s: float) -> np.ndarray:
    """Sample ratings (annotators, frames) in the middle of each clip; return (clips, annotators)."""
    num_clips, num_frames = num_complete_clips(duration_s, clip_len_s), frame_ratings.shape[1]
    middle = ((np.arange(num_clips) + 0.5) * clip_len_s / duration_s * num_frames).astype(int)
    return frame_ratings[:, np.minimum(middle, num_frames - 1)].T
