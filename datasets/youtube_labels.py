"""YouTube Highlights' labels, as UMT keeps them."""

from __future__ import annotations

import os

from common.errors import InputError

from .domains_labels import read_json


def read_youtube(path: str | os.PathLike) -> dict[str, list[float]]:
    """Every video's `match` per clip: 1 highlight, 0 between, -1 none (`youtube_anno.json` of UMT).

    Raises:
        InputError: unreadable, or videos without a list of numbers as `match`.
    """
    labels = read_json(path)
    wrong = [vid for vid, label in labels.items() if not isinstance(label, dict) or not label.get("match")
             or not all(isinstance(m, (int, float)) and abs(m) < 1e9 for m in label["match"])]
    if wrong or not labels:
        raise InputError(f"{path}: {len(wrong)} videos have no 'match', a list of numbers; the first: {wrong[:1]}")
    return {vid: label["match"] for vid, label in labels.items()}
