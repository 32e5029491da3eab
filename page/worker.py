"""A worker process that runs one task at a time, so that a crash costs one task only."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from common.errors import InputError

POLL_S = 0.05           # Interval at which the parent looks for progress reports and cancellations.
CANCEL_TIMEOUT_S = 10   # A canceled task that has not ended after this time is killed.
CLOSE_TIMEOUT_S = 3     # `WorkerProcess.close` waits this long for the thread, and again for the process.


class TaskCanceled(Exception):
    """The task was canceled."""


class Task:
    """A task of a worker process.

    Attributes:
        state: `queued`, `running`, `done`, `failed` or `canceled`.
        progress: fraction that is done, in [0, 1].
        result: the function's return value, once the task is done.
        error: the reason, once the task has failed.
        cancel_requested: set by `cancel`.
        ended: set when the task is done, failed or canceled.
    """

    def __init__(self, function: Callable, arguments: tuple):
        self.function: Callable | None = function
        self.arguments: tuple | None = arguments
        self.state, self.progress = "queued", 0.0
        self.result: Any = None
        self.error: InputError | None = None
        self.cancel_requested = threading.Event()
        self.ended = threading.Event()

    def cancel(self) -> None:
        """Request that the task end soon; do nothing if it has ended."""
        self.cancel_requested.set()

    def end(self, state: str, result: Any = None, error: InputError | None = None) -> None:
        """Record the end of the task; only its worker process calls this."""
        self.function = self.arguments = None   # The arguments may be large.
        self.result, self.error, self.state = result, error, state
        self.ended.set()


class WorkerProcess:
    """A child process that runs tasks in the order in which they were submitted.

    A task is `function(*arguments, report_progress)`, and calls `report_progress(fraction)` regularly. A child
    that dies, or that reports nothing for `silence_timeout_s`, is replaced. Its task fails; the others continue.

    Args:
        max_queued: maximum number of queued tasks.
        silence_timeout_s: maximum time between two reports of a task.
    """

    def __init__(self, max_queued: int = 20, silence_timeout_s: float = 600):
        self.max_queued, self.silence_timeout_s = max_queued, silence_timeout_s
        self._queue: deque[Task] = deque()
        self._changed = threading.Condition()
        self._running: Task | None = None
        self._closed = False
        self._child: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._serve, name="worker process", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The ID of the child process; None if none is running."""
        child = self._child
        return None if child is None or not child.is_alive() else child.pid

    def submit(self, function: Callable, *arguments: Any) -> Task:
        """Add a task to the queue.

        Args:
            function: a function that can be pickled.
            *arguments: its arguments, except the last, `report_progress`.

        Raises:
            InputError: the queue is full.
        """
        task = Task(function, arguments)
        with self._changed:
            if len(self._queue) >= self.max_queued:
                raise InputError(None, f"the server is busy, {len(self._queue)} others are waiting already",
                                 "try again in a few minutes")
            self._queue.append(task)
            self._changed.notify()
        return task

    def num_before(self, task: Task) -> int:
        """Return the number of tasks that run before this one; 0 if it is running or has ended."""
        with self._changed:
            return self._queue.index(task) + (self._running is not None) if task in self._queue else 0

    def close(self) -> None:
        """Cancel all tasks and end the child process."""
        with self._changed:
            self._closed = True
            for task in (*self._queue, *([self._running] if self._running else [])):
                task.cancel()
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT_S)
        self._end_child(gracefully=not self._thread.is_alive())

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._running = None
                while not self._queue and not self._closed:
                    self._changed.wait()
                if self._closed:
                    for task in self._queue:
                        task.end("canceled")
                    return
                task = self._running = self._queue.popleft()
            if task.cancel_requested.is_set():
                task.end("canceled")
                continue
            try:
                self._run(task)
            except Exception:   # The child process could not be started, or the task could not be sent to it.
                traceback.print_exc()
                self._end_child()
                task.end("canceled" if self._closed else "failed", error=internal_error())

    def _run(self, task: Task) -> None:
        connection = self._connect()
        task.state = "running"
        connection.send((task.function, task.arguments))
        last_report_s, canceled_s = time.monotonic(), None
        while True:
            now_s = time.monotonic()
            if task.cancel_requested.is_set() and canceled_s is None:
                connection.send("cancel")
                canceled_s = now_s
            if connection.poll(POLL_S):
                try:
                    kind, value = connection.recv()
                except (EOFError, ConnectionError):
                    break
                last_report_s = now_s
                if kind == "progress":
                    task.progress = value
                    continue
                return task.end(kind, value if kind == "done" else None, value if kind == "failed" else None)
            if now_s - last_report_s > self.silence_timeout_s:
                break
            if canceled_s is not None and now_s - canceled_s > CANCEL_TIMEOUT_S:
                break
        self._end_child()
        if task.cancel_requested.is_set():
            return task.end("canceled")
        task.end("failed", error=internal_error())

    def _connect(self) -> Connection:
        """Return the connection to the child process; start one if none is running."""
        if self._child is None or not self._child.is_alive() or self._connection is None:
            context = multiprocessing.get_context("spawn")
            self._connection, child_end = context.Pipe()
            self._child = context.Process(target=_child_main, args=(child_end,), daemon=True)
            self._child.start()
            child_end.close()
        return self._connection

    def _end_child(self, gracefully: bool = False) -> None:
        """End the child process.

        Args:
            gracefully: first let an idle child exit on its own.
        """
        child, self._child = self._child, None
        if child is None:
            return
        if gracefully and self._connection is not None:
            self._connection.close()
            child.join(CLOSE_TIMEOUT_S)
        child.kill()
        child.join(CANCEL_TIMEOUT_S)


def internal_error() -> InputError:
    """Return the error of a task that failed without any mistake of its user."""
    return InputError(None, "something went wrong on the server; other users are not affected",
                      "try again, and if it happens again, try another file")


def _child_main(connection: Connection) -> None:
    """Run tasks until the parent closes the connection or exits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)   # Ctrl-C reaches both processes; the parent ends this one.

    def report_progress(fraction: float) -> None:
        if connection.poll():   # While a task runs, the parent sends nothing but "cancel".
            connection.recv()
            raise TaskCanceled
        connection.send(("progress", fraction))

    while True:
        try:
            message = connection.recv()
        except (EOFError, ConnectionError):
            return
        if message == "cancel":   # It arrived after the task had ended.
            continue
        function, arguments = message
        try:
            outcome = ("done", function(*arguments, report_progress))
        except TaskCanceled:
            outcome = ("canceled", None)
        except InputError as err:
            outcome = ("failed", err)
        except Exception:
            traceback.print_exc()
            outcome = ("failed", internal_error())
        connection.send(outcome)
