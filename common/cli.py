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
    """Parse a command line in which file names may begin with `-`, as the expansion of `*.mp4` can produce them.

    An argument that begins with `-`, is not an option of the parser, and is the path of an existing file is a file.

    Args:
        parser: the parser of the command.
        argv: the arguments; None for those of this process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = list(parser._option_string_actions)

    def is_file(argument: str) -> bool:
        name = argument.partition("=")[0]
        is_option = any(name == option or (len(name) > 2 and option.startswith(name)) for option in options)
        return argument.startswith("-") and not is_option and os.path.exists(argument)

    return parser.parse_args([f"./{a}" if is_file(a) else a for a in arguments[:end]] + arguments[end:])
