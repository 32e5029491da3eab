"""A pool of worker processes that run the tasks of all users."""

from __future__ import annotations

import multiprocessing
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from common.errors import InputError

from .fair_queue import FairQueue
from .task import Owner, Task, internal_error, memory_error, time_limit_error
from .worker import WorkerProcess

POLL_S = 0.05          # Interval at which the pool looks for cancellations and exceeded limits.
CLOSE_TIMEOUT_S = 10   # `WorkerPool.close` waits this long for the processes.


@dataclass(frozen=True)
class PoolOptions:
    """The options of a `WorkerPool`.

    Attributes:
        num_workers: number of worker processes.
        max_queued: maximum number of waiting tasks.
        max_per_session: maximum number of waiting and running tasks of a session; None for no maximum.
        silence_timeout_s: maximum time between two progress reports of a task.
        time_limit_s: maximum running time of a task; None for no maximum.
        slice_s: a task that runs longer is slow. Slow tasks leave one worker process to the others: if one of the
            others waits, a slow task is interrupted, and starts again later. None if no task is slow.
        max_bytes: maximum memory of a worker process; None for no maximum.
        retained_bytes: an idle worker process that has more memory than this, in addition to that at its start, is
            replaced by a new one.
        by_signal: interrupt canceled tasks at once, instead of at their next progress report.
        cancel_timeout_s: a canceled task that has not ended after this time is killed.
        nice: increment of the niceness of the worker processes.
        prepare: function without arguments that each worker process calls first, e.g. to load a model.
    """

    num_workers: int = 1
    max_queued: int = 20
    max_per_session: int | None = None
    silence_timeout_s: float = 600
    time_limit_s: float | None = None
    slice_s: float | None = None
    max_bytes: int | None = None
    retained_bytes: int = 10**9
    by_signal: bool = False
    cancel_timeout_s: float = 10
    nice: int = 0
    prepare: Callable[[], object] | None = None


class WorkerPool:
    """Worker processes that run the tasks of all users, by round robin among the users.

    A worker process that dies, or that exceeds a limit, is replaced. Its task fails; the others continue. The worker
    processes start with the first tasks, or with `start`.

    Args:
        options: the limits.
    """

    def __init__(self, options: PoolOptions | None = None):
        self.options = options or PoolOptions()
        self._queue = FairQueue()
        self._workers: list[WorkerProcess] = []
        self._start_bytes: dict[WorkerProcess, int] = {}   # Memory of each worker process at its start.
        self._lock = threading.Lock()
        self._closed = self._keep_started = False
        self._started = threading.Event()   # Set when the first worker process is ready or has failed.
        self._start_error: InputError | None = None
        self._wake_receiver, self._wake_sender = multiprocessing.Pipe(duplex=False)
        self._thread = threading.Thread(target=self._manage, name="worker pool", daemon=True)
        self._thread.start()

    @property
    def pids(self) -> list[int]:
        """The process IDs of the worker processes."""
        return [worker.pid for worker in list(self._workers) if worker.pid is not None and worker.is_alive()]

    def start(self) -> None:
        """Start all worker processes, the first one before the others, and always replace those that end."""
        self._keep_started = True
        self._wake()

    def wait_until_started(self) -> None:
        """Wait until the first worker process is ready.

        Raises:
            InputError: `prepare` has failed.
        """
        self._started.wait()
        if self._start_error is not None:
            raise self._start_error

    def submit(self, function: Callable, *arguments: Any, owner: Owner | None = None) -> Task:
        """Add a task to the queue.

        Args:
            function: a function that can be pickled.
            *arguments: its arguments, except the last, `report_progress`.
            owner: the user.

        Raises:
            InputError: the queue is full, or the user has too many tasks in it.
        """
        task = Task(function, arguments, owner)
        with self._lock:
            self._check_room(task.owner)
            self._queue.add(task)
        self._wake()
        return task

    def num_before(self, task: Task) -> int:
        """Return the number of tasks that end before this one starts; 0 if it has started."""
        with self._lock:
            if task not in self._queue:
                return 0
            num_running = sum(worker.task is not None for worker in self._workers)
            return max(0, self._queue.order().index(task) + num_running - (self.options.num_workers - 1))

    def close(self) -> None:
        """Cancel all tasks and end the worker processes."""
        self._closed = True
        self._wake()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _wake(self) -> None:
        with suppress(OSError):   # The pool is closed.
            self._wake_sender.send_bytes(b"x")

    def _check_room(self, owner: Owner) -> None:
        """Raise `InputError` if a user may not submit another task."""
        options, free = self.options, self.options.max_queued - len(self._queue)
        if owner.session and options.max_per_session is not None:
            running = [worker.task for worker in self._workers if worker.task is not None]
            count = sum(task.owner == owner for task in (*self._queue, *running))
            if count >= options.max_per_session:
                raise InputError(None, f"{count} requests for this video are not finished yet", "wait for one of them")
        of_client = sum(task.owner.client == owner.client for task in self._queue) if owner.client else 0
        if free <= 0 or of_client >= free:   # So one client never fills the queue alone.
            waiting = f"{len(self._queue)} others are" if free <= 0 else f"{of_client} requests from your network are"
            raise InputError(None, f"the server is busy, {waiting} waiting already", "try again in a few minutes")

    def _manage(self) -> None:
        while not self._closed:
            with self._lock:
                is_busy = bool(self._queue) or any(w.task is not None or not w.is_ready for w in self._workers)
                connections = [worker.connection for worker in self._workers]
            for ready in wait([self._wake_receiver, *connections], POLL_S if is_busy else None):
                if ready is self._wake_receiver:
                    self._wake_receiver.recv_bytes()
            try:
                for worker in list(self._workers):
                    self._update(worker)
                self._end_canceled()
                self._evict_slow()
                self._start_tasks()
            except Exception:   # E.g. a child process could not be started; the next attempt may succeed.
                traceback.print_exc()
                time.sleep(POLL_S)
        with self._lock:
            tasks = [*self._queue, *(worker.task for worker in self._workers if worker.task is not None)]
        for task in tasks:
            task.end("canceled")
        for worker in self._workers:
            worker.end()

    def _update(self, worker: WorkerProcess) -> None:
        """Process the messages of a worker process, and stop its task if necessary."""
        while (message := worker.receive()) is not None:
            kind, value = message
            if kind == "progress" and worker.task is not None:
                worker.task.progress = value
            elif kind == "ready":
                worker.is_ready = True
                self._start_bytes[worker] = worker.memory_bytes()
                self._started.set()
            elif not worker.is_ready:
                return self._end_unprepared(worker, value)
            elif worker.task is None:   # It was killed while idle.
                return self._discard(worker)
            else:
                return self._finish(worker, kind, value)
        if worker.task is not None:
            self._check_limits(worker, worker.task)

    def _end_unprepared(self, worker: WorkerProcess, error: InputError | None) -> None:
        """Fail the next task, since its worker process could not be prepared."""
        self._discard(worker)
        if not self._started.is_set():
            self._start_error = error or internal_error()
            self._started.set()
        self._keep_started = False   # The next task starts another one.
        with self._lock:
            task = self._queue.first(lambda _: True)
            if task is not None:
                self._queue.remove(task)
        if task is not None:
            task.end("failed", error=error or internal_error())

    def _check_limits(self, worker: WorkerProcess, task: Task) -> None:
        options, now_s = self.options, time.monotonic()
        ran_s = now_s - worker.started_s
        if options.slice_s is not None and ran_s > options.slice_s:
            task.is_slow = True
        if task.cancel_requested.is_set():
            worker.stop("cancel", options.by_signal)
        elif options.time_limit_s is not None and ran_s > options.time_limit_s:
            worker.stop(time_limit_error(options.time_limit_s), options.by_signal)
        too_large = options.max_bytes is not None and worker.memory_bytes() > options.max_bytes
        if too_large:
            worker.stop_reason = memory_error(options.max_bytes)
        is_silent = now_s - worker.last_report_s > options.silence_timeout_s
        ignores_stop = worker.stop_reason is not None and now_s - worker.stopped_s > options.cancel_timeout_s
        if too_large or is_silent or ignores_stop:
            self._finish(worker, "died", None)

    def _finish(self, worker: WorkerProcess, kind: str, value: Any) -> None:
        """End the task of a worker process, or return it to the queue, and replace the process if necessary.

        Args:
            worker: the worker process.
            kind: `done`, `failed`, `canceled`, or `died`; the process is killed in the last case.
            value: result or error.
        """
        task, reason = worker.task, worker.stop_reason
        assert task is not None
        limit = self._start_bytes.get(worker, 0) + self.options.retained_bytes
        if kind == "died" or worker.memory_bytes() > limit:
            self._discard(worker)
        with self._lock:
            worker.task = None
        if reason == "cancel" or task.cancel_requested.is_set():
            task.end("canceled")
        elif kind in ("done", "failed"):
            task.end(kind, value if kind == "done" else None, value if kind == "failed" else None)
        elif isinstance(reason, InputError):
            task.end("failed", error=reason)
        elif kind == "died" and reason is None:
            task.end("failed", error=internal_error())
        else:   # The task was evicted.
            task.state = "queued"
            with self._lock:
                self._queue.add(task)

    def _discard(self, worker: WorkerProcess) -> None:
        """Kill a worker process."""
        with self._lock:
            self._workers.remove(worker)
        self._start_bytes.pop(worker, None)
        worker.end()

    def _end_canceled(self) -> None:
        with self._lock:
            canceled = [task for task in self._queue if task.cancel_requested.is_set()]
            for task in canceled:
                self._queue.remove(task)
        for task in canceled:
            task.end("canceled")

    def _evict_slow(self) -> None:
        """Interrupt a slow task if all worker processes run slow ones and another task waits."""
        slow = [worker for worker in self._workers if worker.task is not None and worker.task.is_slow]
        if len(slow) <= self._max_slow() or any(worker.stop_reason is not None for worker in slow):
            return
        with self._lock:
            waiting = self._queue.first(lambda task: not task.is_slow and not self._is_running(task.owner))
        if waiting is not None:   # The task that started last loses the least work.
            max(slow, key=lambda worker: worker.started_s).stop("evict", self.options.by_signal)

    def _max_slow(self) -> int:
        """Return the number of worker processes that may run slow tasks while others wait."""
        return max(1, self.options.num_workers - 1)

    def _is_running(self, owner: Owner) -> bool:
        """Return True if a task of a session is running."""
        return bool(owner.session) and any(worker.task is not None and worker.task.owner == owner
                                           for worker in self._workers)

    def _may_start(self, task: Task) -> bool:
        num_slow = sum(worker.task is not None and worker.task.is_slow for worker in self._workers)
        return not self._is_running(task.owner) and (not task.is_slow or num_slow < self._max_slow())

    def _start_tasks(self) -> None:
        """Start the next tasks on the idle worker processes, and start further worker processes if necessary."""
        idle = [worker for worker in self._workers if worker.is_ready and worker.task is None]
        for worker in idle:
            with self._lock:
                task = self._queue.first(self._may_start)
                if task is None:
                    break
                self._queue.remove(task, served=True)
                worker.task = task   # The task is always in the queue or running for `num_before`.
            self._run(worker, task)
        num_starting = sum(not worker.is_ready for worker in self._workers)
        wanted = min(self.options.num_workers, len(self._workers) - num_starting + len(self._queue))
        if self._keep_started:
            wanted = self.options.num_workers if self._started.is_set() else 1
        while len(self._workers) < wanted and not self._closed:
            worker = WorkerProcess(self.options.prepare, self.options.nice)
            with self._lock:
                self._workers.append(worker)

    def _run(self, worker: WorkerProcess, task: Task) -> None:
        try:
            worker.run(task)
        except OSError:   # The process has died, so another one runs the task.
            self._discard(worker)
            task.state = "queued"
            with self._lock:
                worker.task = None
                self._queue.add(task)
        except Exception:   # The task cannot be sent to another process.
            traceback.print_exc()
            with self._lock:
                worker.task = None
            task.end("failed", error=internal_error())
