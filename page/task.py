"""Tasks for worker processes, and the errors with which they end."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.errors import InputError

from .units import format_bytes, format_duration

_numbers = itertools.count()


class TaskCanceled(Exception):
    """The task was canceled."""


@dataclass(frozen=True)
class Owner:
    """The user of a task.

    Attributes:
        client: network address; "" if it is unknown, or for tasks of the server itself.
        session: token of the session; "" for tasks of the server itself.
    """

    client: str = ""
    session: str = ""


class Task:
    """A task of a `WorkerPool`: `function(*arguments, report_progress)`.

    Attributes:
        number: ascending number of submission.
        owner: the user.
        state: `queued`, `running`, `done`, `failed` or `canceled`.
        progress: fraction that is done, in [0, 1].
        is_slow: True once the task has run longer than the time slice of its pool.
        num_waiting: number of requests that wait for the task.
        result: the function's return value, once the task is done.
        error: the reason, once the task has failed.
        cancel_requested: set by `cancel`.
        ended: set when the task is done, failed or canceled.
    """

    def __init__(self, function: Callable, arguments: tuple, owner: Owner | None = None):
        self.number = next(_numbers)
        self.owner = owner or Owner()
        self.function: Callable | None = function
        self.arguments: tuple | None = arguments
        self.state, self.progress, self.is_slow, self.num_waiting = "queued", 0.0, False, 0
        self.result: Any = None
        self.error: InputError | None = None
        self.cancel_requested = threading.Event()
        self.ended = threading.Event()
        self._callbacks: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Request that the task end soon; do nothing if it has ended."""
        self.cancel_requested.set()

    def end(self, state: str, result: Any = None, error: InputError | None = None) -> None:
        """Record the end of the task; only its pool calls this."""
        self.function = self.arguments = None   # The arguments may be large.
        self.result, self.error, self.state = result, error, state
        with self._lock:
            self.ended.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def on_end(self, callback: Callable[[], object]) -> None:
        """Call a function when the task ends, in the thread of its pool; at once if the task has ended."""
        with self._lock:
            if not self.ended.is_set():
                self._callbacks.append(callback)
                return
        callback()


class NoSpaceError(InputError):
    """The disk has too little free space."""


def no_space_error() -> NoSpaceError:
    """Return the error for a file that does not fit on the disk of the server."""
    return NoSpaceError(None, "the server has no disk space left for this file", "try again later")


def internal_error() -> InputError:
    """Return the error of a task that failed without any mistake of its user."""
    return InputError(None, "something went wrong on the server; other users are not affected",
                      "try again, and if it happens again, try another file")


def memory_error(max_bytes: int | None = None) -> InputError:
    """Return the error of a task that was ended because it used too much memory."""
    limit = "" if max_bytes is None else f", and the limit is {format_bytes(max_bytes)}"
    return InputError(None, f"this needs too much memory{limit}", "use a shorter video or fewer subtitles")


def time_limit_error(limit_s: float) -> InputError:
    """Return the error of a task that was ended because it took too long."""
    return InputError(None, f"this took longer than {format_duration(limit_s)}, so it was stopped",
                      "use fewer queries or fewer subtitles")
