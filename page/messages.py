"""Errors as sentences for the users of the page and its API."""

from __future__ import annotations

from pathlib import Path

from common.errors import InputError


def error_text(err: InputError) -> str:
    """Return an error as complete sentences, e.g. "This file is empty (0 bytes). Copy it again."

    A file is shown by its name only, since users must not see the folders of the server.
    """
    sentences = [_sentence(part) for part in (err.problem, err.hint) if part]
    name = "" if err.path is None else f"{Path(err.path).name}: "
    return name + " ".join(sentences)


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
