"""Exceptions that a user's mistake raises; commands print them without a traceback."""

from __future__ import annotations

import errno
import os

DISK_PROBLEMS = {   # Errors of the disk or file system, which affect every file equally.
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "it would exceed the maximum file size",
    errno.EROFS: "the file system is read-only",
}
REMEDIES = {errno.EFBIG: "raise the limit (ulimit -f)", errno.EROFS: "use another folder"}


class InputError(ValueError):
    """Invalid input, described by data so that each caller can render it for its own audience.

    Commands print `error: PATH: PROBLEM; HINT` and exit with status 2.

    Attributes:
        path: the file, folder or option in error; None if `problem` names it.
        problem: description of the error, with the invalid value.
        hint: remedy; "" if the problem makes it obvious.
    """

    def __init__(self, path: str | os.PathLike | None, problem: str, hint: str = ""):
        super().__init__(path, problem, hint)
        self.path, self.problem, self.hint = path, problem, hint

    def __str__(self) -> str:
        return self.render()

    def render(self, path: str | os.PathLike | None = None) -> str:
        """Return the message as one line.

        Args:
            path: shown instead of `self.path`, e.g. the name that an uploaded file had; None shows `self.path`.
        """
        shown = self.path if path is None else path
        where = "" if shown is None or self.path is None else f"{os.fspath(shown)}: "
        return f"{where}{self.problem}{f'; {self.hint}' if self.hint else ''}"


class ConfigError(InputError):
    """An error in a config.

    Attributes:
        location: path of the error within the config, e.g. `model.video_enc`; stored as `path`.
    """

    @property
    def location(self) -> str | None:
        return None if self.path is None else os.fspath(self.path)


def disk_error(err: Exception, path: str | os.PathLike | None = None, then: str = "run the command again") -> (
        InputError | None):
    """Return an error of the disk or file system as an `InputError`; None for any other error.

    Args:
        err: the error that a write raised, such as OSError or the error of a library with the same `errno`.
        path: the file or folder that was written; None for the file that the error names.
        then: what to do after the problem is solved.
    """
    number = getattr(err, "errno", None)
    if number not in DISK_PROBLEMS:
        return None
    path = getattr(err, "filename", None) if path is None else path
    subject = "a file " if path is None else ""
    return InputError(path, f"{subject}cannot be written, because {DISK_PROBLEMS[number]}",
                      f"{REMEDIES.get(number, 'free some space')}, and {then}")
