"""One job at a time, in a process that may die."""

import os
import time

import pytest

from common.errors import InputError
from page.worker import FAULT, Workshop

from . import fake_tasks as jobs


@pytest.fixture(scope="module")
def shop():
    shop = Workshop(most_waiting=3)
    yield shop
    shop.close()


def ended(work, timeout_s=60):
    assert work.ended.wait(timeout_s)
    return work.state, work.result


def until(condition, timeout_s=60):
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_jobs_are_done_in_turn_and_know_their_place(shop, tmp_path):
    first, second, third = (shop.submit(jobs.wait_for, tmp_path / name) for name in "abc")
    until(lambda: first.state == "working" and first.share == 0.25)
    assert [shop.place(work) for work in (first, second, third)] == [0, 1, 2] and second.state == "waiting"
    shop.submit(jobs.double, 1)
    with pytest.raises(InputError, match="3 others are waiting"):
        shop.submit(jobs.double, 1)
    (tmp_path / "a").touch()
    state, process = ended(first)
    assert state == "done" and process != os.getpid()
    until(lambda: second.state == "working")
    assert [shop.place(work) for work in (second, third)] == [0, 1]
    for name in "bc":
        (tmp_path / name).touch()
    assert ended(third) == ("done", process)   # one process for all


def test_what_is_not_wanted_any_more_ends_and_the_process_stays(shop, tmp_path):
    running, waiting = shop.submit(jobs.wait_for, tmp_path / "never"), shop.submit(jobs.double, 4)
    until(lambda: running.state == "working")
    waiting.stop()
    running.stop()
    assert ended(running) == ("stopped", None) and ended(waiting) == ("stopped", None)
    assert ended(shop.submit(jobs.double, 4)) == ("done", 8)


@pytest.mark.parametrize("job, message", [(jobs.fail, "a fault of the user"), (jobs.break_down, FAULT), (jobs.die, FAULT)])
def test_a_fault_or_a_crash_costs_one_job_only(shop, job, message):
    broken, next_one = shop.submit(job), shop.submit(jobs.double, 21)
    assert ended(broken) == ("failed", None) and broken.error == message
    assert ended(next_one) == ("done", 42)


def test_a_process_that_dies_between_two_jobs_costs_none(shop):
    assert ended(shop.submit(jobs.double, 1)) == ("done", 2)
    shop._child.kill()
    shop._child.join()
    assert ended(shop.submit(jobs.double, 2)) == ("done", 4)


def test_a_job_that_says_nothing_is_ended():
    shop = Workshop()
    try:
        assert ended(shop.submit(jobs.double, 1)) == ("done", 2)
        shop.silence_s = 0.3
        silent = shop.submit(jobs.sleep)
        assert ended(silent) == ("failed", None) and silent.error == FAULT
        shop.silence_s = 60
        assert ended(shop.submit(jobs.double, 2)) == ("done", 4)
    finally:
        shop.close()


def test_closing_ends_the_process(tmp_path):
    shop = Workshop()
    work = shop.submit(jobs.wait_for, tmp_path / "never")
    until(lambda: work.state == "working")
    child = shop._child
    shop.close()
    assert work.ended.wait(10) and work.state == "stopped" and not child.is_alive()
