"""A queue in which no user waits for all tasks of another one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable

from .task import Task


class FairQueue:
    """Waiting tasks, taken by round robin among the clients, and among the sessions of each client.

    A client or session that has just been served, or that has just arrived, is last; tasks of the same session keep
    their order.
    """

    def __init__(self) -> None:
        self._tasks: list[Task] = []
        self._last_served: dict[Hashable, int] = {}   # Or the arrival, of each client and owner with waiting tasks.
        self._clock = itertools.count()
        self._order: list[Task] | None = None   # The order in which the tasks will be taken; None if it is outdated.

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self):
        return iter(list(self._tasks))

    def __contains__(self, task: Task) -> bool:
        return task in self._tasks

    def add(self, task: Task) -> None:
        """Add a task."""
        for key in _keys(task):
            if key not in self._last_served:
                self._last_served[key] = next(self._clock)
        self._tasks.append(task)
        self._tasks.sort(key=lambda each: each.number)   # An evicted task keeps its position within its session.
        self._order = None

    def remove(self, task: Task, served: bool = False) -> None:
        """Remove a task.

        Args:
            task: a task of this queue.
            served: True if the task will run, so that its client and its session come last from now on.
        """
        self._tasks.remove(task)
        for key in _keys(task):
            if not any(key in _keys(other) for other in self._tasks):
                del self._last_served[key]
            elif served:
                self._last_served[key] = next(self._clock)
        self._order = None

    def first(self, condition: Callable[[Task], bool]) -> Task | None:
        """Return the first task that meets a condition; None if there is none."""
        return next((task for task in self.order() if condition(task)), None)

    def order(self) -> list[Task]:
        """Return the tasks in the order in which they will be taken."""
        if self._order is None:
            served, clock = dict(self._last_served), itertools.count(max(self._last_served.values(), default=0) + 1)
            waiting, order = list(self._tasks), []
            while waiting:
                task = min(waiting, key=lambda each: [served[key] for key in _keys(each)])
                waiting.remove(task)
                order.append(task)
                for key in _keys(task):
                    served[key] = next(clock)
            self._order = order
        return self._order


def _keys(task: Task) -> tuple[Hashable, Hashable]:
    return task.owner.client, task.owner
