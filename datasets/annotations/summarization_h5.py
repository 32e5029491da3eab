"""Videos with people's summaries in the h5 schema of DSNet and PGL-SUM, and the field's split files."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from common.build import suggest
from common.errors import InputError

PARTS = ("train", "test", "all")
YAML = (".yml", ".yaml")
NEEDED = ("change_points", "n_frames", "picks")


@dataclass(frozen=True)
class SummarizedVideo:
    """One video of an h5 file.

    Attributes:
        name: of its group.
        features: (T, V) float32, one row per picked frame.
        text: (N, D) float32 sentences, or None.
        gtscore: (T,) the annotators' mean score.
        user_scores: (U, T) of each annotator, or None.
        user_summary: (U, n_frames) 0 or 1, or None.
        change_points: (S, 2) shots, first and last frame inclusive.
        picks: (T,) ascending frames from which on the rows hold, each until the next.
        n_frames: of the video.
        title: or an empty string.
    """

    name: str
    features: np.ndarray
    text: np.ndarray | None
    gtscore: np.ndarray
    user_scores: np.ndarray | None
    user_summary: np.ndarray | None
    change_points: np.ndarray
    picks: np.ndarray
    n_frames: int
    title: str


def read_summarization_h5(path: str | os.PathLike, names: list[str] | None = None,
                    features: tuple[str, ...] = ("features",), text: str | None = None) -> dict[str, SummarizedVideo]:
    """Reads videos of an h5 file, by the names of their groups.

    Args:
        names: which; all when left out.
        features: keys whose columns stand side by side; none where only the labels are asked for.
        text: key of the sentences, or None.

    Raises:
        InputError: no such file, unreadable, no such video or none at all, a key that lacks, values of another kind,
            lengths that do not fit, shots that overlap or leave frames out, scores that are no finite numbers or all
            alike.
    """
    import h5py

    if not Path(path).is_file():
        raise InputError(f"{path}: no such h5 file; make one with tools/build_summarization_h5.py")
    try:
        with h5py.File(path) as file:
            known = list(file)
            if not known:
                raise InputError(f"{path}: holds no video; it must have one group per video, make or fetch it again")
            lacking = [name for name in names or () if name not in known]
            if lacking:
                raise InputError(f"{path}: holds no video {lacking[0]!r}; {suggest(lacking[0], known)}")
            return {name: _read(path, name, file[name], features, text) for name in names or known}
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as err:   # h5py's, of damaged bytes
        raise InputError(f"{path}: not a readable h5 file ({err}); fetch or make it again") from err


def _read(path: str | os.PathLike, name: str, group, features: tuple[str, ...], text: str | None) -> SummarizedVideo:
    where = f"{path}, {name}"
    if not hasattr(group, "keys"):
        raise InputError(f"{where}: not a group; the file must hold one group per video")
    for key in (*features, "gtscore", *NEEDED, *([text] if text else [])):
        if key not in group:
            raise InputError(f"{where}: has no {key!r}; {suggest(key, group)}")
    parts = [_numbers(where, key, _value(where, key, group), 2) for key in features]
    gtscore = _numbers(where, "gtscore", np.ravel(_value(where, "gtscore", group)), 1)
    picks = _whole(where, "picks", np.ravel(_value(where, "picks", group)), 1)
    T, n_frames = len(gtscore), _one_number(where, "n_frames", _value(where, "n_frames", group))
    optional = {key: _numbers(where, key, _value(where, key, group), 2) if key in group else None
                for key in ("user_scores", "user_summary")}
    lengths = {**{key: len(part) for key, part in zip(features, parts, strict=True)}, "picks": len(picks)}
    if optional["user_scores"] is not None:
        lengths["user_scores"] = optional["user_scores"].shape[1]
    for key, length in lengths.items():
        if length != T:
            raise InputError(f"{where}: {key} is for {length} frames, but gtscore for {T}; make them from one sampling")
    if optional["user_summary"] is not None and optional["user_summary"].shape[1] != n_frames:
        raise InputError(f"{where}: user_summary is for {optional['user_summary'].shape[1]} frames, but n_frames is "
                         f"{n_frames}; the file mixes two versions of the video")
    shots = _whole(where, "change_points", _value(where, "change_points", group), 2)
    _check_shots(where, shots, n_frames)
    if T < 2 or picks[0] < 0 or picks[-1] >= n_frames or (np.diff(picks) <= 0).any():
        raise InputError(f"{where}: picks must be two or more ascending frames within 0..{n_frames - 1}")
    if gtscore.min() == gtscore.max():
        raise InputError(f"{where}: gtscore is {gtscore[0]:g} everywhere, so there is no order to learn; leave it out")
    words = None if text is None else _numbers(where, text, np.atleast_2d(np.squeeze(_value(where, text, group))), 2)
    title = group.attrs.get("title", "")
    return SummarizedVideo(name, np.concatenate([np.zeros((T, 0)), *parts], axis=1).astype(np.float32),
                           None if words is None else words.astype(np.float32), gtscore, optional["user_scores"],
                           optional["user_summary"], shots, picks, n_frames, str(title))


def _value(where: str, key: str, group) -> np.ndarray:
    """What stands under a key of a video's group."""
    if hasattr(group[key], "keys"):
        raise InputError(f"{where}: {key} is a group, not an array; make the file again")
    return np.asarray(group[key][()])


def _whole(where: str, key: str, value: np.ndarray, ndim: int) -> np.ndarray:
    array = _numbers(where, key, value, ndim)
    if (array != np.round(array)).any():
        raise InputError(f"{where}: {key} holds {array[array != np.round(array)][0]:g}; frames are whole numbers")
    return array.astype(np.int64)


def _one_number(where: str, key: str, value: np.ndarray) -> int:
    if value.size != 1 or value.dtype.kind not in "fiu" or not np.isfinite(value).all() or value.item() < 1:
        raise InputError(f"{where}: {key} is {str(value)[:40]!r}; it must be one whole number of frames, at least 1")
    return int(value.item())


def _check_shots(where: str, shots: np.ndarray, n_frames: int) -> None:
    """Shots must be in order, apart, and without gaps; some files of the field end a frame or some before the video."""
    if shots.shape[1] != 2 or not 0 <= shots.min() <= shots.max() < n_frames:
        raise InputError(f"{where}: change_points {shots.shape} must be first and last frames within 0..{n_frames - 1}")
    if (shots[:, 1] < shots[:, 0]).any():
        first, last = shots[shots[:, 1] < shots[:, 0]][0]
        raise InputError(f"{where}: change_points has a shot from {first} to {last}, which ends before it begins")
    apart = np.flatnonzero(shots[1:, 0] != shots[:-1, 1] + 1)
    if len(apart):
        i = int(apart[0])
        raise InputError(f"{where}: change_points has a shot that ends with frame {shots[i, 1]} and the next begins "
                         f"with {shots[i + 1, 0]}; shots must follow each other without gap or overlap")


def _numbers(where: str, key: str, value: object, ndim: int) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or array.ndim != ndim or array.size == 0:
        raise InputError(f"{where}: {key} is {array.dtype} of shape {array.shape}, not numbers in {ndim} dimensions")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{where}: {key} holds NaN or infinity; make it again")
    return array


def read_folds(path: str | os.PathLike) -> list[dict[str, list[str]]]:
    """The field's split file: a list of folds with `train_keys` and `test_keys`, JSON, or YAML as DSNet has it.

    Raises:
        InputError: no such file, neither JSON nor YAML, or another structure; a video in both parts of a fold.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such split file; name a JSON or YAML list of train_keys and test_keys")
    kind = "YAML" if path.suffix in YAML else "JSON"
    try:
        text = path.read_text(encoding="utf-8")
        folds = yaml.safe_load(text) if kind == "YAML" else json.loads(text)
    except (ValueError, OSError, RecursionError, yaml.YAMLError) as err:
        raise InputError(f"{path}: not a {kind} file ({' '.join(str(err).split())})") from err
    if not isinstance(folds, list) or not folds:
        raise InputError(f"{path}: must be a list of folds")
    for number, fold in enumerate(folds):
        for key in ("train_keys", "test_keys"):
            if not isinstance(fold, dict) or not isinstance(fold.get(key), list) or not fold[key]:
                raise InputError(f"{path}: fold {number} has no list of {key}")
            odd = [name for name in fold[key] if not isinstance(name, str)]
            if odd:
                raise InputError(f"{path}: fold {number} names {odd[0]!r} in {key}; names of videos are texts, as "
                                 f'"video_{odd[0]}"')
        both = set(fold["train_keys"]) & set(fold["test_keys"])
        if both:
            raise InputError(f"{path}: fold {number} trains on {min(both)} and tests on it; take it out of one")
    return [{key: [Path(name).name for name in fold[key]] for key in ("train_keys", "test_keys")} for fold in folds]


def fold_names(path: str | os.PathLike, fold: int, part: str) -> list[str] | None:
    """The videos of one part of a fold; None, for all of a file, when the part is `all`.

    Raises:
        InputError: from `read_folds`, no such fold or part.
    """
    if part not in PARTS:
        raise InputError(f"{part!r} is no part of a split; {suggest(part, PARTS)}")
    if part == "all":
        return None
    folds = read_folds(path)
    if not 0 <= fold < len(folds):
        raise InputError(f"{path}: has no fold {fold}, only 0..{len(folds) - 1}")
    return folds[fold][f"{part}_keys"]


def disjoint_folds(names: Sequence[str], number: int, seed: int = 0) -> list[dict[str, list[str]]]:
    """Folds in the split file's form: every video is tested once, and trained on in all other folds.

    Raises:
        InputError: fewer than two folds, or fewer videos than folds.
    """
    if not 2 <= number <= len(names):
        raise InputError(f"{number} folds of {len(names)} videos: give 2 to {len(names)}, so that each tests one")
    shuffled = sorted(names)
    random.Random(seed).shuffle(shuffled)
    return [dict(train_keys=sorted(set(names) - set(test)), test_keys=test)
            for test in (sorted(shuffled[fold::number]) for fold in range(number))]
