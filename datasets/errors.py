"""Errors in several lines or files, collected and raised together."""

from __future__ import annotations

import os
from collections.abc import Sequence

from common.errors import InputError

MAX_SHOWN_ERRORS = 20


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
