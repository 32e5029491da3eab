"""Errors as sentences for the users of the page and its API."""

from __future__ import annotations

from pathlib import Path

from common.errors import InputError


def error_text(err: InputError) -> str:
    """Return an error as complete sentences.

    An example is "This file is empty (0 bytes). Copy it again." A file is shown by its name only, since users must
    not see the folders of the server.
    """
    problem = _capitalize(err.problem) if err.path is None else f"{Path(err.path).name}: {err.problem}"
    return " ".join(_end(part) for part in (problem, _capitalize(err.hint)) if part)


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def _end(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
