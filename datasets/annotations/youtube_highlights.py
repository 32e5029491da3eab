"""YouTube Highlights' annotations in UMT's JSON format."""

from __future__ import annotations

import os

from common.errors import InputError
from datasets.errors import raise_errors

from .json_files import read_json


def read_youtube(path: str | os.PathLike) -> dict[str, list[float]]:
    """Read `youtube_anno.json` of UMT.

    Returns:
        `match` of each clip by video: 1 for a highlight, 0 for a borderline clip, -1 for a clip that is none.

    Raises:
        InputError: the file cannot be read or contains no videos; lists all videos without a list of numbers as
            `match`.
    """
    labels = read_json(path)
    if not labels:
        raise InputError(path, "contains no videos")
    valid = {vid: label["match"] for vid, label in labels.items() if _is_valid(label)}
    raise_errors(path, [InputError(f"video {vid}", "no 'match', a list of numbers") for vid in labels
                        if vid not in valid], valid)
    return valid


def _is_valid(label: object) -> bool:
    match = label.get("match") if isinstance(label, dict) else None
    return isinstance(match, list) and bool(match) and all(
        isinstance(m, (int, float)) and not isinstance(m, bool) and abs(m) < 1e9 for m in match)
