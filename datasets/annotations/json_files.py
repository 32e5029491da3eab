"""Read JSON and JSON Lines files, and report the line number of each error."""

from __future__ import annotations

import json
import os
from pathlib import Path

from common.errors import InputError
from datasets.errors import LineError, raise_errors


def read_json(path: str | os.PathLike) -> dict:
    """Read a JSON object.

    Raises:
        InputError: the file does not exist, is not JSON, or does not contain an object.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as err:
        raise InputError(path, "no such file", "specify a JSON file") from err
    except (OSError, UnicodeDecodeError, ValueError) as err:
        raise InputError(path, f"cannot be read as JSON ({err})") from err
    if not isinstance(value, dict):
        raise InputError(path, f"contains a JSON {type(value).__name__}, not an object")
    return value


def read_jsonl(path: str | os.PathLike) -> list[dict]:
    """Read a JSON Lines file; empty lines are ignored.

    Raises:
        InputError: the file does not exist, or some lines are not JSON objects; the error lists their numbers.
    """
    objects, errors = parse_jsonl(path)
    raise_errors(path, errors)
    return [entry for _, entry in objects]


def parse_jsonl(path: str | os.PathLike) -> tuple[list[tuple[int, dict]], list[LineError]]:
    """Read a JSON Lines file, and collect the errors of invalid lines instead of raising them.

    Returns:
        The line number, from 1, and the object of each valid line; and the errors of the other lines.

    Raises:
        InputError: the file does not exist or is not UTF-8 text.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file", "specify a JSON Lines file")
    objects, errors = [], []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")   # `splitlines` would also split at U+2028 in strings.
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
        except (RecursionError, ValueError):   # Python limits the nesting depth and the digits of a number.
            errors.append(LineError(number, "cannot be parsed: nested too deeply, or a number has too many digits"))
    return objects, errors
