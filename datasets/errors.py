"""Errors in several lines or files, collected and raised together."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from common.errors import InputError

MAX_SHOWN_ERRORS = 20
MAX_SHOWN_NAMES = 3   # Names that one message lists.


class LineError(InputError):
    """An error in one line of a text file.

    Attributes:
        line: number of the line, from 1.
    """

    def __init__(self, line: int, problem: str, hint: str = ""):
        super().__init__(f"line {line}", problem, hint)
        self.args = (line, problem, hint)   # Pickle creates a copy from these.
        self.line = line


class InputErrors(InputError):
    """Several errors in one file or folder; the message lists the first 20.

    Attributes:
        errors: the individual errors. The `path` of each is its location in `self.path`, such as `line 7` or
            `video abc`, or the path of a file if `self.path` is None or a folder.
    """

    def __init__(self, path: str | os.PathLike | None, errors: Sequence[InputError], hint: str = ""):
        more = len(errors) - MAX_SHOWN_ERRORS
        lines = [*map(str, errors[:MAX_SHOWN_ERRORS]), *([f"and {more} more"] if more > 0 else [])]
        super().__init__(path, "\n  ".join(lines), hint)
        self.args = (path, errors, hint)
        self.errors = list(errors)


class LabelErrors(InputErrors):
    """Errors in some of a file's labels, with the valid labels, whose features can still be checked.

    Attributes:
        valid: return value of the parser, without the invalid labels.
        dataset: the dataset of the valid labels, if it was built; only for calls of its `check`.
    """

    def __init__(self, path: str | os.PathLike | None, errors: Sequence[InputError], valid: object):
        super().__init__(path, errors)
        self.args = (path, errors, valid)
        self.valid = valid
        self.dataset: object | None = None


def raise_errors(path: str | os.PathLike | None, errors: Sequence[InputError], valid: object = None,
                 hint: str = "") -> None:
    """Raise the errors of a file or folder together, if there are any.

    Args:
        path: file or folder that contains the errors; None if each error names its own file.
        errors: may be empty.
        valid: return value of the parser, without the invalid labels; empty or None if nothing is valid.
        hint: remedy for all of the errors.

    Raises:
        LabelErrors: there are errors, and some labels are valid.
        InputErrors: there are errors, and nothing is valid.
    """
    if errors and valid:
        raise LabelErrors(path, errors, valid)
    if errors:
        raise InputErrors(path, errors, hint)


def shorten(names: Sequence[str]) -> str:
    """Join names, of which at most three are shown, and the number of the others."""
    more = len(names) - MAX_SHOWN_NAMES
    return ", ".join(names[:MAX_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def merge_errors(errors: Iterable[tuple[InputError, str]], label_path: str) -> list[InputError]:
    """Merge the errors of files in one folder, or of videos, that have the same problem.

    Args:
        errors: each with the location of the label that needs the file, such as `line 7`.
        label_path: file of the labels.

    Returns:
        One error per folder and problem, with the names of some of its files and their number, in the order of the
        first ones.
    """
    groups: dict[tuple[str, str, str], list[tuple[Path, str]]] = {}
    for error, location in errors:
        path = Path(error.path or "")
        groups.setdefault((str(path.parent), error.problem, error.hint), []).append((path, location))
    merged = []
    for (folder, problem, hint), found in groups.items():
        names, locations = [path.name for path, _ in found], [location for _, location in found]
        needed_by = f" (needed by {label_path}, {shorten(locations)})"
        if len(found) == 1:
            merged.append(InputError(found[0][0], problem + needed_by, hint))
        elif folder == ".":   # Videos instead of files.
            merged.append(InputError(shorten(names), problem + needed_by, hint))
        else:
            merged.append(InputError(folder, f"{len(names)} files ({shorten(names)}): {problem}{needed_by}", hint))
    return merged


def most_common(widths: Iterable[int], first: int = 0) -> int:
    """Return the most common width; of several, `first` if it is among them, else the one that occurs first.

    Args:
        widths: if there are none, the result is `first`.
        first: width that is preferred.
    """
    counts = Counter(widths)
    return max(counts, key=lambda width: (counts[width], width == first), default=first)


def width_error(path: Path, width: int, same: Sequence[str], expected: int) -> InputError:
    """Return the error of a file with another width than most.

    Args:
        path: the file.
        width: its width.
        same: names of the files that have the most common width.
        expected: the most common width.
    """
    others = f"{same[0]} in its folder has" if len(same) == 1 else f"{len(same)} other files in its folder have"
    return InputError(path, f"width {width}, but {others} width {expected}", "extract both with the same encoder")
