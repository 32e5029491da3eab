"""Test that tasks run in worker processes, which may die, hang, or use too much memory, without harm to other users."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from common.errors import InputError
from page.pool import PoolOptions, WorkerPool
from page.task import Owner, internal_error, memory_error, no_space_error, time_limit_error
from tests.paths import ROOT

from . import fake_tasks

ORPHAN_SCRIPT = """
import os, sys, time
from pathlib import Path
from page import worker
from page.pool import WorkerPool
from tests.page import fake_tasks
worker.PRELOADED_MODULES = ()   # Its import takes some time.
if __name__ == "__main__":
    pool, never = WorkerPool(), Path(sys.argv[1])
    pool.submit(fake_tasks.compute_until, never)
    while not never.with_suffix(".started").exists():
        time.sleep(0.01)
    print(*pool.pids, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def pool():
    pool = WorkerPool(PoolOptions(max_queued=3))
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def two_workers():
    """Return a pool of two worker processes, in which a task is slow after 0.1 s and can be interrupted."""
    pool = WorkerPool(PoolOptions(num_workers=2, slice_s=0.1, by_signal=True, cancel_timeout_s=2))
    pool.start()
    wait_until(lambda: len(pool.pids) == 2)
    yield pool
    pool.close()


def outcome(task, timeout_s=60):
    """Wait for the end of a task and return its state and result."""
    assert task.ended.wait(timeout_s)
    return task.state, task.result


def error_of(task):
    assert outcome(task) == ("failed", None)
    return task.error.path, task.error.problem, task.error.hint


def parts(error):
    return error.path, error.problem, error.hint


def wait_until(condition, timeout_s=60):
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def is_running(pid):
    """Return True if a process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_tasks_run_in_order_and_know_their_position(pool, tmp_path):
    first, second, third = (pool.submit(fake_tasks.wait_for, tmp_path / name) for name in "abc")
    wait_until(lambda: first.state == "running" and first.progress == 0.25)
    assert [pool.num_before(task) for task in (first, second, third)] == [0, 1, 2]
    assert second.state == "queued"
    pool.submit(fake_tasks.double, 1)
    with pytest.raises(InputError, match="3 others are waiting"):
        pool.submit(fake_tasks.double, 1)
    (tmp_path / "a").touch()
    state, pid = outcome(first)
    assert state == "done"
    assert pid != os.getpid()
    wait_until(lambda: second.state == "running")
    assert [pool.num_before(task) for task in (second, third)] == [0, 1]
    for name in "bc":
        (tmp_path / name).touch()
    assert outcome(third) == ("done", pid)   # All tasks run in the same process.


def test_a_canceled_task_ends_and_the_process_stays(pool, tmp_path):
    running = pool.submit(fake_tasks.wait_for, tmp_path / "never")
    queued = pool.submit(fake_tasks.double, 4)
    wait_until(lambda: running.state == "running")
    pids = pool.pids
    queued.cancel()
    running.cancel()
    assert outcome(running) == ("canceled", None)
    assert outcome(queued) == ("canceled", None)
    assert outcome(pool.submit(fake_tasks.double, 4)) == ("done", 8)
    assert pool.pids == pids


@pytest.mark.parametrize("function, error", [
    pytest.param(fake_tasks.raise_input_error, InputError("/folder/a.mp4", "a mistake of the user", "correct it"),
                 id="input error"),
    pytest.param(fake_tasks.raise_program_error, internal_error(), id="exception"),
    pytest.param(fake_tasks.raise_memory_error, memory_error(), id="memory"),
    pytest.param(fake_tasks.fill_disk, no_space_error(), id="full disk"),
    pytest.param(lambda report_progress: None, internal_error(), id="not sendable"),
    pytest.param(fake_tasks.kill_itself, internal_error(), id="crash")])
def test_an_error_or_a_crash_costs_one_task_only(pool, function, error):
    broken, next_task = pool.submit(function), pool.submit(fake_tasks.double, 21)
    assert error_of(broken) == parts(error)
    assert outcome(next_task) == ("done", 42)


def test_a_process_that_dies_between_two_tasks_costs_none(pool):
    assert outcome(pool.submit(fake_tasks.double, 1)) == ("done", 2)
    pid, = pool.pids
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not pool.pids)
    assert not is_running(pid)
    assert outcome(pool.submit(fake_tasks.double, 2)) == ("done", 4)


def test_a_silent_task_is_ended():
    pool = WorkerPool(PoolOptions(silence_timeout_s=0.3))
    try:
        silent, next_task = pool.submit(fake_tasks.sleep), pool.submit(fake_tasks.double, 2)
        assert error_of(silent) == parts(internal_error())
        assert outcome(next_task) == ("done", 4)
    finally:
        pool.close()


def test_a_task_that_takes_too_long_or_too_much_memory_is_ended(tmp_path):
    pool = WorkerPool(PoolOptions(time_limit_s=0.2, by_signal=True))
    try:
        assert error_of(pool.submit(fake_tasks.compute_until, tmp_path / "never")) == parts(time_limit_error(0.2))
        assert outcome(pool.submit(fake_tasks.double, 2)) == ("done", 4)
    finally:
        pool.close()
    pool = WorkerPool(PoolOptions(max_bytes=600_000_000))
    try:
        assert outcome(pool.submit(fake_tasks.double, 2)) == ("done", 4)
        assert error_of(pool.submit(fake_tasks.allocate, 700_000_000)) == (
            None, "this needs too much memory, and the limit is 600 MB", "use a shorter video or fewer subtitles")
        assert outcome(pool.submit(fake_tasks.double, 2)) == ("done", 4)
    finally:
        pool.close()


def test_an_import_is_completed_before_its_task_is_interrupted(tmp_path):
    """After an interrupted import of a package, Python does not bind the submodules that were already imported."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package/part.py").write_text("value = 3\n")
    (tmp_path / "package/__init__.py").write_text(
        "from .part import value\nimport pathlib, time\n"
        f"pathlib.Path({str(tmp_path / 'started')!r}).touch()\n"
        "for _ in range(50):\n    time.sleep(0.01)\n")
    pool = WorkerPool(PoolOptions(by_signal=True, cancel_timeout_s=20))
    try:
        task = pool.submit(fake_tasks.import_module, tmp_path, "package", "part.value")
        wait_until(lambda: (tmp_path / "started").exists())
        task.cancel()
        task.ended.wait(60)
        assert outcome(pool.submit(fake_tasks.import_module, tmp_path, "package", "part.value")) == ("done", 3)
        endless = pool.submit(fake_tasks.compute_until, tmp_path / "never")   # Later tasks can still be interrupted.
        wait_until(lambda: (tmp_path / "never.started").exists())
        endless.cancel()
        assert outcome(endless)[0] == "canceled"
    finally:
        pool.close()


def test_a_process_that_keeps_much_memory_is_replaced():
    pool = WorkerPool(PoolOptions(retained_bytes=100_000_000))
    try:
        pids = [outcome(pool.submit(fake_tasks.leak, size))[1] for size in (1_000_000, 150_000_000, 1_000_000)]
    finally:
        pool.close()
    assert pids[0] == pids[1] != pids[2]
    assert not is_running(pids[0])


def test_a_computation_is_interrupted_by_its_cancellation(two_workers, tmp_path):
    pids = two_workers.pids
    task = two_workers.submit(fake_tasks.compute_until, tmp_path / "never")
    wait_until((tmp_path / "never.started").exists)
    task.cancel()
    assert outcome(task) == ("canceled", None)
    assert [outcome(two_workers.submit(fake_tasks.double, n)) for n in range(4)] == [("done", 2 * n) for n in range(4)]
    assert two_workers.pids == pids


def test_a_computation_that_ignores_its_cancellation_is_killed(two_workers, tmp_path):
    pids = two_workers.pids
    task = two_workers.submit(fake_tasks.compute_stubbornly, tmp_path / "never")
    wait_until((tmp_path / "never.started").exists)
    task.cancel()
    assert outcome(task) == ("canceled", None)
    wait_until(lambda: len(two_workers.pids) == 2)
    assert len(set(two_workers.pids) & set(pids)) == 1


def test_slow_tasks_leave_one_process_to_the_others(two_workers, tmp_path):
    pids = two_workers.pids
    slow = [two_workers.submit(fake_tasks.compute_until, tmp_path / f"slow-{n}", owner=Owner("a", f"slow-{n}"))
            for n in range(4)]
    light = [two_workers.submit(fake_tasks.double, n, owner=Owner("b", "light")) for n in range(5)]
    assert [outcome(task) for task in light] == [("done", 2 * n) for n in range(5)]
    later = [outcome(two_workers.submit(fake_tasks.double, n, owner=Owner("b", "light"))) for n in range(5)]
    assert later == [("done", 2 * n) for n in range(5)]
    assert not any(task.ended.is_set() for task in slow)
    wait_until(lambda: sorted(task.state for task in slow) == ["queued", "queued", "queued", "running"])
    assert all(task.is_slow for task in slow)
    assert two_workers.pids == pids   # They were interrupted, not killed.
    for n in range(4):
        (tmp_path / f"slow-{n}").touch()
    assert {outcome(task)[0] for task in slow} == {"done"}


def test_a_session_runs_one_task_at_a_time(two_workers, tmp_path):
    first = two_workers.submit(fake_tasks.compute_until, tmp_path / "first", owner=Owner("a", "one"))
    second = two_workers.submit(fake_tasks.double, 1, owner=Owner("a", "one"))
    other = two_workers.submit(fake_tasks.double, 2, owner=Owner("a", "two"))
    assert outcome(other) == ("done", 4)
    assert second.state == "queued"
    (tmp_path / "first").touch()
    assert outcome(second) == ("done", 2)
    assert outcome(first)[0] == "done"


def test_the_tasks_of_a_session_and_of_a_client_are_limited(tmp_path):
    pool = WorkerPool(PoolOptions(max_queued=6, max_per_session=2))
    try:
        running = pool.submit(fake_tasks.wait_for, tmp_path / "never", owner=Owner("a", "0"))
        wait_until(lambda: running.state == "running")
        pool.submit(fake_tasks.double, 1, owner=Owner("a", "0"))
        with pytest.raises(InputError, match=re.escape("2 requests for this video are not finished yet; wait for one")):
            pool.submit(fake_tasks.double, 1, owner=Owner("a", "0"))
        pool.submit(fake_tasks.double, 1, owner=Owner("a", "1"))
        pool.submit(fake_tasks.double, 1, owner=Owner("a", "2"))
        with pytest.raises(InputError, match="the server is busy, 3 requests from your network are waiting already"):
            pool.submit(fake_tasks.double, 1, owner=Owner("a", "3"))
        for session in "34":
            pool.submit(fake_tasks.double, 1, owner=Owner(session, session))
        with pytest.raises(InputError, match="the server is busy, 3 requests from your network"):
            pool.submit(fake_tasks.double, 1, owner=Owner("a", "5"))
        pool.submit(fake_tasks.double, 1, owner=Owner("c", "6"))
        with pytest.raises(InputError, match="the server is busy, 6 others are waiting already"):
            pool.submit(fake_tasks.double, 1, owner=Owner("d", "7"))
    finally:
        pool.close()


def test_a_process_that_cannot_be_prepared_is_reported():
    pool = WorkerPool(PoolOptions(prepare=fake_tasks.fail_to_prepare))
    try:
        pool.start()
        with pytest.raises(InputError, match="the model is missing; install it"):
            pool.wait_until_started()
        assert error_of(pool.submit(fake_tasks.double, 1)) == (None, "the model is missing", "install it")
    finally:
        pool.close()


def test_closing_ends_the_processes(tmp_path):
    pool = WorkerPool()
    tasks = [pool.submit(fake_tasks.compute_until, tmp_path / "never"), pool.submit(fake_tasks.double, 1)]
    wait_until((tmp_path / "never.started").exists)
    pid, = pool.pids
    pool.close()
    assert [outcome(task) for task in tasks] == [("canceled", None)] * 2
    assert not is_running(pid)


def test_a_killed_server_leaves_no_process(tmp_path):
    script = tmp_path / "server.py"
    script.write_text(ORPHAN_SCRIPT)
    server = subprocess.Popen([sys.executable, script, tmp_path / "never"], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONPATH": str(ROOT)})
    pid = int(server.stdout.readline())
    assert is_running(pid)
    server.kill()
    server.wait()
    wait_until(lambda: not is_running(pid))
