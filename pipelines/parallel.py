"""Working on several pieces at once, in order and with few of them held."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

MOST_WORKERS = 4   # each holds a batch and what a network makes of it

In, Out = TypeVar("In"), TypeVar("Out")


@contextmanager
def workers() -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """Threads for networks, and their number; together they use the cores that torch has.

    Threads that each run a batch lose nothing by waiting for one another, as threads inside an
    operation do when a decoder takes a core away. What has not begun when the block ends is dropped.
    """
    cores = torch.get_num_threads()
    number = min(MOST_WORKERS, cores)
    with ThreadPoolExecutor(number, "encode", torch.set_num_threads, (max(1, cores // number),)) as pool:
        try:
            yield pool, number
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(cores)   # a new thread's number holds for all those after it


def ordered_map(pool: ThreadPoolExecutor, work: Callable[[In], Out], items: Iterable[In], ahead: int) -> Iterator[Out]:
    """Gives `work(item)` of every item in order.

    Items are taken while earlier ones are worked on, and never more than `ahead` of them are held.
    """
    running: deque[Future[Out]] = deque()
    for item in items:
        running.append(pool.submit(work, item))
        if len(running) >= ahead or running[0].done():
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def batches(items: Iterable[In], size: int) -> Iterator[list[In]]:
    """Lists of `size` items each, the last one perhaps shorter."""
    batch: list[In] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
