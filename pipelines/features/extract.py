"""Extraction of feature files from videos and queries, in the formats that the datasets read."""

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
from common.queries import check_query_length
from models.encoders import Encoders
from pipelines.media.suffixes import VIDEO_SUFFIXES

from .encode import encode_video

QUERY_BATCH = 64
LIST_SUFFIXES = frozenset((".txt", ".lst", ".list"))

Item = TypeVar("Item")


def find_videos(inputs: Iterable[str | os.PathLike]) -> list[Path]:
    """Find the video files that inputs name, sorted by name within each input.

    Args:
        inputs: files; folders, without their subfolders; patterns such as `videos/**/*.mp4`; and text files that list
            one path per line, relative to the current folder or to the list's folder. A listed file may be missing;
            reading it fails later.

    Raises:
        InputError: an input does not exist; a folder or pattern matches no video; a list cannot be read; or two
            videos have the same name, so that they would share a feature file.
    """
    found: list[Path] = []
    for given in map(Path, inputs):
        if given.is_dir():
            found += _select_videos(given.iterdir(), given, "contains no video file")
        elif given.suffix.lower() in LIST_SUFFIXES and given.is_file():
            found += _read_list(given)
        elif given.exists() or not glob.has_magic(str(given)):
            if not given.exists():
                raise InputError(given, "no such file")
            found.append(given)
        else:
            matches = map(Path, glob.glob(str(given), recursive=True))
            found += _select_videos(matches, given, "this pattern matches no video file")
    by_name: dict[str, Path] = {}
    for path in found:
        if by_name.setdefault(path.stem, path) != path:
            raise InputError(path, f"has the same name as {by_name[path.stem]}, so they would share a feature file",
                             "rename one")
    return list(by_name.values())   # A file that was given twice is listed once.


def _select_videos(paths: Iterable[Path], given: Path, problem: str) -> list[Path]:
    videos = sorted(path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        raise InputError(given, problem, f"video files end in {' '.join(sorted(VIDEO_SUFFIXES))}")
    return videos


def _read_list(path: Path) -> list[Path]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(path, f"is not a readable list ({err})", "write one path per line, in UTF-8") from err
    names = [Path(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    if not names:
        raise InputError(path, "lists no video", "write one path per line")
    return [name if name.exists() else path.parent / name for name in names]


def parse_shard(text: str) -> tuple[int, int]:
    """Parse `2/8` as (2, 8), the second of eight shards.

    Raises:
        InputError: the text has another form, or the shard is not between 1 and the number of shards.
    """
    shard, slash, n_shards = text.partition("/")
    if not (slash and shard.isdecimal() and n_shards.isdecimal() and 1 <= int(shard) <= int(n_shards)):
        raise InputError(None, f"--shard {text} is not a shard", "give I/N, e.g. 1/8 to 8/8 for eight shards")
    return int(shard), int(n_shards)


def take_shard(items: Sequence[Item], shard: tuple[int, int]) -> list[Item]:
    """Return shard i of n: every n-th item, beginning with the i-th. The shards are disjoint and complete."""
    number, n_shards = shard
    return list(items[number - 1::n_shards])


def feature_files(vid: str, encoders: Encoders, out: str | os.PathLike) -> dict[str, Path]:
    """Return the file of each part of a video's features: `{out}/{part}/{vid}.npz`, or `{vid}.npy` for audio."""
    files = {part: Path(out) / part / f"{vid}.npz" for part in encoders.visual.parts}
    if encoders.audio is not None:
        files[encoders.audio.name] = Path(out) / encoders.audio.name / f"{vid}.npy"
    return files


def is_extracted(vid: str, encoders: Encoders, out: str | os.PathLike) -> bool:
    """Return True if all feature files of a video exist, are intact, and have the right widths and equal lengths."""
    widths = dict(encoders.visual.parts)
    if encoders.audio is not None:
        widths[encoders.audio.name] = encoders.audio.dims
    lengths = set()
    for part, path in feature_files(vid, encoders, out).items():
        rows = _load_intact(path)
        if rows is None or rows.ndim != 2 or rows.shape[1] != widths[part]:
            return False
        lengths.add(len(rows))
    return len(lengths) == 1 and 0 not in lengths


def _load_intact(path: Path, key: str = "features") -> np.ndarray | None:
    """Load the array of a feature file; return None if the file is missing, truncated or damaged."""
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
    """Write the feature files of a video, each atomically.

    A video without audio gets audio features of zeros, unless a file with other audio features exists, such as those
    of a separate audio file.

    Args:
        path: video file; its name without suffix names the feature files.
        encoders: visual encoder and, if not None, audio encoder.
        out: folder of the features; each part gets a subfolder.
        dtype: data type of the stored features.
        sampling: see `encode_video`.

    Returns:
        False if all files already existed and were intact.

    Raises:
        InputError: the video cannot be read.
    """
    if is_extracted(path.stem, encoders, out):
        return False
    files = feature_files(path.stem, encoders, out)
    for file in files.values():
        remove_leftovers(file.parent)
    video = encode_video(path, encoders, progress=False, sampling=sampling)
    n_clips = len(next(iter(video.visual.values())))
    for part, features in video.visual.items():
        with atomic_path(files[part]) as temporary, temporary.open("wb") as f:
            np.savez_compressed(f, features=features.astype(dtype))
    if encoders.audio is not None:
        file = files[encoders.audio.name]
        if video.audio is not None:
            write_npy(file, video.audio.astype(dtype))
        elif not _has_audio_features(file, encoders.audio.dims):
            write_npy(file, np.zeros((n_clips, encoders.audio.dims), np.float32).astype(dtype))
    return True


def _has_audio_features(path: Path, dims: int) -> bool:
    """Return True if a file of audio features exists, is intact, and contains anything but zeros."""
    rows = _load_intact(path)
    return rows is not None and rows.ndim == 2 and rows.shape[1] == dims and bool(rows.any())


def extract_videos(paths: Iterable[Path], encoders: Encoders, out: str | os.PathLike, dtype: str = "float16",
                   sampling: str = "exact", report: Callable[[Path], None] = lambda path: None,
                   ) -> tuple[int, dict[Path, str]]:
    """Extract the features of several videos; a video that fails does not stop the others.

    Args:
        paths: video files.
        encoders: see `extract_video`.
        out: see `extract_video`.
        dtype: see `extract_video`.
        sampling: see `encode_video`.
        report: called with each video when it is done or has failed.

    Returns:
        The number of videos written, without those that already existed; and the reason for each that failed.

    Raises:
        InputError: the disk is full or read-only, which would make all later videos fail, too.
    """
    n_written, failed = 0, {}
    for path in paths:
        try:
            n_written += extract_video(path, encoders, out, dtype, sampling)
        except Exception as err:   # A decoder may raise any error; the other videos must not be affected.
            raise_if_disk_full(err, out)
            failed[path] = str(err) if isinstance(err, InputError) else f"{path}: {type(err).__name__}: {err}"
        report(path)
    return n_written, failed


def raise_if_disk_full(err: Exception, out: str | os.PathLike) -> None:
    """Raise an InputError if a file failed because the disk is full or read-only, which all later files share."""
    cause = err.__cause__ if isinstance(err, InputError) else err
    if isinstance(cause, OSError) and cause.errno in DISK_ERRORS:
        raise InputError(out, f"cannot be written ({cause.strerror})",
                         "free some space and run the command again; finished files are kept") from err


def extract_queries(labels: list[dict], encoders: Encoders, out: str | os.PathLike, dtype: str = "float16",
                    progress: Callable[[Iterable], Iterable] = iter) -> tuple[int, int]:
    """Write `{out}/{text encoder}/qid{qid}.npz` for the query of every label; equal queries are encoded once.

    A file stores its query under the key `text`. A file whose stored query differs, for example because labels were
    renumbered, is replaced. Files of other programs, without that key, are kept.

    Args:
        labels: labels with `qid` and `query`.
        encoders: the text encoder is used.
        out: folder of the features.
        dtype: data type of the stored features.
        progress: wraps the loop over batches of queries, e.g. tqdm.

    Returns:
        The number of files written, and the number of these that replaced a file of another query. Intact files of
        the same query are skipped.

    Raises:
        InputError: two different queries have the same qid, or a query is too long.
    """
    folder = make_folder(Path(out) / encoders.text.name)
    remove_leftovers(folder)
    query_of: dict[Path, str] = {}
    for label in labels:
        check_query_length(label["query"], f"the query of qid {label['qid']}")
        file = folder / f"qid{label['qid']}.npz"
        if query_of.setdefault(file, label["query"]) != label["query"]:
            raise InputError(None, f"qid {label['qid']} has two queries, {query_of[file]!r} and {label['query']!r}, "
                             "which would share a file", "extract different sets of labels into different folders")
    pending: dict[str, list[Path]] = {}
    n_replaced = 0
    for file, query in query_of.items():
        intact = all(_load_intact(file, key) is not None for key in ("last_hidden_state", "pooler_output"))
        text = _load_intact(file, "text") if intact else None
        outdated = text is not None and str(text) != query
        n_replaced += outdated
        if not intact or outdated:
            pending.setdefault(query, []).append(file)
    queries = list(pending)
    for start in progress(range(0, len(queries), QUERY_BATCH)):
        batch = queries[start:start + QUERY_BATCH]
        for query, feature in zip(batch, encoders.text.encode(batch), strict=True):
            for file in pending[query]:
                with atomic_path(file) as temporary, temporary.open("wb") as f:
                    np.savez_compressed(f, last_hidden_state=feature.last_hidden_state.astype(dtype),
                                        pooler_output=feature.pooler_output.astype(dtype), text=np.array(query))
    return sum(map(len, pending.values())), n_replaced
