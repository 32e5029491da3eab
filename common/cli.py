"""Command-line helpers: argument parsing, and the translation of errors into exit statuses."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from .build import suggest_value
from .errors import InputError, disk_error

EXIT_INVALID_INPUT = 2
EXIT_INTERRUPTED = 130
NEGATIVE_NUMBER = re.compile(r"-\d+|-\d*\.\d+")   # As argparse defines it: a value, not an option.
# Options of similar programs, with the names that they have here.
SYNONYMS = {
    "--query": "--text", "--queries": "--text", "--prompt": "--text", "--sentence": "--text", "--sentences": "--text",
    "-o": "--out", "--output": "--out", "--weights": "--checkpoint", "--ckpt": "--checkpoint", "--srt": "--subtitles",
    "--duration": "--budget", "--force": "--overwrite"}


def run(command: Callable[[], int | None], *, interrupted: str | Callable[[], str] = "Interrupted.") -> int:
    """Run a command and return its exit status; invalid input prints one line instead of a traceback.

    SIGTERM, which a scheduler or service manager sends, interrupts the command like Ctrl-C.

    Args:
        command: returns an exit status, or None for success.
        interrupted: printed on stderr if the command is interrupted; a function is called for the text.

    Returns:
        The command's exit status; 2 after an `InputError` or `OSError`, 130 after an interruption.
    """
    handler_before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return command() or 0
    except (InputError, OSError) as err:
        print(f"error: {describe_error(err)}", file=sys.stderr)
        return EXIT_INVALID_INPUT
    except KeyboardInterrupt:
        print(interrupted if isinstance(interrupted, str) else interrupted(), file=sys.stderr)
        return EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, handler_before)


def describe_error(err: InputError | OSError) -> str:
    """Return the message of an error as one line, without the number of an `OSError`."""
    if not isinstance(err, OSError):
        return str(err)
    full_disk = disk_error(err)
    if full_disk is not None:
        return str(full_disk)
    return str(err) if err.filename is None or not err.strerror else f"{err.filename}: {err.strerror}"


class ArgumentParser(argparse.ArgumentParser):
    """An argparse parser that suggests the most similar option, choice or subcommand for an unknown one.

    Args:
        **options: arguments of `argparse.ArgumentParser`. By default, the description keeps its line breaks.
    """

    def __init__(self, **options: Any):
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, **options})

    def parse_known_args(self, args: Sequence[str] | None = None,   # type: ignore[override]
                         namespace: Any = None) -> Any:
        """Parse arguments like argparse, after a check that all options are known.

        argparse itself reports missing arguments first, although the unknown option may be a misspelled one of them.
        """
        arguments = list(sys.argv[1:] if args is None else args)
        if self._subparsers is None:   # Otherwise, the options may belong to the subcommand, whose parser checks them.
            self._check_options(arguments)
        return super().parse_known_args(arguments, namespace)

    def _check_options(self, arguments: Sequence[str]) -> None:
        end = arguments.index("--") if "--" in arguments else len(arguments)
        for argument in arguments[:end]:
            name = argument.partition("=")[0]
            # argparse takes an argument with a space for a value, e.g. a text that begins with a dash.
            if name.startswith("-") and name != "-" and " " not in name \
                    and not NEGATIVE_NUMBER.fullmatch(argument) and not is_option(self, argument):
                self.error(f"unknown option {name}; {self._suggested_option(name)}")

    def _suggested_option(self, name: str) -> str:
        options = [option for option, action in self._option_string_actions.items()
                   if option.startswith("--") and action.help != argparse.SUPPRESS]
        synonym = SYNONYMS.get(name.lower().replace("_", "-"))
        similar = [synonym] if synonym in options else difflib.get_close_matches(
            f"--{name.lstrip('-').lower().replace('_', '-')}", options, n=1)
        return f"did you mean {similar[0]}?" if similar else "--help lists all options"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = list(map(str, action.choices))
            raise argparse.ArgumentError(action, f"{value!r} is not a valid choice; {suggest_value(value, choices)}")

    def error(self, message: str) -> NoReturn:
        """Print the error as one line on stderr, and exit with status 2."""
        self.exit(EXIT_INVALID_INPUT, f"error: {message.removeprefix('argument ')}\n")


def is_option(parser: argparse.ArgumentParser, argument: str) -> bool:
    """Return True if an argument is an option of the parser, an abbreviation of one, or an option with its value."""
    name = argument.partition("=")[0]
    options = list(parser._option_string_actions)
    if name in options:
        return True
    if name.startswith("--"):
        return len(name) > 2 and any(option.startswith(name) for option in options)
    return name[:2] in options   # A value may follow a short option immediately, as in `-n3`.


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line in which file names may follow options, or begin with `-`, as `*.mp4` can produce them.

    An argument that begins with `-`, is not an option of the parser, and is the path of an existing file is a file.

    Args:
        parser: the parser of the command.
        argv: the arguments; None for those of this process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    end = arguments.index("--") if "--" in arguments else len(arguments)

    def is_file(argument: str) -> bool:
        return argument.startswith("-") and not is_option(parser, argument) and os.path.exists(argument)

    arguments = [f"./{a}" if is_file(a) else a for a in arguments[:end]] + arguments[end:]
    if "--" in arguments:   # parse_intermixed_args takes what follows for options.
        return parser.parse_args(arguments)
    return parser.parse_intermixed_args(arguments)
