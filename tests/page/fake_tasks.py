"""Tasks for the child process of a `WorkerProcess`."""

import os
import signal
import time
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
