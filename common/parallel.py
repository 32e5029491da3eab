"""Parallel map and parallel chaining of iterators, in order and with a bounded number of items in memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Generic, TypeVar

MAX_INFERENCE_THREADS = 4   # Each thread holds a batch and the network's activations for it.

In = TypeVar("In")
Out = TypeVar("Out")
Item = TypeVar("Item")


@contextmanager
def inference_pool() -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """Provide a thread pool for running networks, and the number of its threads.

    Each thread of the pool runs torch operations on an equal share of the cores. Running one batch per thread is faster
    than running one batch on all cores: while a video decoder occupies a core, the threads of a single operation wait
    for the slowest of them, but independent batches do not wait for each other. Tasks that have not started when the
    block ends are canceled.
    """
    import torch  # Imported here because loading it takes a second, and `parallel_chain` does not need it.

    n_cores = torch.get_num_threads()
    n_threads = min(MAX_INFERENCE_THREADS, n_cores)
    with ThreadPoolExecutor(n_threads, "inference", torch.set_num_threads, (max(1, n_cores // n_threads),)) as pool:
        try:
            yield pool, n_threads
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(n_cores)   # The pool has changed the default for new threads.


def ordered_map(pool: ThreadPoolExecutor, function: Callable[[In], Out], items: Iterable[In],
                max_pending: int) -> Iterator[Out]:
    """Yield `function(item)` for every item, in the order of the items.

    Items are read in the calling thread while the pool processes earlier items.

    Args:
        pool: the pool that calls the function.
        function: a thread-safe function.
        items: the arguments, read lazily.
        max_pending: maximum number of items that are submitted and whose results are not yet yielded.
    """
    pending: deque[Future[Out]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) >= max_pending or pending[0].done():
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def batched(items: Iterable[In], size: int) -> Iterator[list[In]]:
    """Yield lists of `size` items; the last list may be shorter."""
    batch: list[In] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def parallel_chain(producers: Sequence[Callable[[], Iterator[Item]]], n_threads: int, max_buffered: int,
                   size: Callable[[Item], int] = lambda _: 1,
                   on_close: Callable[[], object] = lambda: None) -> Generator[Item, None, None]:
    """Chain iterators like `itertools.chain`, running up to `n_threads` of them in parallel threads.

    All items of the first iterator come first, then all items of the second, and so on. Items of later iterators are
    buffered. If you do not exhaust the returned generator, close it; closing waits until all threads have ended.

    Args:
        producers: functions that each return a generator. They are called in this order, in the threads.
        n_threads: maximum number of iterators that run at the same time.
        max_buffered: maximum total size of the buffered items. An iterator waits while its next item would exceed this
            limit. To avoid a deadlock, the iterator being consumed may always buffer one item.
        size: function that returns the size of an item.
        on_close: function that is called when the chain ends for any reason, before the threads are joined. It must
            unblock producers that are waiting for something other than the chain.

    Raises:
        Exception: the exception of an iterator, raised after the items that it has yielded. Later iterators are
            stopped.
    """
    chain = _ParallelChain(len(producers), max_buffered, size)
    with ThreadPoolExecutor(n_threads, "parallel-chain") as pool:
        try:
            for index, producer in enumerate(producers):
                pool.submit(chain.run, index, producer)
            yield from chain.consume()
        finally:
            chain.stop()
            on_close()
            pool.shutdown(cancel_futures=True)


class _ParallelChain(Generic[Item]):
    """One buffer per producer thread, and the single consumer of all buffers, synchronized by a condition variable."""

    def __init__(self, n_producers: int, max_buffered: int, size: Callable[[Item], int]):
        self.max_buffered, self.size = max_buffered, size
        self.current = 0   # The index of the producer being consumed.
        self.total_size, self.stopped = 0, False
        self.buffers: list[deque[Item]] = [deque() for _ in range(n_producers)]
        self.finished = [False] * n_producers
        self.errors: list[BaseException | None] = [None] * n_producers
        self.changed = threading.Condition()

    def run(self, index: int, producer: Callable[[], Iterator[Item]]) -> None:
        """Move all items of a producer to its buffer, in a thread of the pool."""
        error: BaseException | None = None
        try:
            with closing(producer()) as items:   # type: ignore[type-var]  # Producers return generators.
                for item in items:
                    if not self._put(index, item):
                        break
        except BaseException as err:   # `consume` raises the error after the producer's items.
            error = err
        with self.changed:
            self.finished[index], self.errors[index] = True, error
            self.changed.notify_all()

    def _put(self, index: int, item: Item) -> bool:
        """Wait for room, and buffer an item; return False if the chain has been stopped."""
        with self.changed:
            self.changed.wait_for(lambda: self.stopped or self._has_room(index, item))
            self.buffers[index].append(item)
            self.total_size += self.size(item)
            self.changed.notify_all()
            return not self.stopped

    def _has_room(self, index: int, item: Item) -> bool:
        if self.total_size + self.size(item) <= self.max_buffered:
            return True
        return index == self.current and not self.buffers[index]   # Without this item, the consumer would wait forever.

    def consume(self) -> Iterator[Item]:
        """Yield the items of all producers in order, in the thread of the caller."""
        while self.current < len(self.buffers):
            with self.changed:
                self.changed.wait_for(lambda: self.buffers[self.current] or self.finished[self.current])
                buffer, error = self.buffers[self.current], self.errors[self.current]
                item = buffer.popleft() if buffer else None
                if item is not None:
                    self.total_size -= self.size(item)
                elif error is not None:
                    raise error
                else:
                    self.current += 1
                self.changed.notify_all()
            if item is not None:
                yield item

    def stop(self) -> None:
        """Make every producer stop at its next item."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
