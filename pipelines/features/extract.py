"""Feature files from videos and sentences, in the formats that the datasets read."""

from __future__ import annotations

import glob
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from common.errors import InputError
from common.files import DISK_ERRORS, atomic_path, make_folder, remove_leftovers, write_npy
from models.encoders import Encoders

from .encode import encode_video

QUERY_BATCH = 64
VIDEO_SUFFIXES = frozenset(".mp4 .m4v .mkv .webm .mov .avi .ts .mpg .mpeg .flv .wmv .gif".split())
LIST_SUFFIXES = frozenset((".txt", ".lst", ".list"))

Item = TypeVar("Item")


def find_videos(inputs: Iterable[str | os.PathLike]) -> list[Path]:
    """Files as given, the video files of folders (not of theirs), of patterns and of lists, sorted by name in each.

    Args:
        inputs: files, folders, patterns such as `videos/**/*.mp4`, and lists, which are .txt files with
            a path a line, from here or from the list's folder. A file that a list names may be missing;
            reading it fails later.

    Raises:
        InputError: a path that does not exist, a folder or pattern without a video, a list that cannot
            be read, or two videos of one name, which would share their feature file.
    """
    found: list[Path] = []
    for given in map(Path, inputs):
        if given.is_dir():
            found += _videos_among(given.iterdir(), given, "this folder")
        elif given.suffix.lower() in LIST_SUFFIXES and given.is_file():
            found += _listed(given)
        elif given.exists() or not glob.has_magic(str(given)):
            if not given.exists():
                raise InputError(f"{given}: no such file")
            found.append(given)
        else:
            found += _videos_among(map(Path, glob.glob(str(given), recursive=True)), given, "what this pattern names")
    by_name: dict[str, Path] = {}
    for path in found:
        if by_name.setdefault(path.stem, path) != path:
            raise InputError(f"{path} and {by_name[path.stem]} have one name, so their features would have one file; "
                             "rename one")
    return list(by_name.values())   # a file given twice is one


def _videos_among(paths: Iterable[Path], given: Path, where: str) -> list[Path]:
    videos = sorted(path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        raise InputError(f"{given}: no video file in {where}; they end in {' '.join(sorted(VIDEO_SUFFIXES))}")
    return videos


def _listed(path: Path) -> list[Path]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{path}: not a list that can be read ({err}); write a path a line, in UTF-8") from err
    names = [Path(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    if not names:
        raise InputError(f"{path}: names no video; write a path a line")
    return [name if name.exists() else path.parent / name for name in names]


def parse_shard(text: str) -> tuple[int, int]:
    """`2/8` -> (2, 8): the second of eight parts of the work.

    Raises:
        InputError: not of this form, or not a part from 1 to the number of parts.
    """
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise InputError(f"--shard {text}: give PART/PARTS, from 1/8 to 8/8 for eight parts")
    return int(part), int(parts)


def take_shard(items: Sequence[Item], shard: tuple[int, int]) -> list[Item]:
    """Every n-th item from the i-th on, for (i, n); all the shards together have each item once."""
    part, parts = shard
    return list(items[part - 1::parts])


def feature_files(vid: str, encoders: Encoders, out: str | os.PathLike) -> dict[str, Path]:
    """The file of every part of a video's features: `{out}/{part}/{vid}.npz`, sound `{vid}.npy`."""
    files = {part: Path(out) / part / f"{vid}.npz" for part in encoders.visual.parts}
    if encoders.audio is not None:
        files[encoders.audio.name] = Path(out) / encoders.audio.name / f"{vid}.npy"
    return files


def is_done(vid: str, encoders: Encoders, out: str | os.PathLike) -> bool:
    """Whether all of a video's feature files are there, whole, as wide as the encoders make them and equally long."""
    widths = dict(encoders.visual.parts)
    if encoders.audio is not None:
        widths[encoders.audio.name] = encoders.audio.dims
    lengths = set()
    for part, path in feature_files(vid, encoders, out).items():
        rows = _read_whole(path)
        if rows is None or rows.ndim != 2 or rows.shape[1] != widths[part]:
            return False
        lengths.add(len(rows))
    return len(lengths) == 1 and 0 not in lengths


def _read_whole(path: Path, key: str = "features") -> np.ndarray | None:
    """The array of a feature file; None if it is missing, cut off or damaged."""
    try:
        data = np.load(path, allow_pickle=False)
        if isinstance(data, np.ndarray):
            return data
        with data:
            return data[key]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def extract_video(path: Path, encoders: Encoders, out: str | os.PathLike, dtype: str = "float16",
                  sampling: str = "exact") -> bool:
    """Writes a video's features, each file whole.

    A video without sound gets zeros for it, where its sound has no features yet, as from a file beside it.

    Args:
        sampling: see `encode_video`.

    Returns:
        False when all the files were there already, whole.

    Raises:
        InputError: the video cannot be read.
    """
    if is_done(path.stem, encoders, out):
        return False
    files = feature_files(path.stem, encoders, out)
    for file in files.values():
        remove_leftovers(file.parent)
    video = encode_video(path, encoders, progress=False, sampling=sampling)
    num_clips = len(next(iter(video.visual.values())))
    for part, features in video.visual.items():
        with atomic_path(files[part]) as temporary, temporary.open("wb") as f:
            np.savez_compressed(f, features=features.astype(dtype))
    if encoders.audio is not None and not (video.audio is None and _has_sound(files[encoders.audio.name], encoders)):
        sound = video.audio if video.audio is not None else np.zeros((num_clips, encoders.audio.dims), np.float32)
        write_npy(files[encoders.audio.name], sound.astype(dtype))
    return True


def _has_sound(path: Path, encoders: Encoders) -> bool:
    """Whether a file of sound features is there, whole, and more than zeros."""
    rows = _read_whole(path)
    return rows is not None and rows.ndim == 2 and rows.shape[1] == encoders.audio.dims and bool(rows.any())


def extract_videos(paths: Iterable[Path], encoders: Encoders, out: str | os.PathLike, dtype: str = "float16",
                   sampling: str = "exact", report: Callable[[Path], None] = lambda path: None,
                   ) -> tuple[int, dict[Path, str]]:
    """Extracts one video after another; one that fails does not stop the rest.

    Args:
        report: told of each video when it is done or has failed.

    Returns:
        How many were written, those already there not counted, and the reason of each that failed.

    Raises:
        InputError: the disk is full or may not be written, which would stop all that follow as well.
    """
    written, failed = 0, {}
    for path in paths:
        try:
            written += extract_video(path, encoders, out, dtype, sampling)
        except Exception as err:   # whatever a decoder makes of a damaged file, the others are not to blame
            stop_if_full(err, out)
            failed[path] = str(err) if isinstance(err, InputError) else f"{path}: {type(err).__name__}: {err}"
        report(path)
    return written, failed


def stop_if_full(err: Exception, out: str | os.PathLike) -> None:
    """Raises an InputError where what one file failed for would stop all that follow: a disk that takes no more."""
    cause = err.__cause__ if isinstance(err, InputError) else err
    if isinstance(cause, OSError) and cause.errno in DISK_ERRORS:
        raise InputError(f"{out}: cannot be written ({cause.strerror}); make room and run it again, what is "
                         "done stays done") from err


def extract_queries(labels: list[dict], encoders: Encoders, out: str | os.PathLike, dtype: str = "float16",
                    progress: Callable[[Iterable], Iterable] = iter) -> tuple[int, int]:
    """Writes `{out}/{text encoder}/qid{qid}.npz` of every label's query; equal queries are encoded once.

    A file keeps the query under `text`, so that one made of other words, as when labels were numbered anew,
    is made again. Files of others, without that key, are taken as they are.

    Args:
        labels: with `qid` and `query`.
        progress: wraps the loop over batches of queries, e.g. tqdm.

    Returns:
        How many files were written, and how many of these held other words; those already there and whole
        are skipped.

    Raises:
        InputError: one qid of two queries.
    """
    folder = make_folder(Path(out) / encoders.text.name)
    remove_leftovers(folder)
    wanted: dict[Path, str] = {}
    for label in labels:
        file = folder / f"qid{label['qid']}.npz"
        if wanted.setdefault(file, label["query"]) != label["query"]:
            raise InputError(f"qid {label['qid']} asks {wanted[file]!r} in one place and {label['query']!r} in "
                             "another, and would have one file; extract labels of different sets into folders of "
                             "their own")
    todo: dict[str, list[Path]] = {}
    remade = 0
    for file, query in wanted.items():
        whole = all(_read_whole(file, key) is not None for key in ("last_hidden_state", "pooler_output"))
        text = _read_whole(file, "text") if whole else None
        other = text is not None and str(text) != query
        remade += other
        if not whole or other:
            todo.setdefault(query, []).append(file)
    queries = list(todo)
    for start in progress(range(0, len(queries), QUERY_BATCH)):
        batch = queries[start:start + QUERY_BATCH]
        for query, feature in zip(batch, encoders.text.encode(batch), strict=True):
            for file in todo[query]:
                with atomic_path(file) as temporary, temporary.open("wb") as f:
                    np.savez_compressed(f, last_hidden_state=feature.last_hidden_state.astype(dtype),
                                        pooler_output=feature.pooler_output.astype(dtype), text=np.array(query))
    return sum(map(len, todo.values())), remade
