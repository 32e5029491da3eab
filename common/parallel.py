"""Parallel map and parallel chaining of iterators: results keep their order, and few items are held in memory."""

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
    """Provide a pool of threads that run networks, and the number of its threads.

    The pool divides torch's threads evenly among its own. Running one batch per thread is faster than running one
    batch on all threads: when a decoder occupies a core, the threads inside one operation wait for each other,
    whereas independent batches do not. Tasks that have not started when the block ends are cancelled.
    """
    import torch  # Imported here because loading it takes a second, which users of `parallel_chain` need not wait for.

    n_cores = torch.get_num_threads()
    n_threads = min(MAX_INFERENCE_THREADS, n_cores)
    with ThreadPoolExecutor(n_threads, "inference", torch.set_num_threads, (max(1, n_cores // n_threads),)) as pool:
        try:
            yield pool, n_threads
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(n_cores)   # Setting it in a new thread changes it for all threads created later.


def ordered_map(pool: ThreadPoolExecutor, function: Callable[[In], Out], items: Iterable[In],
                max_pending: int) -> Iterator[Out]:
    """Yield `function(item)` for every item, in the order of the items.

    Items are read in the calling thread while the pool processes earlier ones.

    Args:
        pool: threads that call the function.
        function: a thread-safe function.
        items: read lazily.
        max_pending: the maximum number of items that are submitted and not yet yielded.
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
    """Chain iterators like `itertools.chain`, running up to `n_threads` of them in threads.

    All items of the first iterator come first, then all items of the second, and so on. Items of later iterators are
    buffered. Close the returned generator if you do not exhaust it; closing it waits for the threads.

    Args:
        producers: functions that return a generator each; they are called in this order, in the threads.
        n_threads: the number of iterators that run at the same time.
        max_buffered: the maximum total size of the buffered items. An iterator that would exceed it waits, except the
            one that is being consumed if it has no buffered item.
        size: returns the size of an item.
        on_close: called before the threads are joined, for whatever reason the chain ends; it must release anything
            that the producers wait for.

    Raises:
        Exception: the exception of an iterator, after its items; the iterators after it are stopped.
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
    """The buffers that producer threads fill and one consumer empties, guarded by one condition variable."""

    def __init__(self, n_producers: int, max_buffered: int, size: Callable[[Item], int]):
        self.max_buffered, self.size = max_buffered, size
        self.current, self.total_size, self.stopped = 0, 0, False   # `current` is the producer being consumed.
        self.buffers: list[deque[Item]] = [deque() for _ in range(n_producers)]
        self.finished = [False] * n_producers
        self.errors: list[BaseException | None] = [None] * n_producers
        self.changed = threading.Condition()

    def run(self, index: int, producer: Callable[[], Iterator[Item]]) -> None:
        """Move all items of a producer to its buffer; runs in a thread of the pool."""
        error: BaseException | None = None
        try:
            with closing(producer()) as items:   # type: ignore[type-var]  # Producers return generators.
                for item in items:
                    if not self._put(index, item):
                        break
        except BaseException as err:   # `consume` raises it after the producer's items.
            error = err
        with self.changed:
            self.finished[index], self.errors[index] = True, error
            self.changed.notify_all()

    def _put(self, index: int, item: Item) -> bool:
        """Buffer an item when there is room for it; return False if the chain has been stopped."""
        with self.changed:
            self.changed.wait_for(lambda: self.stopped or self._has_room(index, item))
            self.buffers[index].append(item)
            self.total_size += self.size(item)
            self.changed.notify_all()
            return not self.stopped

    def _has_room(self, index: int, item: Item) -> bool:
        if self.total_size + self.size(item) <= self.max_buffered:
            return True
        return index == self.current and not self.buffers[index]   # Otherwise the consumer would wait forever.

    def consume(self) -> Iterator[Item]:
        """Yield the items of all producers in order; runs in the caller's thread."""
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
        """Let all producers end at their next item."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
