"""Test that tasks run one at a time, in a process that may die."""

import os
import signal
import time

import pytest

from common.errors import InputError
from page.worker import WorkerProcess, internal_error

from . import fake_tasks


@pytest.fixture(scope="module")
def worker():
    worker = WorkerProcess(max_queued=3)
    yield worker
    worker.close()


def outcome(task, timeout_s=60):
    """Wait for the end of a task and return its state and result."""
    assert task.ended.wait(timeout_s)
    return task.state, task.result


def wait_until(condition, timeout_s=60):
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_tasks_run_in_order_and_know_their_position(worker, tmp_path):
    first, second, third = (worker.submit(fake_tasks.wait_for, tmp_path / name) for name in "abc")
    wait_until(lambda: first.state == "running" and first.progress == 0.25)
    assert [worker.num_before(task) for task in (first, second, third)] == [0, 1, 2]
    assert second.state == "queued"
    worker.submit(fake_tasks.double, 1)
    with pytest.raises(InputError, match="3 others are waiting"):
        worker.submit(fake_tasks.double, 1)
    (tmp_path / "a").touch()
    state, pid = outcome(first)
    assert state == "done"
    assert pid != os.getpid()
    wait_until(lambda: second.state == "running")
    assert [worker.num_before(task) for task in (second, third)] == [0, 1]
    for name in "bc":
        (tmp_path / name).touch()
    assert outcome(third) == ("done", pid)   # All tasks run in the same process.


def test_a_canceled_task_ends_and_the_process_stays(worker, tmp_path):
    running = worker.submit(fake_tasks.wait_for, tmp_path / "never")
    queued = worker.submit(fake_tasks.double, 4)
    wait_until(lambda: running.state == "running")
    queued.cancel()
    running.cancel()
    assert outcome(running) == ("canceled", None)
    assert outcome(queued) == ("canceled", None)
    assert outcome(worker.submit(fake_tasks.double, 4)) == ("done", 8)


@pytest.mark.parametrize("function, error", [
    pytest.param(fake_tasks.raise_input_error, InputError("/folder/a.mp4", "a mistake of the user", "correct it"),
                 id="input error"),
    pytest.param(fake_tasks.raise_program_error, internal_error(), id="exception"),
    pytest.param(fake_tasks.kill_itself, internal_error(), id="crash")])
def test_an_error_or_a_crash_costs_one_task_only(worker, function, error):
    broken, next_task = worker.submit(function), worker.submit(fake_tasks.double, 21)
    assert outcome(broken) == ("failed", None)
    assert (broken.error.path, broken.error.problem, broken.error.hint) == (error.path, error.problem, error.hint)
    assert outcome(next_task) == ("done", 42)


def test_a_process_that_dies_between_two_tasks_costs_none(worker):
    assert outcome(worker.submit(fake_tasks.double, 1)) == ("done", 2)
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: worker.pid is None)
    assert outcome(worker.submit(fake_tasks.double, 2)) == ("done", 4)


def test_a_silent_task_is_ended():
    worker = WorkerProcess()
    try:
        assert outcome(worker.submit(fake_tasks.double, 1)) == ("done", 2)
        worker.silence_timeout_s = 0.3
        silent = worker.submit(fake_tasks.sleep)
        assert outcome(silent) == ("failed", None)
        assert str(silent.error) == str(internal_error())
        worker.silence_timeout_s = 60
        assert outcome(worker.submit(fake_tasks.double, 2)) == ("done", 4)
    finally:
        worker.close()


def test_closing_ends_the_process(tmp_path):
    worker = WorkerProcess()
    task = worker.submit(fake_tasks.wait_for, tmp_path / "never")
    wait_until(lambda: task.state == "running")
    pid = worker.pid
    worker.close()
    assert task.ended.wait(10)
    assert task.state == "canceled"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
