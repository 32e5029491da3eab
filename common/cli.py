"""Command-line helpers: argument parsing, and the translation of errors into exit statuses."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence

from .errors import InputError

EXIT_INVALID_INPUT = 2
EXIT_INTERRUPTED = 130


def run(command: Callable[[], int | None], *, interrupted: str = "Interrupted.") -> int:
    """Run a command and return its exit status; invalid input prints one line instead of a traceback.

    SIGTERM, which a scheduler or service manager sends, interrupts the command like Ctrl-C.

    Args:
        command: returns an exit status, or None for success.
        interrupted: printed on stderr if the command is interrupted.

    Returns:
        The command's exit status; 2 after an `InputError` or `OSError`, 130 after an interruption.
    """
    handler_before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return command() or 0
    except (InputError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return EXIT_INVALID_INPUT
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, handler_before)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses a command line in which the name of a file may begin with `-`, as a pattern such as *.mp4 gives it.

    Args:
        argv: None for that of the process.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    end = given.index("--") if "--" in given else len(given)
    options = list(parser._option_string_actions)

    def is_file(word: str) -> bool:
        name = word.partition("=")[0]
        is_option = any(name == known or (len(name) > 2 and known.startswith(name)) for known in options)
        return word.startswith("-") and not is_option and os.path.exists(word)

    return parser.parse_args([f"./{word}" if is_file(word) else word for word in given[:end]] + given[end:])
