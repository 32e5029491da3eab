"""Feature files from videos and sentences, in the formats that the datasets read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.files import atomic_path, make_folder
from models.encoders import Encoders

from .encode import encode_video

QUERY_BATCH = 64
VIDEO_SUFFIXES = frozenset(".mp4 .m4v .mkv .webm .mov .avi .ts .mpg .mpeg .flv .wmv .gif".split())


def find_videos(inputs: Iterable[str | os.PathLike]) -> list[Path]:
    """Files as given, and the video files of folders (not of theirs), sorted by name.

    Raises:
        InputError: a path that does not exist, a folder without a video, or two videos of one name,
            which would share their feature file.
    """
    found: list[Path] = []
    for given in map(Path, inputs):
        inside = sorted(p for p in given.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES) if given.is_dir() else [given]
        if not inside:
            raise InputError(f"{given}: no video file in this folder")
        found += inside
    by_name: dict[str, Path] = {}
    for path in found:
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if by_name.setdefault(path.stem, path) != path:
            raise InputError(f"{path} and {by_name[path.stem]} have one name, so their features would have one file; "
                             "rename one")
    return list(by_name.values())   # a file given twice is one


def feature_files(vid: str, encoders: Encoders, out: str | os.PathLike) -> dict[str, Path]:
    """The file of every part of a video's features: `{out}/{part}/{vid}.npz`, sound `{vid}.npy`."""
    files = {part: Path(out) / part / f"{vid}.npz" for part in encoders.visual.parts}
    if encoders.audio is not None:
        files[encoders.audio.name] = Path(out) / encoders.audio.name / f"{vid}.npy"
    return files


def extract_video(path: Path, encoders: Encoders, out: str | os.PathLike, dtype: str = "float16") -> bool:
    """Writes a video's features, each file whole; a video without sound gets zeros for it.

    Returns:
        False when all the files were there already.

    Raises:
        InputError: the video cannot be read.
    """
    files = feature_files(path.stem, encoders, out)
    if all(file.is_file() for file in files.values()):
        return False
    video = encode_video(path, encoders, progress=False)
    num_clips = len(next(iter(video.visual.values())))
    for part, features in video.visual.items():
        with atomic_path(files[part]) as temporary, temporary.open("wb") as f:
            np.savez_compressed(f, features=features.astype(dtype))
    if encoders.audio is not None:
        sound = video.audio if video.audio is not None else np.zeros((num_clips, encoders.audio.dims), np.float32)
        with atomic_path(files[encoders.audio.name]) as temporary, temporary.open("wb") as f:
            np.save(f, sound.astype(dtype))
    return True


def extract_queries(labels: list[dict], encoders: Encoders, out: str | os.PathLike, dtype: str = "float16",
                    progress: Callable[[Iterable], Iterable] = iter) -> int:
    """Writes `{out}/{text encoder}/qid{qid}.npz` of every label's query; equal queries are encoded once.

    Args:
        labels: with `qid` and `query`.
        progress: wraps the loop over batches of queries, e.g. tqdm.

    Returns:
        How many files were written; those already there are skipped.
    """
    folder = make_folder(Path(out) / encoders.text.name)
    todo: dict[str, list[Path]] = {}
    for label in labels:
        file = folder / f"qid{label['qid']}.npz"
        if not file.is_file():
            todo.setdefault(label["query"], []).append(file)
    queries = list(todo)
    for start in progress(range(0, len(queries), QUERY_BATCH)):
        batch = queries[start:start + QUERY_BATCH]
        for query, feature in zip(batch, encoders.text.encode(batch), strict=True):
            for file in todo[query]:
                with atomic_path(file) as temporary, temporary.open("wb") as f:
                    np.savez_compressed(f, last_hidden_state=feature.last_hidden_state.astype(dtype),
                                        pooler_output=feature.pooler_output.astype(dtype))
    return sum(map(len, todo.values()))
