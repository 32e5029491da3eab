"""Reading files of a score per picked frame: JSON lines, or one JSON object as PGL-SUM and DSNet write it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from common.build import suggest
from datasets.annotations.qvhighlights import raise_errors, read_jsonl

NAMES = ("vid", "video")
VALUES = ("scores", "pred_saliency_scores")   # the second as tools/launch.py --dump writes


def read_scores(path: str | os.PathLike, lengths: Mapping[str, int],
                known: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Every video's scores, checked against the labels.

    Args:
        path: JSON lines with `vid` (or `video`) and `scores` (or `pred_saliency_scores`), one for every picked
            frame; or one JSON object, video -> scores.
        lengths: picked frames of each video that must be there.
        known: videos that may be there beside, and are left out.

    Returns:
        By video (T,) float64.

    Raises:
        InputError: no such file, neither of the two formats; or lists all of these: a video that lacks, is doubled
            or unknown, another number of scores, what is no finite number, scores that are all alike.
    """
    faults: list[str] = []
    entries = _entries(Path(path), faults)
    given = Counter(name for name, _ in entries)
    faults += [f"no scores for video {name}" for name in lengths if name not in given]
    faults += [f"video {name} comes {times} times" for name, times in given.items() if times > 1]
    found = {}
    for name, value in entries:
        if name in lengths:
            fault, found[name] = _checked(value, lengths[name])
            faults += [f"video {name}: {fault}"] if fault else []
        elif name not in known:
            faults.append(f"video {name} is not among the labels; {suggest(name, {*lengths, *known})}")
    raise_errors(path, faults)
    return found


def _entries(path: Path, faults: list[str]) -> list[tuple[str, object]]:
    """(video, scores) as they stand in the file; doubled ones too."""
    pairs = _one_object(path)
    if pairs is not None:
        return pairs
    entries = []
    for number, line in enumerate(read_jsonl(path), 1):
        name = next((line[key] for key in NAMES if key in line), None)
        if isinstance(name, str) and any(key in line for key in VALUES):
            entries.append((name, next(line[key] for key in VALUES if key in line)))
        else:
            faults.append(f"entry {number}: needs {' or '.join(NAMES)}, a text, and {' or '.join(VALUES)}")
    return entries


def _one_object(path: Path) -> list[tuple[str, object]] | None:
    """The pairs of a file that is one JSON object from videos to lists; None for another file."""
    try:
        pairs = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=list)   # a dict would hide doubles
    except (OSError, ValueError, RecursionError):
        return None
    listed = isinstance(pairs, list) and all(isinstance(p, tuple) for p in pairs)
    return pairs if listed and not {name for name, _ in pairs} & {*NAMES, *VALUES} else None


def _checked(value: object, length: int) -> tuple[str, np.ndarray]:
    """What is wrong, "" for nothing, and the scores."""
    try:
        scores = np.asarray(value)
    except ValueError:   # lists of unequal lengths
        scores = np.array("")
    if scores.ndim != 1 or scores.dtype.kind not in "iuf":
        return "its scores must be a list of numbers", scores
    scores = scores.astype(np.float64)
    if len(scores) != length:
        return f"{len(scores)} scores for {length} picked frames; score those that the labels' picks name", scores
    if not np.isfinite(scores).all():
        return f"score {int(np.flatnonzero(~np.isfinite(scores))[0])} is {scores[~np.isfinite(scores)][0]}", scores
    if scores.min() == scores.max():
        return f"its scores are all {scores[0]:g}, so there is no order to measure", scores
    return "", scores
