"""Annotated summarization videos in the h5 schema of DSNet and PGL-SUM, and the split files that go with them."""

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
from datasets.errors import most_common, shorten

PARTS = ("train", "test", "all")
YAML_SUFFIXES = (".yml", ".yaml")
REQUIRED_KEYS = ("change_points", "n_frames", "picks")


@dataclass(frozen=True)
class SummarizedVideo:
    """One video of an h5 file.

    Attributes:
        name: name of the video's group.
        features: (T, V) float32, one row per sampled frame.
        text: (N, D) float32 sentence embeddings, or None.
        gtscore: (T,) mean score of the annotators.
        user_scores: (U, T) scores of each annotator, or None.
        user_summary: (U, n_frames) 0 or 1, or None.
        change_points: (S, 2) first and last frame of each shot, inclusive.
        picks: (T,) indices of the sampled frames, ascending; a row is valid until the next pick.
        n_frames: number of frames of the video.
        title: may be empty.
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
                          features: tuple[str, ...] = ("features",),
                          text: str | None = None) -> dict[str, SummarizedVideo]:
    """Read videos of an h5 file.

    Args:
        path: h5 file with one group per video.
        names: names of the videos' groups; None reads all.
        features: keys of the features, which are concatenated along the columns; empty to read labels only.
        text: key of the sentence embeddings, or None.

    Returns:
        The videos by name.

    Raises:
        InputError: the file cannot be read or contains no videos; a video or key is missing; an array has another
            type or length than expected; shots overlap or leave gaps; scores are NaN, infinite or all equal.
    """
    import h5py  # Slow to import.

    if not Path(path).is_file():
        raise InputError(path, "no such h5 file", "create one with tools/build_summarization_h5.py")
    try:
        with h5py.File(path) as file:
            known = list(file)
            if not known:
                raise InputError(path, "contains no videos; it must have one group per video",
                                 "create or download it again")
            missing = [name for name in names or () if name not in known]
            if missing:
                raise InputError(path, f"no video {missing[0]!r}", suggest(missing[0], known))
            videos = {name: _read(path, name, file[name], features, text) for name in names or known}
            _check_widths(path, videos)
            return videos
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as err:
        # h5py raises any of these on damaged files.
        raise InputError(path, f"cannot be read as an h5 file ({err})", "download or create it again") from err


def _check_widths(path: str | os.PathLike, videos: dict[str, SummarizedVideo]) -> None:
    """Check that the features, and the embeddings, of all videos have the same width."""
    for kind, widths in (("features", {name: video.features.shape[1] for name, video in videos.items()}),
                         ("text embeddings", {name: video.text.shape[1] for name, video in videos.items()
                                              if video.text is not None})):
        expected = most_common(widths.values())
        odd = [name for name, width in widths.items() if width != expected]
        if odd:
            raise InputError(f"{path}, {shorten(odd)}", f"{kind} of width {widths[odd[0]]}, but those of "
                             f"{len(widths) - len(odd)} other videos have width {expected}",
                             "extract all with the same encoder")


def _read(path: str | os.PathLike, name: str, group, features: tuple[str, ...], text: str | None) -> SummarizedVideo:
    location = f"{path}, {name}"
    if not hasattr(group, "keys"):
        raise InputError(location, "not a group; the file must have one group per video")
    for key in (*features, "gtscore", *REQUIRED_KEYS, *([text] if text else [])):
        if key not in group:
            raise InputError(location, f"no {key!r}", suggest(key, group))
    parts = [_numbers(location, key, _value(location, key, group), 2) for key in features]
    gtscore = _numbers(location, "gtscore", np.ravel(_value(location, "gtscore", group)), 1)
    picks = _integers(location, "picks", np.ravel(_value(location, "picks", group)), 1)
    n_frames = _positive_integer(location, "n_frames", _value(location, "n_frames", group))
    optional = {key: _numbers(location, key, _value(location, key, group), 2) if key in group else None
                for key in ("user_scores", "user_summary")}
    lengths = {**{key: len(part) for key, part in zip(features, parts, strict=True)}, "picks": len(picks)}
    if optional["user_scores"] is not None:
        lengths["user_scores"] = optional["user_scores"].shape[1]
    _check_lengths(location, gtscore, lengths, optional["user_summary"], n_frames)
    shots = _integers(location, "change_points", _value(location, "change_points", group), 2)
    _check_shots(location, shots, n_frames)
    _check_frames(location, gtscore, picks, n_frames)
    sentences = None if text is None else _numbers(
        location, text, np.atleast_2d(np.squeeze(_value(location, text, group))), 2).astype(np.float32)
    matrix = np.concatenate([np.zeros((len(gtscore), 0)), *parts], axis=1).astype(np.float32)
    return SummarizedVideo(name, matrix, sentences, gtscore, optional["user_scores"], optional["user_summary"],
                           shots, picks, n_frames, str(group.attrs.get("title", "")))


def _value(location: str, key: str, group) -> np.ndarray:
    """Return the array of a key."""
    if hasattr(group[key], "keys"):
        raise InputError(location, f"{key} is a group, not an array", "create the file again")
    return np.asarray(group[key][()])


def _integers(location: str, key: str, value: object, ndim: int) -> np.ndarray:
    array = _numbers(location, key, value, ndim)
    fractions = array[array != np.round(array)]
    if len(fractions):
        raise InputError(location, f"{key} contains {fractions[0]:g}; frames must be integers")
    return array.astype(np.int64)


def _positive_integer(location: str, key: str, value: np.ndarray) -> int:
    if value.size != 1 or value.dtype.kind not in "fiu" or not np.isfinite(value).all() or value.item() < 1:
        raise InputError(location, f"{key} is {str(value)[:40]!r}; it must be one integer, at least 1")
    return int(value.item())


def _check_lengths(location: str, gtscore: np.ndarray, lengths: dict[str, int], user_summary: np.ndarray | None,
                   n_frames: int) -> None:
    """Check that all arrays have one length per sampled frame, and summaries one per frame."""
    for key, length in lengths.items():
        if length != len(gtscore):
            raise InputError(location, f"{key} has {length} sampled frames, but gtscore has {len(gtscore)}",
                             "create both with the same sampling")
    if user_summary is not None and user_summary.shape[1] != n_frames:
        raise InputError(location, f"user_summary has {user_summary.shape[1]} frames, but n_frames is {n_frames}; the "
                                   "file mixes two versions of the video")


def _check_shots(location: str, shots: np.ndarray, n_frames: int) -> None:
    """Check that shots are ordered and contiguous; in some public files they end a few frames before the video."""
    if shots.shape[1] != 2 or not 0 <= shots.min() <= shots.max() < n_frames:
        raise InputError(location, f"change_points {shots.shape} must be first and last frames within "
                                   f"0..{n_frames - 1}")
    if (shots[:, 1] < shots[:, 0]).any():
        first, last = shots[shots[:, 1] < shots[:, 0]][0]
        raise InputError(location, f"change_points has a shot from {first} to {last}, which ends before it starts")
    breaks = np.flatnonzero(shots[1:, 0] != shots[:-1, 1] + 1)
    if len(breaks):
        i = int(breaks[0])
        raise InputError(location, f"change_points has a shot that ends with frame {shots[i, 1]}, and the next starts "
                                   f"with frame {shots[i + 1, 0]}; shots must be contiguous and must not overlap")


def _check_frames(location: str, gtscore: np.ndarray, picks: np.ndarray, n_frames: int) -> None:
    """Check that sampled frames ascend within the video, and that their scores differ."""
    if len(gtscore) < 2 or picks[0] < 0 or picks[-1] >= n_frames or (np.diff(picks) <= 0).any():
        raise InputError(location, f"picks must be two or more ascending frames within 0..{n_frames - 1}")
    if gtscore.min() == gtscore.max():
        raise InputError(location, f"gtscore is {gtscore[0]:g} everywhere, so there is no ranking to learn",
                         "remove this video")


def _numbers(location: str, key: str, value: object, ndim: int) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or array.ndim != ndim or array.size == 0:
        raise InputError(location, f"{key} is {array.dtype} of shape {array.shape}, not numbers in {ndim} dimensions")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(location, f"{key} contains NaN or infinity", "create it again")
    return array


def read_folds(path: str | os.PathLike) -> list[dict[str, list[str]]]:
    """Read a split file: a list of folds with `train_keys` and `test_keys`, in JSON, or in YAML like DSNet's.

    Raises:
        InputError: the file does not exist, is neither JSON nor YAML, or has another structure; a video is in both
            parts of a fold.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such split file", "specify a JSON or YAML list of train_keys and test_keys")
    kind = "YAML" if path.suffix in YAML_SUFFIXES else "JSON"
    try:
        text = path.read_text(encoding="utf-8")
        folds = yaml.safe_load(text) if kind == "YAML" else json.loads(text)
    except (ValueError, OSError, RecursionError, yaml.YAMLError) as err:
        reason = " ".join(f"{err}".split())   # YAML's messages span several lines.
        raise InputError(path, f"not a {kind} file ({reason})") from err
    if not isinstance(folds, list) or not folds:
        raise InputError(path, "must be a list of folds")
    for number, fold in enumerate(folds):
        _check_fold(path, number, fold)
    return [{key: [Path(name).name for name in fold[key]] for key in ("train_keys", "test_keys")} for fold in folds]


def _check_fold(path: Path, number: int, fold: object) -> None:
    keys: dict = fold if isinstance(fold, dict) else {}
    for key in ("train_keys", "test_keys"):
        names = keys.get(key)
        if not isinstance(names, list) or not names:
            raise InputError(path, f"fold {number} has no list of {key}")
        invalid = [name for name in names if not isinstance(name, str)]
        if invalid:
            raise InputError(path, f"fold {number} names {invalid[0]!r} in {key}; names of videos must be text",
                             f'write "video_{invalid[0]}"')
    both = set(keys["train_keys"]) & set(keys["test_keys"])
    if both:
        raise InputError(path, f"fold {number} has {min(both)} in train_keys and in test_keys", "remove it from one")


def fold_names(path: str | os.PathLike, fold: int, part: str) -> list[str] | None:
    """Return the names of the videos in one part of a fold, or None for all videos if the part is `all`.

    Raises:
        InputError: there is no such fold or part; see `read_folds` for errors in the file.
    """
    if part not in PARTS:
        raise InputError(None, f"{part!r} is not a part of a split", suggest(part, PARTS))
    if part == "all":
        return None
    folds = read_folds(path)
    if not 0 <= fold < len(folds):
        raise InputError(path, f"no fold {fold}, only 0..{len(folds) - 1}")
    return folds[fold][f"{part}_keys"]


def disjoint_folds(names: Sequence[str], number: int, seed: int = 0) -> list[dict[str, list[str]]]:
    """Split videos into cross-validation folds: each video is tested once, and trains all other folds.

    Raises:
        InputError: fewer than two folds, or fewer videos than folds.
    """
    if not 2 <= number <= len(names):
        raise InputError(None, f"{number} folds of {len(names)} videos are not possible",
                         f"use 2 to {len(names)}, so that each fold tests a video")
    order = sorted(names)
    random.Random(seed).shuffle(order)
    return [dict(train_keys=sorted(set(names) - set(test)), test_keys=test)
            for test in (sorted(order[fold::number]) for fold in range(number))]
