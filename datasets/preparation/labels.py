"""Create a dataset folder from rated clips: features, labels and a report."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.files import atomic_path, make_folder, write_npy
from common.queries import check_query_length
from common.temporal import num_complete_clips
from datasets.errors import LineError, raise_errors
from datasets.features.folder import read_matrix

from .ratings import MAX_RATING, MIN_RATING, POSITIVE_OVER, RatedClip, make_label, split_by_video, split_report

MAX_LENGTH_DIFFERENCE = 2   # Rows by which a clip's features may be longer or shorter than the clip.
LINK, COPY = "link", "copy"


@dataclass(frozen=True)
class FeatureFolder:
    """A folder of features, one file per clip or per source video.

    Attributes:
        name: name of the folder in the dataset.
        path: folder of the files.
        suffix: `.npz` or `.npy`.
        key: key of the array in `.npz` files.
    """

    name: str
    path: Path
    suffix: str
    key: str | None


def find_features(clip: RatedClip, folder: FeatureFolder, clip_len_s: float) -> tuple[Path, slice]:
    """Find the feature rows of a clip: a complete file `{clip}{suffix}`, or rows of `{video}{suffix}`.

    Args:
        clip: rated clip.
        folder: folder to search.
        clip_len_s: seconds per feature row.

    Returns:
        The file and its rows; `slice(None)` for a complete file.

    Raises:
        InputError: there is no file, it cannot be read, or its length does not fit the clip.
    """
    expected = num_complete_clips(clip.end_s - clip.start_s, clip_len_s)
    of_clip, of_video = folder.path / f"{clip.clip}{folder.suffix}", folder.path / f"{clip.video}{folder.suffix}"
    path = of_clip if of_clip.is_file() else of_video
    if not path.is_file():
        raise InputError(None, f"no features in {folder.path}")
    rows = len(read_matrix(path, folder.key))
    if path == of_clip:
        if abs(rows - expected) > MAX_LENGTH_DIFFERENCE:
            raise InputError(None, f"features in {folder.path} have another length")
        return path, slice(None)
    first = round(clip.start_s / clip_len_s)
    if first >= rows or first + expected > rows + MAX_LENGTH_DIFFERENCE:
        raise InputError(None, f"past the end of its video in {folder.path}")
    return path, slice(first, min(first + expected, rows))


def prepare(clips: Sequence[RatedClip], texts: Mapping[str, str], visual: Mapping[str, Path],
            audio: Mapping[str, Path], out: str | os.PathLike, *, way: str = LINK, clip_len_s: float = 2,
            val_share: float = 0.2, seed: int = 0, over: float = POSITIVE_OVER, drop: bool = False,
            progress: Callable[[Iterable], Iterable] = iter) -> dict:
    """Write `{out}/{name}/{clip}.npz` (`.npy` for audio), `train.jsonl`, `val.jsonl` and `report.json`.

    All inputs are checked before anything is written. Complete files are linked or copied; rows of other files are
    written to new files.

    Args:
        clips: rated clips.
        texts: text by clip, for clips without text in the table.
        visual: folder of `.npz` files by its name in `out`.
        audio: folder of `.npy` files by its name in `out`; may be empty.
        out: folder of the dataset, created if missing.
        way: `link` or `copy`.
        clip_len_s: seconds per feature row.
        val_share, seed, over: see `split_by_video`.
        drop: exclude clips without features or text, and list them in the report, instead of raising an error.
        progress: wrapper of the loops over clips, e.g. tqdm.

    Returns:
        The report, see `split_report`.

    Raises:
        InputError: lists all clips that cannot be used; no clips remain; an argument is out of range.
    """
    _check_arguments(way, clip_len_s, over)
    texts = {clip.clip: clip.text or texts.get(clip.clip, "") for clip in clips}
    folders = [FeatureFolder(name, Path(folder), ".npz", "features") for name, folder in visual.items()]
    folders += [FeatureFolder(name, Path(folder), ".npy", None) for name, folder in audio.items()]
    sources, unusable = _find_all(clips, texts, folders, clip_len_s, progress)
    if unusable and not drop:
        raise_errors("ratings", [LineError(clip.line, f"clip {clip.clip}: {unusable[clip.clip]}") for clip in clips
                                 if clip.clip in unusable], hint="fix these clips, or exclude them with --drop")
    reasons = {clip: str(error) for clip, error in unusable.items()}
    used = [clip for clip in clips if clip.clip not in unusable]
    if not used:
        shown = ", ".join(sorted(set(reasons.values())))
        raise InputError(None, f"none of the {len(clips)} clips can be used: {shown}")
    train, val = split_by_video(used, val_share, seed, over)
    report = split_report(train, val, reasons, over)
    out = make_folder(out)
    for clip in progress(used):
        for folder in folders:
            source, rows = sources[clip.clip, folder.name]
            target = make_folder(out / folder.name) / f"{clip.clip}{folder.suffix}"
            _write_features(source, rows, folder.key, target, way)
    # Numbers count all clips of the table, so that a clip keeps its number when others are excluded.
    qids = {clip.clip: qid for qid, clip in enumerate(clips, 1)}
    files = {f"{name}.jsonl": "".join(
        json.dumps(make_label(clip, qids[clip.clip], texts[clip.clip], clip_len_s, over), ensure_ascii=False) + "\n"
        for clip in split) for name, split in (("train", train), ("val", val))}
    files["report.json"] = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    with ExitStack() as stack:   # All temporary files are written before the first one replaces its target.
        for name, text in files.items():
            stack.enter_context(atomic_path(out / name)).write_text(text, encoding="utf-8")
    return report


def _check_arguments(way: str, clip_len_s: float, over: float) -> None:
    if way not in (LINK, COPY):
        raise InputError(None, f"way={way!r}", f"use {LINK} or {COPY}")
    if not 0 < clip_len_s < float("inf"):
        raise InputError(None, f"clip length {clip_len_s} s is out of range",
                         "use the seconds per feature row, e.g. 2")
    if not MIN_RATING <= over < MAX_RATING:
        raise InputError(None, f"threshold {over} is out of range; ratings are from {MIN_RATING} to {MAX_RATING}",
                         f"use e.g. {POSITIVE_OVER}")


def _find_all(clips: Sequence[RatedClip], texts: Mapping[str, str], folders: Sequence[FeatureFolder],
              clip_len_s: float, progress: Callable[[Iterable], Iterable],
              ) -> tuple[dict[tuple[str, str], tuple[Path, slice]], dict[str, InputError]]:
    """Find the features of all clips.

    Returns:
        File and rows by clip and name of the folder; and the first error of each clip that cannot be used.
    """
    sources: dict[tuple[str, str], tuple[Path, slice]] = {}
    unusable: dict[str, InputError] = {}
    for clip in progress(clips):
        for folder in folders:
            try:
                sources[clip.clip, folder.name] = find_features(clip, folder, clip_len_s)
            except InputError as err:
                unusable.setdefault(clip.clip, err)
        try:
            if not texts[clip.clip].strip():
                raise InputError(None, "no text")
            check_query_length(texts[clip.clip], "its text")
        except InputError as err:
            unusable.setdefault(clip.clip, err)
    return sources, unusable


def _write_features(source: Path, rows: slice, key: str | None, target: Path, way: str) -> None:
    """Link or copy a complete file, or write some of its rows as float16, atomically."""
    if target.exists() and target.samefile(source) and not (way == COPY and target.is_symlink()):
        return
    if rows != slice(None):
        matrix = read_matrix(source, key)[rows].astype(np.float16)
        if key is None:
            write_npy(target, matrix)
            return
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, features=matrix)
        return
    with atomic_path(target) as temporary:
        if way == LINK:
            temporary.unlink()
            temporary.symlink_to(os.path.relpath(source.resolve(), target.resolve().parent))
        else:
            shutil.copyfile(source, temporary)
