import pytest

from page.fair_queue import FairQueue
from page.task import Owner, Task


def make_tasks(owners):
    """Return a task for each owner, such as "A1" for session 1 of client A."""
    return [Task(print, (), Owner(name[0], name)) for name in owners]


def names(tasks):
    return [task.owner.session for task in tasks]


def take_all(queue):
    taken = []
    while len(queue):
        task = queue.first(lambda _: True)
        queue.remove(task, served=True)
        taken.append(task)
    return taken


@pytest.mark.parametrize("submitted, order", [
    pytest.param("A1 A1 A1", "A1 A1 A1", id="one session"),
    pytest.param("A1 A1 A1 B1", "A1 B1 A1 A1", id="a second client waits for one task of the first"),
    pytest.param("A1 A2 A1 A2 A1", "A1 A2 A1 A2 A1", id="sessions alternate"),
    pytest.param("A1 A2 A3 A4 B1 B1", "A1 B1 A2 B1 A3 A4", id="clients share equally, whatever their sessions"),
    pytest.param("A1 A1 B1 C1 B2 A2", "A1 B1 C1 A2 B2 A1", id="mixed")])
def test_clients_and_sessions_are_served_by_round_robin(submitted, order):
    queue = FairQueue()
    for task in make_tasks(submitted.split()):
        queue.add(task)
    assert names(queue.order()) == order.split()
    assert names(take_all(queue)) == order.split()


def test_tasks_of_a_session_keep_their_order_when_one_returns():
    queue = FairQueue()
    first, second = make_tasks(["A1", "A1"])
    queue.add(first)
    queue.add(second)
    queue.remove(first, served=True)
    queue.add(first)   # It was evicted.
    assert take_all(queue) == [first, second]


def test_a_client_that_arrives_later_does_not_overtake():
    queue = FairQueue()
    a, b, c = make_tasks(["A1", "B1", "C1"])
    queue.add(a)
    queue.add(b)
    assert queue.first(lambda _: True) is a
    queue.remove(a, served=True)
    queue.add(c)
    again, = make_tasks(["A1"])
    queue.add(again)
    assert take_all(queue) == [b, c, again]


def test_a_removed_task_is_skipped():
    queue = FairQueue()
    tasks = make_tasks(["A1", "B1", "A1"])
    for task in tasks:
        queue.add(task)
    queue.remove(tasks[0])
    assert tasks[0] not in queue
    assert names(queue.order()) == ["A1", "B1"]
    assert queue.first(lambda task: task.owner.client == "B") is tasks[1]
    assert queue.first(lambda task: task.owner.client == "C") is None
