"""Jobs for the child process of a workshop."""

import os
import signal
import time
from pathlib import Path

from common.errors import InputError


def double(number, told):
    told(0.5)
    return 2 * number


def fail(told):
    raise InputError("a fault of the user")


def break_down(told):
    raise ZeroDivisionError("a fault of the program")


def die(told):
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(told):
    time.sleep(60)


def wait_for(path: Path, told):
    """Until the file is there; told to stop it stops."""
    while not path.exists():
        told(0.25)
        time.sleep(0.01)
    return os.getpid()
