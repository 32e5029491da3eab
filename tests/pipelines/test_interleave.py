"""pipelines/turns.py: in order whatever ends first, few items held, errors in their turn, nothing left running."""

import threading
import time
from contextlib import closing

import pytest

from pipelines.interleave import in_turn


def numbers(piece, n=50, made=None, wait_s=0.0):
    for i in range(n):
        time.sleep(wait_s)
        if made is not None:
            made.append((piece, i))
        yield piece, i


@pytest.mark.parametrize("at_once", [1, 2, 4])
@pytest.mark.parametrize("most", [1, 7, 1000])
def test_items_come_in_order_whatever_is_made_first(at_once, most):
    works = [lambda p=p: numbers(p, n=10 * (p % 3), wait_s=0.001 * (p == 1)) for p in range(7)]
    assert list(in_turn(works, at_once, most)) == [(p, i) for p in range(7) for i in range(10 * (p % 3))]


def test_several_are_made_at_once():
    """Each of two waits for the other to have begun."""
    meeting = threading.Barrier(2, timeout=10)

    def work(piece):
        meeting.wait()
        yield piece

    assert list(in_turn([lambda: work(0), lambda: work(1)], 2, 5)) == [0, 1]


def test_no_more_are_held_than_allowed():
    made, taken = [], []
    with closing(in_turn([lambda p=p: numbers(p, made=made) for p in range(4)], 3, 5)) as items:
        for item in items:
            time.sleep(0.001)
            taken.append(item)
            assert len(made) - len(taken) <= 5 + 3 + 1   # each of three waits with one in its hand, or one is in turn
    assert len(taken) == 200


def test_what_is_held_is_counted_by_its_size():
    """Two of three are far ahead of the first, which gives nothing before they have stopped."""
    made = []

    def slow():
        time.sleep(0.3)
        yield from numbers(0, 2)

    works = [slow, lambda: numbers(1, 50, made), lambda: numbers(2, 50, made)]
    with closing(in_turn(works, 3, 40, lambda item: 10)) as items:
        next(items)
        assert 4 <= len(made) <= 4 + 2
        assert list(items)[-1] == (2, 49) and len(made) == 100


def test_an_error_comes_in_its_turn_and_ends_the_rest():
    made = []

    def work(piece):
        yield from numbers(piece, 5, made)
        if piece == 1:
            raise ValueError("the second")

    taken = []
    with pytest.raises(ValueError, match="the second"):
        for item in in_turn([lambda p=p: work(p) for p in range(40)], 2, 8):
            taken.append(item)
    assert taken == [(p, i) for p in (0, 1) for i in range(5)]
    assert len({piece for piece, _ in made}) < 10


def test_who_stops_taking_waits_for_the_threads_and_ends_them():
    ended = []

    def work(piece):
        try:
            yield from numbers(piece, 1000)
        finally:
            ended.append(piece)

    with closing(in_turn([lambda p=p: work(p) for p in range(9)], 2, 3)) as items:
        assert [next(items) for _ in range(4)] == [(0, i) for i in range(4)]
    assert sorted(ended) == [0, 1]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("turn")]


@pytest.mark.timeout(20)
def test_where_no_more_threads_can_be_started_it_fails_and_does_not_wait(monkeypatch):
    started = []

    def start(thread, plain=threading.Thread.start):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        plain(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="new thread"):
        list(in_turn([lambda p=p: numbers(p) for p in range(3)], 2, 3))
    started[0].join(10)
    assert not started[0].is_alive()
