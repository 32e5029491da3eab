"""Reading labels and predictions: JSON lines as QVHighlights has them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from common.errors import InputError
from common.temporal import num_complete_clips

MAX_SALIENCY = 4   # an annotator's highest score
SHOWN_FAULTS = 20


class LabelErrors(InputError):
    """Faulty labels, with what is sound beside them, so that other faults can be looked for.

    Attributes:
        sound: what the reader would have given, without the faulty ones.
        dataset: of the sound ones, where it was built; it may not be used for more than its `check`.
    """

    def __init__(self, message: str, sound: object):
        super().__init__(message)
        self.sound, self.dataset = sound, None


def read_valid(read: Callable, *args: object) -> tuple[object, LabelErrors | None]:
    """What `read(*args)` gives; of a file with faults what is sound in it, and the error to raise later."""
    try:
        return read(*args), None
    except LabelErrors as err:
        return err.sound, err


def check_clip_len(clip_len_s: object) -> None:
    """Refuses what is no length of a clip in seconds."""
    if isinstance(clip_len_s, bool) or not isinstance(clip_len_s, (int, float)) or not 1e-3 <= clip_len_s < 1e6:
        raise InputError(f"clip_len_s={clip_len_s!r}: is not a clip's length in seconds, at least 0.001")


def read_jsonl(path: str | os.PathLike) -> list[dict]:
    """Reads JSON lines; empty lines do not count.

    Raises:
        InputError: no such file, or lines that are not JSON objects, each by its number.
    """
    return [entry for _, entry in read_numbered(path)]


def read_numbered(path: str | os.PathLike) -> list[tuple[int, dict]]:
    """As `read_jsonl`, each object with the number of its line, from 1."""
    entries, faults = _read_lines(path)
    raise_errors(path, [fault for _, fault in faults])
    return entries


def _read_lines(path: str | os.PathLike) -> tuple[list[tuple[int, dict]], list[tuple[int, str]]]:
    """The objects and the faults, each with the number of its line."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; name one with JSON lines")
    entries, faults = [], []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")   # splitlines() also splits inside strings
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{path}: cannot be read as text ({err}); save it as UTF-8") from err
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            if isinstance(entry, dict):
                entries.append((number, entry))
            else:
                faults.append((number, f"line {number}: not a JSON object but {line.strip()[:40]!r}"))
        except json.JSONDecodeError as err:
            faults.append((number, f"line {number}: not JSON ({err.msg} at column {err.colno})"))
        except (RecursionError, ValueError):   # a thousand brackets, a number of 5,000 digits
            faults.append((number, f"line {number}: not JSON that can be read"))
    return entries, faults


def read_labels(path: str | os.PathLike, clip_len_s: float = 2) -> list[dict]:
    """Reads and checks labels.

    Every line has `qid`, `query`, `vid`, `duration` in seconds; `relevant_windows` [[start s, end s]]
    and `relevant_clip_ids` with `saliency_scores` [[annotators' 0-4]] may lack, as in a test split.

    Args:
        path: JSON lines.
        clip_len_s: seconds in a clip.

    Raises:
        InputError: lists all the faults with their lines: keys that lack, a doubled qid, windows that
            end before they start or lie outside the video, clips outside it, rows of scores that
            do not fit the clips; answers that some lines have and others lack.
    """
    return [label for _, label in read_numbered_labels(path, clip_len_s)]


def read_numbered_labels(path: str | os.PathLike, clip_len_s: float = 2) -> list[tuple[int, dict]]:
    """As `read_labels`, each label with the number of its line, from 1."""
    numbered, faults = _read_lines(path)
    faults += _lacking_answers(numbered)
    seen: dict[str, int] = {}
    for number, label in numbered:
        faults += [(number, f"line {number}: {fault}") for fault in _faults(label, clip_len_s)]
        qid = str(label.get("qid"))   # 7 and "7" would share a feature file
        if seen.setdefault(qid, number) != number and "qid" in label:
            faults.append((number, f"line {number}: qid {qid} stands in line {seen[qid]} too"))
    if not numbered and not faults:
        faults.append((0, "holds no label"))
    faulty = {number for number, _ in faults}
    raise_errors(path, [fault for _, fault in sorted(faults, key=lambda fault: fault[0])],
           [(number, label) for number, label in numbered if number not in faulty])
    return numbered


def raise_errors(path: str | os.PathLike, faults: list[str], sound: object = None) -> None:
    """Raises an InputError that lists a file's faults, if it has any: LabelFaults where something is sound."""
    if faults:
        more = [f"and {len(faults) - SHOWN_FAULTS} more"] if len(faults) > SHOWN_FAULTS else []
        message = f"{path}: " + "\n  ".join(faults[:SHOWN_FAULTS] + more)
        raise LabelErrors(message, sound) if sound else InputError(message)


def _lacking_answers(numbered: list[tuple[int, dict]]) -> list[tuple[int, str]]:
    """Lines without answers that others in the file have."""
    faults = []
    numbered = [(number, label) for number, label in numbered if not _lacking(label)]
    for key in ("relevant_windows", "saliency_scores"):
        lacking = [number for number, label in numbered if key not in label]
        if len(lacking) < len(numbered):
            faults += [(number, f"line {number}: lacks {key}, which other lines have; give it in all lines or in none")
                       for number in lacking]
    return faults


def _lacking(label: dict) -> list[str]:
    return [key for key in ("qid", "query", "vid", "duration") if key not in label]


def _faults(label: dict, clip_len_s: float) -> list[str]:
    lacking = _lacking(label)
    if lacking:
        return [f"lacks {', '.join(lacking)}"]
    faults = []
    for key in ("qid", "vid"):
        if not is_valid_name(label[key]):
            faults.append(f"{key} {label[key]!r} is not a number or a name that a file can have")
    if not isinstance(label["query"], str):
        faults.append(f"query {label['query']!r} is not text")
    duration = label["duration"]
    if not _is_number(duration) or not duration > 0:
        return [*faults, f"duration {duration!r} is not a number of seconds above 0"]
    return faults + _window_faults(label, duration) + _saliency_faults(label, num_complete_clips(duration, clip_len_s))


def _window_faults(label: dict, duration: float) -> list[str]:
    windows = label.get("relevant_windows", [])
    if not isinstance(windows, list):
        return [f"relevant_windows {windows!r} is not a list of [start s, end s]"]
    return [f"window {window} does not lie in [0, {duration}] s, its end after its start" for window in windows
            if not isinstance(window, list) or len(window) != 2 or not all(map(_is_number, window))
            or not 0 <= window[0] < window[1] <= duration]


def _saliency_faults(label: dict, clips_in_video: int) -> list[str]:
    if ("relevant_clip_ids" in label) != ("saliency_scores" in label):
        return ["relevant_clip_ids and saliency_scores belong together"]
    clips, rows = label.get("relevant_clip_ids", []), label.get("saliency_scores", [])
    if not isinstance(clips, list) or not all(isinstance(c, int) and not isinstance(c, bool) for c in clips):
        return ["relevant_clip_ids are not whole numbers"]
    if not isinstance(rows, list) or not all(isinstance(row, list) and row for row in rows):
        return ["saliency_scores are not a list of annotators' scores per clip"]
    faults = []
    if len(clips) != len(rows):
        faults.append(f"{len(clips)} relevant_clip_ids but {len(rows)} rows of saliency_scores")
    if len({len(row) for row in rows}) > 1:
        faults.append("rows of saliency_scores by different numbers of annotators")
    odd = [x for row in rows for x in row if not _is_number(x) or not 0 <= x <= MAX_SALIENCY]
    if odd:
        faults.append(f"saliency_scores {odd[:3]} are not numbers from 0 to {MAX_SALIENCY}")
    outside = [c for c in clips if not 0 <= c < clips_in_video]
    if outside:
        faults.append(f"clips {outside[:3]} lie outside the video of {clips_in_video} clips")
    doubled = sorted({c for c in clips if clips.count(c) > 1}) if len(set(clips)) < len(clips) else []
    if doubled:
        faults.append(f"clips {doubled[:3]} stand in relevant_clip_ids more than once")
    return faults


def _is_number(value: object) -> bool:
    """A number as seconds or scores can be; json also reads NaN, Infinity and any number of digits."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12


def is_valid_name(value: object) -> bool:
    """Whether a video or query may be called so: a whole number, or text that a file can be named by."""
    if isinstance(value, str):
        return bool(value.strip()) and value not in (".", "..") and not set(value) & set("/\\\0")
    return isinstance(value, int) and not isinstance(value, bool)
