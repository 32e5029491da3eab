"""Command lines whose files may be called anything."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence


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
