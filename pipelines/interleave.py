"""Several iterators at work at once, whose items are taken one iterator after the other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Generic, TypeVar

Item = TypeVar("Item")


def in_turn(works: Sequence[Callable[[], Iterator[Item]]], at_once: int, most: int,
            size: Callable[[Item], int] = lambda _: 1, stop: Callable[[], object] = lambda: None) -> Iterator[Item]:
    """All items of the first iterator, then all of the second, and so on; up to `at_once` run in threads.

    Close it when it is not read to its end: that waits for the threads.

    Args:
        works: called in their threads, in this order; each gives a generator.
        at_once: threads.
        most: the size of all items held before they are taken; an iterator that would make more waits, but for the
            one whose turn it is if it has none.
        size: of an item.
        stop: called before the threads are waited for, whatever ended the taking; it lets go what they wait for.

    Raises:
        Exception: as an iterator raised it, in its turn; those after it are stopped.
    """
    turns = _Turns(len(works), most, size)
    with ThreadPoolExecutor(at_once, "turn") as pool:
        try:
            for number, work in enumerate(works):
                pool.submit(turns.run, number, work)
            yield from turns.take()
        finally:
            turns.stop()
            stop()
            pool.shutdown(cancel_futures=True)


class _Turns(Generic[Item]):
    def __init__(self, n: int, most: int, size: Callable[[Item], int]):
        self.most, self.size = most, size
        self.now, self.held, self.stopped = 0, 0, False
        self.made: list[deque[Item]] = [deque() for _ in range(n)]
        self.ended: list[BaseException | bool] = [False] * n   # or what it failed with
        self.changed = threading.Condition()

    def run(self, number: int, work: Callable[[], Iterator[Item]]) -> None:
        end: BaseException | bool = True
        try:
            with closing(work()) as items:
                for item in items:
                    if not self._give(number, item):
                        break
        except BaseException as err:   # told in its turn
            end = err
        with self.changed:
            self.ended[number] = end
            self.changed.notify_all()

    def _give(self, number: int, item: Item) -> bool:
        """Waits for room; False if nobody takes any more."""
        with self.changed:
            self.changed.wait_for(lambda: self.stopped or self._has_room(number, item))
            self.made[number].append(item)
            self.held += self.size(item)
            self.changed.notify_all()
            return not self.stopped

    def _has_room(self, number: int, item: Item) -> bool:
        return self.held + self.size(item) <= self.most or (number == self.now and not self.made[number])

    def take(self) -> Iterator[Item]:
        while self.now < len(self.made):
            with self.changed:
                self.changed.wait_for(lambda: self.made[self.now] or self.ended[self.now])
                item = self.made[self.now].popleft() if self.made[self.now] else None
                if item is not None:
                    self.held -= self.size(item)
                elif isinstance(self.ended[self.now], BaseException):
                    raise self.ended[self.now]
                else:
                    self.now += 1
                self.changed.notify_all()
            if item is not None:
                yield item

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
