import threading
import time

import pytest
import torch

from pipelines.parallel import batches, ordered_map, workers


def test_results_are_in_order_and_few_items_are_held():
    taken, given, most = [], [], 0

    def items():
        for i in range(50):
            taken.append(i)
            yield i

    def work(i):
        time.sleep(0.002 * (i % 3))
        return i * i

    with workers() as (pool, _):
        for result in ordered_map(pool, work, items(), 4):
            most = max(most, len(taken) - len(given))
            given.append(result)
    assert given == [i * i for i in range(50)]
    assert most <= 4


def test_items_are_taken_while_earlier_ones_are_worked_on():
    second = threading.Event()

    def items():
        yield 0
        second.set()
        yield 1

    with workers() as (pool, _):
        assert list(ordered_map(pool, lambda i: second.wait(5), items(), 2)) == [True, True]


def test_an_error_comes_out_and_the_rest_is_dropped():
    started = []

    def work(i):
        started.append(i)
        if i == 1:
            raise KeyError(i)
        time.sleep(0.01)

    with pytest.raises(KeyError), workers() as (pool, _):
        list(ordered_map(pool, work, range(1000), 100))
    assert len(started) < 1000


def test_torch_has_its_threads_again():
    before = torch.get_num_threads()
    with workers() as (pool, number):
        assert pool.submit(torch.get_num_threads).result() * number <= max(before, number)
    assert torch.get_num_threads() == before


def test_batches():
    assert list(batches(iter(range(5)), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []
