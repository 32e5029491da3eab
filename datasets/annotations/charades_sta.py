"""Charades-STA's text format."""

from __future__ import annotations

import os
from pathlib import Path

from common.errors import InputError

from .qvhighlights import is_valid_name, raise_errors


def read_charades(path: str | os.PathLike) -> list[tuple[int, dict]]:
    """Reads `charades_sta_{train,test}.txt` (Gao et al., ICCV 2017).

    A line is `vid start end##sentence`, in seconds. Where the end comes before the start, as in a few
    lines of the public files, they are exchanged, as UMT does.

    Returns:
        The number of each line, and a label: `qid` (that number), `vid`, `query`, `relevant_windows`.

    Raises:
        InputError: lists all the faulty lines.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as err:
        raise InputError(f"{path}: no such file; name charades_sta_train.txt or its like") from err
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{path}: cannot be read as text ({err})") from err
    labels, faults = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where, found, query = line.partition("##")
        try:
            vid, *window = where.split()
            start, end = sorted(map(float, window))
            if not found or not query.strip() or not is_valid_name(vid) or not 0 <= start <= end < 1e9:
                raise ValueError
        except ValueError:
            faults.append(f"line {number}: {line.strip()[:60]!r} is not 'vid start end##sentence', in seconds from 0")
            continue
        labels.append((number, dict(qid=number, vid=vid, query=query.strip(), relevant_windows=[[start, end]])))
    raise_errors(path, faults if labels or faults else ["holds no label"], labels)
    return labels
