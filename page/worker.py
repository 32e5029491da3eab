"""One job at a time, in a process of its own: what waits knows its place, and a crash costs one job only."""

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

LOOK_S = 0.05         # how often the job's word and a wish to stop are looked for
PATIENCE_S = 10.0     # that a job has to stop of itself
FAREWELL_S = 3.0      # that a job and its process have when everything ends
FAULT = ("Something went wrong here, which is no fault of yours; others are not touched by it. "
         "Try again, and if it happens again, try another file")


class Stopped(Exception):
    """The job is no longer wanted."""


class Work:
    """A job, from the line to its end.

    Attributes:
        state: `waiting`, `working`, `done`, `failed` or `stopped`.
        share: of the job that is done, in [0, 1].
        result: what it returned, when done.
        error: what to tell people, when failed.
    """

    def __init__(self, function: Callable, arguments: tuple):
        self.function, self.arguments = function, arguments
        self.state, self.share, self.result, self.error = "waiting", 0.0, None, ""
        self.unwanted = threading.Event()
        self.ended = threading.Event()

    def stop(self) -> None:
        """Says that the job is no longer wanted; it ends soon."""
        self.unwanted.set()

    def end(self, state: str, result: Any = None, error: str = "") -> None:
        """Used by the workshop."""
        self.function = self.arguments = None   # what was handed in may be large
        self.result, self.error, self.state = result, error, state
        self.ended.set()


class Workshop:
    """Does jobs in the order in which they came, each `function(*arguments, told)` in one child process.

    `told(share)` is called by the job now and then. A child that dies, or says nothing for `silence_s`, is
    replaced; its job has failed, the others go on.

    Args:
        most_waiting: jobs in the line; more are refused.
        silence_s: how long a job may say nothing.
    """

    def __init__(self, most_waiting: int = 20, silence_s: float = 600):
        self.most_waiting, self.silence_s = most_waiting, silence_s
        self._line: deque[Work] = deque()
        self._changed = threading.Condition()
        self._running: Work | None = None
        self._closed = False
        self._child: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._serve, name="workshop", daemon=True)
        self._thread.start()

    def submit(self, function: Callable, *arguments: Any) -> Work:
        """Puts a job at the end of the line.

        Raises:
            InputError: the line is full.
        """
        work = Work(function, arguments)
        with self._changed:
            if len(self._line) >= self.most_waiting:
                raise InputError(f"{len(self._line)} others are waiting before you, which is too long a line. "
                                 "Try again in some minutes")
            self._line.append(work)
            self._changed.notify()
        return work

    def place(self, work: Work) -> int:
        """How many jobs come before it; 0 when it is being done, or has ended."""
        with self._changed:
            return self._line.index(work) + (self._running is not None) if work in self._line else 0

    def close(self) -> None:
        """Ends everything, what is running too."""
        with self._changed:
            self._closed = True
            for work in (*self._line, *([self._running] if self._running else [])):
                work.stop()
            self._changed.notify()
        self._thread.join(FAREWELL_S)
        self._end_child(gently=not self._thread.is_alive())

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._running = None
                while not self._line and not self._closed:
                    self._changed.wait()
                if self._closed:
                    for work in self._line:
                        work.end("stopped")
                    return
                work = self._running = self._line.popleft()
            if work.unwanted.is_set():
                work.end("stopped")
                continue
            try:
                self._do(work)
            except Exception:   # of the workshop itself: a child that cannot be started or spoken to
                traceback.print_exc()
                self._end_child()
                work.end("stopped" if self._closed else "failed", error=FAULT)

    def _do(self, work: Work) -> None:
        connection = self._connect()
        work.state = "working"
        connection.send((work.function, work.arguments))
        heard_s, asked_s = time.monotonic(), None
        while True:
            now_s = time.monotonic()
            if work.unwanted.is_set() and asked_s is None:
                connection.send("stop")
                asked_s = now_s
            if connection.poll(LOOK_S):
                try:
                    kind, value = connection.recv()
                except (EOFError, ConnectionError):
                    break
                heard_s = now_s
                if kind == "share":
                    work.share = value
                    continue
                return work.end(kind, value if kind == "done" else None, value if kind == "failed" else "")
            if now_s - heard_s > self.silence_s or (asked_s is not None and now_s - asked_s > PATIENCE_S):
                break
        self._end_child()
        work.end("stopped" if work.unwanted.is_set() else "failed", error=FAULT)

    def _connect(self) -> Connection:
        """The way to a living child."""
        if self._child is None or not self._child.is_alive() or self._connection is None:
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._child = context.Process(target=_work, args=(theirs,), daemon=True)
            self._child.start()
            theirs.close()
        return self._connection

    def _end_child(self, gently: bool = False) -> None:
        """Ends the child at once; or `gently`, by itself, if it does nothing."""
        child, self._child = self._child, None
        if child is None:
            return
        if gently:
            self._connection.close()
            child.join(FAREWELL_S)
        child.kill()
        child.join(PATIENCE_S)


def _work(connection: Connection) -> None:
    """What the child does until its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)   # the parent decides

    def told(share: float) -> None:
        if connection.poll():   # the only word that comes meanwhile
            connection.recv()
            raise Stopped
        connection.send(("share", share))

    while True:
        try:
            task = connection.recv()
        except (EOFError, ConnectionError):
            return
        if task == "stop":   # came when the job had just ended
            continue
        function, arguments = task
        try:
            answer = ("done", function(*arguments, told))
        except Stopped:
            answer = ("stopped", None)
        except InputError as err:
            answer = ("failed", str(err))
        except Exception:
            traceback.print_exc()
            answer = ("failed", FAULT)
        connection.send(answer)
