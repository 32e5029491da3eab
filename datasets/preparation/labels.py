"""Features and labels of rated clips, put where a dataset reads them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.files import atomic_path, make_folder, write_npy
from common.temporal import num_complete_clips
from datasets.annotations.qvhighlights import raise_errors
from datasets.features.folder import read_matrix

from .ratings import HIGHEST, LOWEST, POSITIVE_OVER, RatedClip, describe, make_label, split_by_video

MAX_ROWS_OFF = 2   # that a clip's features may be longer or shorter than the clip
WAYS = ("link", "copy")


def find_features(clip: RatedClip, folder: Path, suffix: str, key: str | None,
                  clip_len_s: float) -> tuple[Path, slice] | str:
    """Where a clip's rows are.

    Args:
        clip: rated.
        folder: of `{clip}{suffix}`, one file per clip, or `{video}{suffix}`, one per source video.
        suffix: `.npz` or `.npy`.
        key: of the array inside `.npz`.
        clip_len_s: seconds in a row.

    Returns:
        The file and its rows; or why there are none.
    """
    expected = num_complete_clips(clip.end_s - clip.start_s, clip_len_s)
    own, whole = folder / f"{clip.clip}{suffix}", folder / f"{clip.video}{suffix}"
    if not own.is_file() and not whole.is_file():
        return f"no features in {folder}"
    try:
        rows = len(read_matrix(own if own.is_file() else whole, key))
    except InputError as err:
        return str(err)
    if own.is_file():
        fits = abs(rows - expected) <= MAX_ROWS_OFF
        return (own, slice(None)) if fits else f"features in {folder} are of another length"
    first = round(clip.start_s / clip_len_s)
    if first >= rows or first + expected > rows + MAX_ROWS_OFF:
        return f"past the end of its video in {folder}"
    return whole, slice(first, min(first + expected, rows))


def prepare(clips: Sequence[RatedClip], texts: Mapping[str, str], visual: Mapping[str, Path],
            audio: Mapping[str, Path], out: str | os.PathLike, *, way: str = "link", clip_len_s: float = 2,
            val_share: float = 0.2, seed: int = 0, over: float = POSITIVE_OVER, drop: bool = False,
            progress: Callable[[Iterable], Iterable] = iter) -> dict:
    """Writes `{out}/{name}/{clip}.npz` or, of sound, `.npy`, and `train.jsonl`, `val.jsonl`, `report.json`.

    Everything is looked at before anything is written. Whole files are linked or copied, rows of others written.

    Args:
        clips: rated.
        texts: clip -> text, for those whose table has none.
        visual: name of the folder in `out` -> folder of `.npz`.
        audio: likewise of `.npy`; may be empty.
        out: the dataset's folder; made if it is missing.
        way: `link` or `copy`.
        clip_len_s: seconds in a row of the features.
        val_share, seed, over: see `split_by_video`.
        drop: leave out clips without features or text and say so in the report, instead of an error.
        progress: wraps the loops over clips, e.g. tqdm.

    Returns:
        The report, see `describe`.

    Raises:
        InputError: lists all clips that cannot be used; no clip is left; a length or threshold that is none.
    """
    if way not in WAYS:
        raise InputError(f"{way!r}: choose {' or '.join(WAYS)}")
    if not 0 < clip_len_s < float("inf"):
        raise InputError(f"a clip length of {clip_len_s} s is none; give that of the features' rows, e.g. 2")
    if not LOWEST <= over < HIGHEST:
        raise InputError(f"a threshold of {over} is none; ratings go from {LOWEST} to {HIGHEST}, e.g. {POSITIVE_OVER}")
    texts = {clip.clip: clip.text or texts.get(clip.clip, "") for clip in clips}
    folders = [(name, Path(folder), ".npz", "features") for name, folder in visual.items()]
    folders += [(name, Path(folder), ".npy", None) for name, folder in audio.items()]
    locations, dropped = _look(clips, texts, folders, clip_len_s, progress)
    if dropped and not drop:
        by_clip = {clip.clip: clip for clip in clips}
        raise_errors("ratings", [f"line {by_clip[c].line}: clip {c}: {reason}" for c, reason in dropped.items()]
               + ["leave such clips out with --drop"])
    used = [clip for clip in clips if clip.clip not in dropped]
    if not used:
        raise InputError(f"none of the {len(clips)} clips can be used: {', '.join(sorted(set(dropped.values())))}")
    train, val = split_by_video(used, val_share, seed, over)
    report = describe(train, val, dropped, over)
    out = make_folder(out)
    for clip in progress(used):
        for name, _, suffix, key in folders:
            source, rows = locations[clip.clip, name]
            _place(source, rows, key, make_folder(out / name) / f"{clip.clip}{suffix}", way)
    numbers = {clip.clip: qid for qid, clip in enumerate(clips, 1)}   # of the table, whatever is left out
    files = {f"{name}.jsonl": "".join(
        json.dumps(make_label(clip, numbers[clip.clip], texts[clip.clip], clip_len_s, over), ensure_ascii=False) + "\n"
        for clip in side) for name, side in (("train", train), ("val", val))}
    files["report.json"] = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    with ExitStack() as stack:   # all of them are written before one takes its place
        for name, text in files.items():
            stack.enter_context(atomic_path(out / name)).write_text(text, encoding="utf-8")
    return report


def _look(clips: Sequence[RatedClip], texts: Mapping[str, str], folders: Sequence[tuple[str, Path, str, str | None]],
          clip_len_s: float, progress: Callable[[Iterable], Iterable],
          ) -> tuple[dict[tuple[str, str], tuple[Path, slice]], dict[str, str]]:
    """Where every clip's rows are, by clip and folder's name; and why others cannot be used."""
    locations, dropped = {}, {}
    for clip in progress(clips):
        for name, folder, suffix, key in folders:
            found = find_features(clip, folder, suffix, key, clip_len_s)
            if isinstance(found, str):
                dropped.setdefault(clip.clip, found)
            else:
                locations[clip.clip, name] = found
        if not texts[clip.clip].strip():
            dropped.setdefault(clip.clip, "no text")
    return locations, dropped


def _place(source: Path, rows: slice, key: str | None, target: Path, way: str) -> None:
    """A link to a whole file, a copy of it, or a file of some of its rows; never half a file."""
    if target.exists() and target.samefile(source) and not (way == "copy" and target.is_symlink()):
        return
    if rows != slice(None):
        matrix = read_matrix(source, key)[rows].astype(np.float16)
        if key is None:
            write_npy(target, matrix)
            return
    with atomic_path(target) as temporary:
        if rows != slice(None):
            with temporary.open("wb") as file:
                np.savez_compressed(file, features=matrix)
        elif way == "link":
            temporary.unlink()
            temporary.symlink_to(os.path.relpath(source.resolve(), target.resolve().parent))
        else:
            shutil.copyfile(source, temporary)
