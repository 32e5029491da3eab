"""Reading labels and predictions: JSON lines as QVHighlights has them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from common.errors import InputError

SHOWN_FAULTS = 20


def read_jsonl(path: str | os.PathLike) -> list[dict]:
    """Reads JSON lines; empty lines do not count.

    Raises:
        InputError: no such file, or lines that are not JSON objects, each by its number.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; name one with JSON lines")
    entries, faults = [], []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{path}: cannot be read as text ({err}); save it as UTF-8") from err
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            if not isinstance(entry, dict):
                faults.append(f"line {number}: not a JSON object but {line.strip()[:40]!r}")
            entries.append(entry)
        except json.JSONDecodeError as err:
            faults.append(f"line {number}: not JSON ({err.msg} at column {err.colno})")
    _refuse(path, faults)
    return entries


def read_labels(path: str | os.PathLike, clip_len_s: float = 2) -> list[dict]:
    """Reads and checks labels.

    Every line has `qid`, `query`, `vid`, `duration` in seconds; `relevant_windows` [[start s, end s]]
    and `relevant_clip_ids` with `saliency_scores` [[annotators' scores]] may lack, as in a test split.

    Args:
        path: JSON lines.
        clip_len_s: seconds in a clip.

    Raises:
        InputError: lists all the faults with their lines: keys that lack, a doubled qid, windows that
            end before they start or lie outside the video, clips outside it, rows of scores that
            do not fit the clips.
    """
    labels = read_jsonl(path)
    faults, seen = [], {}
    for number, label in enumerate(labels, 1):
        faults += [f"line {number}: {fault}" for fault in _faults(label, clip_len_s)]
        qid = label.get("qid")
        if qid is not None and seen.setdefault(qid, number) != number:
            faults.append(f"line {number}: qid {qid} stands in line {seen[qid]} too")
    if not labels:
        faults.append("holds no label")
    _refuse(path, faults)
    return labels


def _refuse(path: str | os.PathLike, faults: list[str]) -> None:
    if faults:
        more = [f"and {len(faults) - SHOWN_FAULTS} more"] if len(faults) > SHOWN_FAULTS else []
        raise InputError(f"{path}: " + "\n  ".join(faults[:SHOWN_FAULTS] + more))


def _faults(label: dict, clip_len_s: float) -> list[str]:
    lacking = [key for key in ("qid", "query", "vid", "duration") if key not in label]
    if lacking:
        return [f"lacks {', '.join(lacking)}"]
    duration = label["duration"]
    if not isinstance(duration, (int, float)) or not duration > 0:
        return [f"duration {duration!r} is not a number of seconds above 0"]
    faults = []
    for window in label.get("relevant_windows", []):
        if len(window) != 2 or not 0 <= window[0] < window[1] <= duration:
            faults.append(f"window {window} does not lie in [0, {duration}] s, its end after its start")
    if ("relevant_clip_ids" in label) != ("saliency_scores" in label):
        faults.append("relevant_clip_ids and saliency_scores belong together")
    clips, scores = label.get("relevant_clip_ids", []), label.get("saliency_scores", [])
    if len(clips) != len(scores):
        faults.append(f"{len(clips)} relevant_clip_ids but {len(scores)} rows of saliency_scores")
    if len({len(row) for row in scores}) > 1:
        faults.append("rows of saliency_scores by different numbers of annotators")
    outside = [c for c in clips if not 0 <= c < int(duration / clip_len_s)]
    if outside:
        faults.append(f"clips {outside[:3]} lie outside the video of {int(duration / clip_len_s)} clips")
    return faults
