"""A worker process: a child process that runs one task at a time, so that a crash costs one task only."""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from tqdm import tqdm

from common.errors import InputError
from common.files import DISK_ERRORS

from .task import Task, TaskCanceled, internal_error, memory_error, no_space_error

KILL_TIMEOUT_S = 10     # The system ends a killed process within this time.
IMPORT_POLL_S = 0.05    # An interruption is tried again after this time while a module is being imported.
PRELOADED_MODULES = ("torch", "page.tasks")   # A module that cannot be imported is imported by the worker processes.
INTERRUPT = getattr(signal, "SIGUSR1", None)   # Raises `Interrupted` in a task; Windows has no such signal.

Message = tuple[str, Any]


class WorkerProcess:
    """A child process that runs the tasks of a `WorkerPool`, one after the other.

    Args:
        prepare: function without arguments that the child calls first, e.g. to load a model; it can be pickled.
        nice: increment of the process's niceness, so that interactive processes come first.

    Attributes:
        connection: the connection to the child.
        task: the running task; None if there is none.
        is_ready: True once the child has started and called `prepare`.
        started_s: start of the running task, by `time.monotonic`.
        last_report_s: time of the last message from the child.
        stop_reason: why the running task has been interrupted: `cancel`, `evict`, or an error; None if it has not been.
        stopped_s: time of the interruption.
    """

    def __init__(self, prepare: Callable[[], object] | None = None, nice: int = 0):
        context = _context()
        self.connection, child_end = context.Pipe()
        self._child = context.Process(target=_child_main, args=(child_end, prepare, nice), daemon=True)
        self._child.start()
        child_end.close()
        self.task: Task | None = None
        self.is_ready = False
        self.stop_reason: str | InputError | None = None
        self.started_s = self.last_report_s = self.stopped_s = time.monotonic()

    @property
    def pid(self) -> int | None:
        """The ID of the child process."""
        return self._child.pid

    def is_alive(self) -> bool:
        """Return True if the child process is running."""
        return self._child.is_alive()

    def run(self, task: Task) -> None:
        """Start a task; the child must be ready and idle.

        Raises:
            OSError: the child has died.
            Exception: the task cannot be pickled.
        """
        self.task, self.stop_reason, task.state = task, None, "running"
        self.started_s = self.last_report_s = time.monotonic()
        self.connection.send((task.function, task.arguments))

    def receive(self) -> Message | None:
        """Return the next message of the child: `ready`, `progress`, `done`, `failed`, `canceled` or `died`."""
        try:
            if not self.connection.poll():
                return None
            message = self.connection.recv()
        except (EOFError, OSError):
            return "died", None
        self.last_report_s = time.monotonic()
        return message

    def stop(self, reason: str | InputError, by_signal: bool) -> None:
        """Ask the running task to end; a later reason replaces the one before.

        Args:
            reason: `cancel`, `evict`, or the error with which the task ends.
            by_signal: interrupt the task at once instead of at its next progress report.
        """
        first, self.stop_reason = self.stop_reason is None, reason
        if not first:
            return
        self.stopped_s = time.monotonic()
        try:
            self.connection.send("cancel")
            if by_signal and INTERRUPT is not None and self.pid is not None:
                os.kill(self.pid, INTERRUPT)
        except OSError:   # The child has died, which `receive` reports.
            pass

    def memory_bytes(self) -> int:
        """Return the resident memory of the child; 0 if the system does not tell."""
        try:
            with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            return 0

    def end(self) -> None:
        """Kill the child process."""
        self.connection.close()
        self._child.kill()
        self._child.join(KILL_TIMEOUT_S)


def _context() -> multiprocessing.context.ForkServerContext | multiprocessing.context.SpawnContext:
    """Return the context in which processes start.

    A server process that has imported the modules forks the worker processes, so that they start quickly and share
    the memory of the modules. It never runs a network, whose threads would not survive the fork.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():   # E.g. on Windows.
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED_MODULES))
    return context


class Interrupted(BaseException):
    """The pool has interrupted the task; not an `Exception`, so that no handler in the task catches it."""


class _Child:
    """The main loop of the child process.

    Args:
        connection: the connection to the parent.
    """

    def __init__(self, connection: Connection):
        self.connection = connection
        self._interruptible = False
        self._num_tasks = 0                     # Number of the running task.
        self._postponed_task: int | None = None   # The task that a postponed interruption is meant for.

    def interrupt(self, _: int, frame: FrameType | None) -> None:
        """Raise `Interrupted` once, if a task is running; the handler of a signal.

        During an import, the interruption is postponed: an incomplete module would stay in the process, and every later
        task that uses it would fail.
        """
        postponed, self._postponed_task = self._postponed_task, None
        if not self._interruptible or postponed not in (None, self._num_tasks):
            return
        if _is_importing(frame):
            threading.Timer(IMPORT_POLL_S, self._interrupt_again, (self._num_tasks,)).start()
            return
        self._interruptible = False
        raise Interrupted

    def _interrupt_again(self, task: int) -> None:
        self._postponed_task = task
        assert INTERRUPT is not None
        os.kill(os.getpid(), INTERRUPT)   # Handlers run in the main thread.

    def report_progress(self, fraction: float) -> None:
        """Send the progress of the task; raise an error if the task was canceled."""
        if self.connection.poll():   # While a task runs, the parent sends nothing but "cancel".
            self.connection.recv()
            raise TaskCanceled
        interruptible, self._interruptible = self._interruptible, False   # An interrupted message would be incomplete.
        self.connection.send(("progress", fraction))
        self._interruptible = interruptible

    def run(self) -> None:
        """Run tasks until the parent closes the connection or exits."""
        while True:
            try:
                message = self.connection.recv()
            except (EOFError, OSError):
                return
            if message != "cancel":   # A cancellation may arrive after its task has ended.
                self.connection.send(self._outcome(*message))

    def _outcome(self, function: Callable, arguments: tuple) -> Message:
        try:
            self._num_tasks += 1
            self._interruptible = True
            outcome = _attempt(function, (*arguments, self.report_progress))
            self._interruptible = False
        except Interrupted:   # The signal handler raises it at most once for each task.
            outcome = ("canceled", None)
        return outcome


def _is_importing(frame: FrameType | None) -> bool:
    """Return True if a module is being imported in a frame or its callers."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _attempt(function: Callable, arguments: tuple) -> Message:
    """Call a function and return its outcome: `done` with a result, `failed` with an `InputError`, or `canceled`."""
    try:
        return "done", function(*arguments)
    except TaskCanceled:
        return "canceled", None
    except InputError as err:
        return "failed", err
    except MemoryError:
        return "failed", memory_error()
    except Exception as err:
        if isinstance(err, OSError) and err.errno in DISK_ERRORS:
            return "failed", no_space_error()
        traceback.print_exc()
        return "failed", internal_error()


def _child_main(connection: Connection, prepare: Callable[[], object] | None, nice: int) -> None:
    child = _Child(connection)
    signal.signal(signal.SIGINT, signal.SIG_IGN)   # Ctrl-C reaches both processes; the parent ends this one.
    if INTERRUPT is not None:
        signal.signal(INTERRUPT, child.interrupt)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    tqdm.set_lock(threading.RLock())   # Its own lock is a semaphore of the system, which a killed process would leave.
    if nice and hasattr(os, "nice"):
        os.nice(nice)
    outcome = ("done", None) if prepare is None else _attempt(prepare, ())
    connection.send(("ready", None) if outcome[0] == "done" else outcome)
    if outcome[0] == "done":
        child.run()


def _exit_with_parent() -> None:
    """End this process when its parent dies, even while a task is running."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
