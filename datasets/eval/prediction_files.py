"""Prediction files: one score per clip or sampled frame by video, checked against the labels."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sized
from pathlib import Path
from typing import Any

import numpy as np

from common.build import suggest
from common.errors import InputError
from common.queries import normalize_id
from datasets.annotations.json_files import read_jsonl
from datasets.errors import raise_errors

MAX_LENGTH_DIFFERENCE = 2   # Clips by which predictions may differ from the labels, as feature files may.
NAME_KEYS = ("vid", "video")
SCORE_KEYS = ("scores", "pred_saliency_scores")   # `tools/launch.py --dump` writes the second one.


def read_clip_scores(path: str | os.PathLike, labels: Mapping[str, Sized],
                     known: Collection[str]) -> dict[str, list[float]]:
    """Read `pred_saliency_scores` of the labeled videos from prediction lines.

    Args:
        path: JSON lines with `vid` and `pred_saliency_scores`.
        labels: clips of each video to read.
        known: other videos that may be in the file, which are ignored.

    Returns:
        Scores by video, at most one per labeled clip.

    Raises:
        InputError: the file cannot be read; lists all missing, unknown and duplicate videos, and invalid scores.
    """
    lines = read_jsonl(path)
    errors = [InputError(f"entry {number}", f"vid {line.get('vid')!r} is not the name of a video")
              for number, line in enumerate(lines, 1) if normalize_id(line.get("vid")) is None]
    lines = [{**line, "vid": normalize_id(line.get("vid"))} for line in lines]
    lines = [line for line in lines if line["vid"] is not None and (line["vid"] in labels or line["vid"] not in known)]
    given = Counter(line["vid"] for line in lines)
    errors += [InputError(f"video {vid}", "no prediction") for vid in labels if vid not in given]
    errors += [InputError(f"video {vid}", "not among the labels") for vid in given if vid not in labels]
    errors += [InputError(f"video {vid}", f"predicted {count} times") for vid, count in given.items() if count > 1]
    scores = {}
    for line in lines:
        vid = line["vid"]
        values: Any = line.get("pred_saliency_scores")
        if not _is_finite_list(values):
            errors.append(InputError(f"video {vid}", "pred_saliency_scores must be a list of finite numbers"))
        elif vid in labels:
            if abs(len(labels[vid]) - len(values)) > MAX_LENGTH_DIFFERENCE:
                errors.append(InputError(f"video {vid}", f"{len(values)} scores for {len(labels[vid])} clips"))
            scores[vid] = list(values)[:len(labels[vid])]
    raise_errors(path, errors)
    return scores


def _is_finite_list(values: object) -> bool:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return numbers.ndim == 1 and len(numbers) > 0 and bool(np.isfinite(numbers).all())


def read_frame_scores(path: str | os.PathLike, lengths: Mapping[str, int],
                      known: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Read the scores of sampled frames, in the formats of this program, PGL-SUM and DSNet.

    Args:
        path: JSON lines with `vid` (or `video`) and `scores` (or `pred_saliency_scores`), one per sampled frame; or
            one JSON object, video -> scores.
        lengths: number of sampled frames of each video to read.
        known: other videos that may be in the file, which are ignored.

    Returns:
        (T,) float64 by video.

    Raises:
        InputError: the file does not exist or has neither of the two formats; lists all missing, duplicate and
            unknown videos, and scores of another number, that are not finite, or that are all equal.
    """
    entries, errors = _parse(Path(path))
    given = Counter(name for name, _ in entries)
    errors += [InputError(f"video {name}", "no scores") for name in lengths if name not in given]
    errors += [InputError(f"video {name}", f"given {count} times") for name, count in given.items() if count > 1]
    scores = {}
    for name, value in entries:
        if name in lengths:
            problem, scores[name] = _checked(value, lengths[name])
            errors += [InputError(f"video {name}", problem)] if problem else []
        elif name not in known:
            errors.append(InputError(f"video {name}", "not among the labels", suggest(name, {*lengths, *known})))
    raise_errors(path, errors)
    return scores


def _parse(path: Path) -> tuple[list[tuple[str, object]], list[InputError]]:
    """Return (video, scores) of all entries of the file, including duplicates; and errors."""
    pairs = _parse_object(path)
    if pairs is not None:
        return pairs, []
    entries: list[tuple[str, object]] = []
    errors = []
    for number, line in enumerate(read_jsonl(path), 1):
        name = normalize_id(next((line[key] for key in NAME_KEYS if key in line), None))
        if name is not None and any(key in line for key in SCORE_KEYS):
            entries.append((name, next(line[key] for key in SCORE_KEYS if key in line)))
        else:
            errors.append(InputError(f"entry {number}", f"needs {' or '.join(NAME_KEYS)}, a text, and "
                                                        f"{' or '.join(SCORE_KEYS)}"))
    return entries, errors


def _parse_object(path: Path) -> list[tuple[str, object]] | None:
    """Return the items of a file that is one JSON object from videos to lists; None for another file."""
    try:   # A dict would hide duplicate keys.
        pairs = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=list)
    except (OSError, ValueError, RecursionError):
        return None
    is_object = isinstance(pairs, list) and all(isinstance(p, tuple) for p in pairs)
    return pairs if is_object and not {name for name, _ in pairs} & {*NAME_KEYS, *SCORE_KEYS} else None


def _checked(value: object, length: int) -> tuple[str, np.ndarray]:
    """Return the reason why scores are invalid, "" if they are valid; and the scores."""
    try:
        scores = np.asarray(value)
    except ValueError:   # numpy rejects lists of unequal lengths.
        scores = np.array("")
    if scores.ndim != 1 or scores.dtype.kind not in "iuf":
        return "scores must be a list of numbers", scores
    scores = scores.astype(np.float64)
    if len(scores) != length:
        return f"{len(scores)} scores for {length} sampled frames; give one score per pick of the labels", scores
    if not np.isfinite(scores).all():
        return f"score {int(np.flatnonzero(~np.isfinite(scores))[0])} is {scores[~np.isfinite(scores)][0]}", scores
    if scores.min() == scores.max():
        return f"scores are all {scores[0]:g}, so there is no ranking to measure", scores
    return "", scores
