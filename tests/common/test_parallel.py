"""common/parallel.py: results keep their order, few items are held, errors propagate, and no thread is left."""

import threading
import time
from contextlib import closing

import pytest
import torch

from common.parallel import batched, inference_pool, ordered_map, parallel_chain


def test_ordered_map_keeps_the_order_and_holds_few_items():
    n_read, results, max_held = [], [], 0

    def items():
        for i in range(50):
            n_read.append(i)
            yield i

    def square(i):
        time.sleep(0.002 * (i % 3))
        return i * i

    with inference_pool() as (pool, _):
        for result in ordered_map(pool, square, items(), 4):
            max_held = max(max_held, len(n_read) - len(results))
            results.append(result)
    assert results == [i * i for i in range(50)]
    assert max_held <= 4


def test_ordered_map_reads_items_while_earlier_ones_are_processed():
    second_item_read = threading.Event()

    def items():
        yield 0
        second_item_read.set()
        yield 1

    with inference_pool() as (pool, _):
        assert list(ordered_map(pool, lambda i: second_item_read.wait(5), items(), 2)) == [True, True]


def test_an_error_in_ordered_map_propagates_and_cancels_the_rest():
    started = []

    def fail_on_the_second(i):
        started.append(i)
        if i == 1:
            raise KeyError(i)
        time.sleep(0.01)

    with pytest.raises(KeyError), inference_pool() as (pool, _):
        list(ordered_map(pool, fail_on_the_second, range(1000), 100))
    assert len(started) < 1000


def test_inference_pool_divides_torchs_threads_and_restores_them():
    before = torch.get_num_threads()
    with inference_pool() as (pool, n_threads):
        assert pool.submit(torch.get_num_threads).result() * n_threads <= max(before, n_threads)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("items", "expected"), [
    pytest.param(iter(range(5)), [[0, 1], [2, 3], [4]], id="shorter-last-batch"),
    pytest.param([], [], id="empty"),
])
def test_batched(items, expected):
    assert list(batched(items, 2)) == expected


def produce(producer, n=50, produced=None, delay_s=0.0):
    """Yield (producer, 0), (producer, 1), ... and record them in `produced`."""
    for i in range(n):
        time.sleep(delay_s)
        if produced is not None:
            produced.append((producer, i))
        yield producer, i


@pytest.mark.parametrize("n_threads", [1, 2, 4])
@pytest.mark.parametrize("max_buffered", [1, 7, 1000])
def test_parallel_chain_keeps_the_order(n_threads, max_buffered):
    # The second of seven producers is slow; the first, fourth and seventh are empty.
    producers = [lambda p=p: produce(p, n=10 * (p % 3), delay_s=0.001 * (p == 1)) for p in range(7)]
    items = list(parallel_chain(producers, n_threads, max_buffered))
    assert items == [(p, i) for p in range(7) for i in range(10 * (p % 3))]


def test_producers_run_at_the_same_time():
    both_running = threading.Barrier(2, timeout=10)   # Each producer waits until the other one has started.

    def producer(index):
        both_running.wait()
        yield index

    assert list(parallel_chain([lambda: producer(0), lambda: producer(1)], 2, 5)) == [0, 1]


def test_the_buffer_is_bounded():
    produced, consumed = [], []
    with closing(parallel_chain([lambda p=p: produce(p, produced=produced) for p in range(4)], 3, 5)) as items:
        for item in items:
            time.sleep(0.001)
            consumed.append(item)
            # Each of the three threads may hold one more item than the five in the buffer; one is being consumed.
            assert len(produced) - len(consumed) <= 5 + 3 + 1
    assert len(consumed) == 200


def test_the_buffer_is_measured_by_the_size_of_its_items():
    produced = []

    def slow():
        """Start after the other two producers have filled the buffer and wait."""
        time.sleep(0.3)
        yield from produce(0, 2)

    producers = [slow, lambda: produce(1, 50, produced), lambda: produce(2, 50, produced)]
    with closing(parallel_chain(producers, 3, 40, lambda item: 10)) as items:
        next(items)
        assert 4 <= len(produced) <= 4 + 2   # 40 / 10 items are buffered, and each waiting thread holds one.
        assert list(items)[-1] == (2, 49)
        assert len(produced) == 100


def test_an_error_is_raised_after_the_producers_items_and_stops_the_rest():
    produced = []

    def fail_in_the_second(producer):
        yield from produce(producer, 5, produced)
        if producer == 1:
            raise ValueError("the second")

    consumed = []
    with pytest.raises(ValueError, match="the second"):
        for item in parallel_chain([lambda p=p: fail_in_the_second(p) for p in range(40)], 2, 8):
            consumed.append(item)
    assert consumed == [(p, i) for p in (0, 1) for i in range(5)]
    assert len({producer for producer, _ in produced}) < 10


def test_closing_the_chain_ends_and_joins_its_threads():
    ended = []

    def producer(index):
        try:
            yield from produce(index, 1000)
        finally:
            ended.append(index)

    with closing(parallel_chain([lambda p=p: producer(p) for p in range(9)], 2, 3)) as items:
        assert [next(items) for _ in range(4)] == [(0, i) for i in range(4)]
    assert sorted(ended) == [0, 1]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("parallel-chain")]


@pytest.mark.timeout(20)
def test_an_error_on_starting_a_thread_propagates_without_a_deadlock(monkeypatch):
    started = []

    def start_only_one(thread, plain=threading.Thread.start):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        plain(thread)

    monkeypatch.setattr(threading.Thread, "start", start_only_one)
    with pytest.raises(RuntimeError, match="new thread"):
        list(parallel_chain([lambda p=p: produce(p) for p in range(3)], 2, 3))
    started[0].join(10)
    assert not started[0].is_alive()
