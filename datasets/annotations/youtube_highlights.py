"""YouTube Highlights' labels, as UMT keeps them."""

from __future__ import annotations

import os

from .domain_splits import read_json
from .qvhighlights import raise_errors


def read_youtube(path: str | os.PathLike) -> dict[str, list[float]]:
    """Every video's `match` per clip: 1 highlight, 0 between, -1 none (`youtube_anno.json` of UMT).

    Raises:
        InputError: unreadable; or lists the videos without a list of numbers as `match`.
    """
    labels = read_json(path)
    sound = {vid: label["match"] for vid, label in labels.items() if _is_sound(label)}
    raise_errors(path, [f"video {vid}: no 'match', a list of numbers" for vid in labels if vid not in sound]
           if labels else ["holds no video"], sound)
    return sound


def _is_sound(label: object) -> bool:
    match = label.get("match") if isinstance(label, dict) else None
    return isinstance(match, list) and bool(match) and all(
        isinstance(m, (int, float)) and not isinstance(m, bool) and abs(m) < 1e9 for m in match)
