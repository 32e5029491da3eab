"""Tasks for the worker processes of a `WorkerPool`."""

import errno
import importlib
import os
import signal
import sys
import time
from operator import attrgetter
from pathlib import Path

from common.errors import InputError


def double(number, report_progress):
    report_progress(0.5)
    return 2 * number


def raise_input_error(report_progress):
    raise InputError("/folder/a.mp4", "a mistake of the user", "correct it")


def raise_program_error(report_progress):
    raise ZeroDivisionError("a mistake of the program")


def kill_itself(report_progress):
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(report_progress):
    time.sleep(60)


def wait_for(path: Path, report_progress):
    """Wait until a file exists; `report_progress` ends the task if it is canceled."""
    while not path.exists():
        report_progress(0.25)
        time.sleep(0.01)
    return os.getpid()


def compute_until(path: Path, report_progress):
    """Compute until a file exists; only a signal can interrupt it."""
    path.with_suffix(".started").touch()
    while not path.exists():
        sum(range(1000))
        time.sleep(0.001)   # Other processes can run, whatever the scheduling policy.
    return os.getpid()


def import_module(folder: Path, name: str, attribute: str, report_progress):
    """Import a module of a folder, and return one of its attributes."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return attrgetter(attribute)(importlib.import_module(name))


def compute_stubbornly(path: Path, report_progress):
    """Compute until a file exists, and ignore every interruption."""
    while not path.exists():
        try:
            compute_until(path, report_progress)
        except BaseException:
            continue


def allocate(num_bytes, report_progress):
    """Use memory until the task is ended."""
    used = b"x" * num_bytes
    time.sleep(60)
    return len(used)


def raise_memory_error(report_progress):
    raise MemoryError


def fill_disk(report_progress):
    raise OSError(errno.ENOSPC, "No space left on device")


def leak(num_bytes, report_progress):
    """Keep memory after the end of the task."""
    kept.append(b"x" * num_bytes)
    return os.getpid()


kept: list[bytes] = []


def fail_to_prepare():
    raise InputError(None, "the model is missing", "install it")

