"""QVHighlights' labels: JSON lines with windows and saliency scores."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from common.errors import InputError
from common.temporal import num_complete_clips
from datasets.errors import LabelErrors, LineError, raise_errors

from .json_files import parse_jsonl

MAX_SALIENCY = 4   # The highest score that an annotator gives.
REQUIRED_KEYS = ("qid", "query", "vid", "duration")


def read_valid(read: Callable, *args: object) -> tuple[Any, LabelErrors | None]:
    """Call a parser, and return the valid labels if some labels are invalid.

    Returns:
        The return value of `read(*args)`, or its valid part; and the error to raise later, or None.
    """
    try:
        return read(*args), None
    except LabelErrors as err:
        return err.valid, err


def check_clip_len(clip_len_s: object) -> None:
    """Check that a clip length is a positive number of seconds.

    Raises:
        InputError: not a number, below 0.001 s, or above 1e6 s.
    """
    if isinstance(clip_len_s, bool) or not isinstance(clip_len_s, (int, float)) or not 1e-3 <= clip_len_s < 1e6:
        raise InputError(None, f"clip_len_s={clip_len_s!r} is not a clip length in seconds", "use at least 0.001")


def read_labels(path: str | os.PathLike, clip_len_s: float = 2) -> list[dict]:
    """Read and check labels.

    Each line has `qid`, `query`, `vid`, `duration` in seconds. `relevant_windows` [[start s, end s]], and
    `relevant_clip_ids` with `saliency_scores` [[annotators' 0-4]], may be absent from all lines, as in a test split.

    Args:
        path: JSON lines.
        clip_len_s: seconds per clip.

    Raises:
        InputError: lists all errors with their lines: missing keys, duplicate qids, windows that end before they
            start or exceed the video, clips outside the video, rows of scores that do not match the clips, and
            annotations that only some lines have.
    """
    return [label for _, label in read_numbered_labels(path, clip_len_s)]


def read_numbered_labels(path: str | os.PathLike, clip_len_s: float = 2) -> list[tuple[int, dict]]:
    """Read and check labels like `read_labels`, each with its line number from 1."""
    numbered, errors = parse_jsonl(path)
    if not numbered and not errors:
        raise InputError(path, "contains no labels")
    errors += _missing_annotations(numbered)
    first_lines: dict[str, int] = {}
    for number, label in numbered:
        errors += [LineError(number, problem) for problem in _problems(label, clip_len_s)]
        qid = str(label.get("qid"))   # Compare as text, because 7 and "7" share a feature file.
        if first_lines.setdefault(qid, number) != number and "qid" in label:
            errors.append(LineError(number, f"duplicate qid {qid}, first used in line {first_lines[qid]}"))
    invalid = {error.line for error in errors}
    errors.sort(key=lambda error: error.line)
    raise_errors(path, errors, [(number, label) for number, label in numbered if number not in invalid])
    return numbered


def _missing_annotations(numbered: list[tuple[int, dict]]) -> list[LineError]:
    """Return an error for each line without annotations that other lines have."""
    errors = []
    complete = [(number, label) for number, label in numbered if not _missing_keys(label)]
    for key in ("relevant_windows", "saliency_scores"):
        missing = [number for number, label in complete if key not in label]
        if len(missing) < len(complete):
            errors += [LineError(number, f"no {key}, which other lines have", "give it in all lines or in none")
                       for number in missing]
    return errors


def _missing_keys(label: dict) -> list[str]:
    return [key for key in REQUIRED_KEYS if key not in label]


def _problems(label: dict, clip_len_s: float) -> list[str]:
    missing = _missing_keys(label)
    if missing:
        return [f"missing {', '.join(missing)}"]
    problems = []
    for key in ("qid", "vid"):
        if not is_valid_name(label[key]):
            problems.append(f"{key} {label[key]!r} is neither an integer nor a valid file name")
    if not isinstance(label["query"], str):
        problems.append(f"query {label['query']!r} is not text")
    duration = label["duration"]
    if not _is_number(duration) or not duration > 0:
        return [*problems, f"duration {duration!r} is not a number of seconds above 0"]
    num_clips = num_complete_clips(duration, clip_len_s)
    return problems + _window_problems(label, duration) + _saliency_problems(label, num_clips)


def _window_problems(label: dict, duration: float) -> list[str]:
    windows = label.get("relevant_windows", [])
    if not isinstance(windows, list):
        return [f"relevant_windows {windows!r} is not a list of [start s, end s]"]
    return [f"window {window} is not [start s, end s] within [0, {duration}] with start < end" for window in windows
            if not isinstance(window, list) or len(window) != 2 or not all(map(_is_number, window))
            or not 0 <= window[0] < window[1] <= duration]


def _saliency_problems(label: dict, num_clips: int) -> list[str]:
    if ("relevant_clip_ids" in label) != ("saliency_scores" in label):
        return ["relevant_clip_ids and saliency_scores require each other"]
    clips, rows = label.get("relevant_clip_ids", []), label.get("saliency_scores", [])
    if not isinstance(clips, list) or not all(isinstance(c, int) and not isinstance(c, bool) for c in clips):
        return ["relevant_clip_ids are not integers"]
    if not isinstance(rows, list) or not all(isinstance(row, list) and row for row in rows):
        return ["saliency_scores are not a list of annotators' scores per clip"]
    problems = []
    if len(clips) != len(rows):
        problems.append(f"{len(clips)} relevant_clip_ids but {len(rows)} rows of saliency_scores")
    if len({len(row) for row in rows}) > 1:
        problems.append("rows of saliency_scores differ in their number of annotators")
    invalid = [x for row in rows for x in row if not _is_number(x) or not 0 <= x <= MAX_SALIENCY]
    if invalid:
        problems.append(f"saliency_scores {invalid[:3]} are not numbers from 0 to {MAX_SALIENCY}")
    outside = [c for c in clips if not 0 <= c < num_clips]
    if outside:
        problems.append(f"clips {outside[:3]} are outside the video, which has {num_clips} clips")
    duplicates = sorted({c for c in clips if clips.count(c) > 1}) if len(set(clips)) < len(clips) else []
    if duplicates:
        problems.append(f"duplicate clips {duplicates[:3]} in relevant_clip_ids")
    return problems


def _is_number(value: object) -> bool:
    """Return True for a number of plausible size; json also parses NaN, Infinity and integers of any length."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12


def is_valid_name(value: object) -> bool:
    """Return True for a valid name of a video or query: an integer, or text that can be a file name."""
    if isinstance(value, str):
        return bool(value.strip()) and value not in (".", "..") and not set(value) & set("/\\\0")
    return isinstance(value, int) and not isinstance(value, bool)
