"""Charades-STA's annotations: one line of text per moment."""

from __future__ import annotations

import os
from pathlib import Path

from common.errors import InputError
from datasets.errors import LineError, raise_errors

from .qvhighlights import is_valid_name


def read_charades(path: str | os.PathLike) -> list[tuple[int, dict]]:
    """Read `charades_sta_{train,test}.txt` (Gao et al., ICCV 2017).

    A line is `vid start end##sentence`, in seconds. Start and end are swapped if the end comes first, which happens
    in a few lines of the public files; UMT does the same.

    Returns:
        Each label with its line number from 1. A label has `qid` (the line number), `vid`, `query` and
        `relevant_windows`.

    Raises:
        InputError: the file cannot be read or contains no labels; lists all invalid lines.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as err:
        raise InputError(path, "no such file", "specify charades_sta_train.txt or charades_sta_test.txt") from err
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(path, f"cannot be read as text ({err})") from err
    labels, errors = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        annotation, separator, query = line.partition("##")
        try:
            vid, *window = annotation.split()
            start, end = sorted(map(float, window))
            if not separator or not query.strip() or not is_valid_name(vid) or not 0 <= start <= end < 1e9:
                raise ValueError
        except ValueError:
            errors.append(LineError(number, f"{line.strip()[:60]!r} is not 'vid start end##sentence' with times in "
                                            "seconds from 0"))
            continue
        labels.append((number, dict(qid=number, vid=vid, query=query.strip(), relevant_windows=[[start, end]])))
    raise_errors(path, errors, labels)
    if not labels:
        raise InputError(path, "contains no labels")
    return labels
