"""JSON objects, and JSON lines with line numbers for error messages."""

from __future__ import annotations

import json
import os
from pathlib import Path

from common.errors import InputError
from datasets.errors import LineError, raise_errors


def read_json(path: str | os.PathLike) -> dict:
    """Read a JSON object.

    Raises:
        InputError: the file does not exist, is not JSON, or contains another type than an object.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as err:
        raise InputError(path, "no such file", "name a JSON file") from err
    except (OSError, UnicodeDecodeError, ValueError) as err:
        raise InputError(path, f"cannot be read as JSON ({err})") from err
    if not isinstance(value, dict):
        raise InputError(path, f"contains a JSON {type(value).__name__}, not an object")
    return value


def read_jsonl(path: str | os.PathLike) -> list[dict]:
    """Read JSON lines; empty lines are ignored.

    Raises:
        InputError: the file does not exist, or some lines are not JSON objects; lists them by number.
    """
    objects, errors = parse_jsonl(path)
    raise_errors(path, errors)
    return [entry for _, entry in objects]


def parse_jsonl(path: str | os.PathLike) -> tuple[list[tuple[int, dict]], list[LineError]]:
    """Read JSON lines, and collect the errors of invalid lines.

    Returns:
        The objects, each with its line number from 1; and the errors.

    Raises:
        InputError: the file does not exist or is not text.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file", "name a file of JSON lines")
    objects, errors = [], []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")   # str.splitlines also splits at U+2028 in strings.
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(path, f"cannot be read as text ({err})", "save it as UTF-8") from err
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            if isinstance(entry, dict):
                objects.append((number, entry))
            else:
                errors.append(LineError(number, f"not a JSON object but {line.strip()[:40]!r}"))
        except json.JSONDecodeError as err:
            errors.append(LineError(number, f"not JSON ({err.msg} at column {err.colno})"))
        except (RecursionError, ValueError):   # Deep nesting, or a number of thousands of digits.
            errors.append(LineError(number, "not JSON that can be parsed: nested too deeply, or a number is too long"))
    return objects, errors
