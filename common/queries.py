"""Validate text queries and their ids."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from .errors import InputError

SHOWN_CHARACTERS = 40   # An error message quotes this much of an invalid query.
MAX_QUERY_CHARACTERS = 10_000


def check_queries(queries: str | Sequence[str]) -> tuple[str, ...]:
    """Return the queries without leading and trailing whitespace.

    Args:
        queries: any number of queries; a single string counts as one query.

    Raises:
        InputError: a query is empty, not a string, not valid Unicode, or longer than 10,000 characters.
    """
    checked = check_texts(queries)
    for number, query in enumerate(checked, start=1):
        check_query_length(query, f"query {number}")
    return checked


def check_query_length(query: str, name: str) -> None:
    """Check that a query is not longer than 10,000 characters; `name` is its name in the error.

    Raises:
        InputError: it is longer. A model would need minutes and gigabytes for it.
    """
    if len(query) > MAX_QUERY_CHARACTERS:
        raise InputError(None, f"{name} has {len(query):,} characters, and the limit is {MAX_QUERY_CHARACTERS:,} "
                         f"({query[:SHOWN_CHARACTERS]!r}...)", "describe what to look for in a sentence")


def check_texts(texts: str | Sequence[str]) -> tuple[str, ...]:
    """Return texts of any length without leading and trailing whitespace.

    Args:
        texts: any number of texts; a single string counts as one text.

    Raises:
        InputError: a text is empty, not a string, or not valid Unicode.
    """
    checked = []
    for number, text in enumerate([texts] if isinstance(texts, str) else texts, start=1):
        if not isinstance(text, str) or not text.strip():
            raise InputError(None, f"query {number} is empty ({text!r})",
                             "describe what to look for, or omit all queries for a summary by importance and novelty")
        if any("\ud800" <= c <= "\udfff" for c in text):   # Python represents undecodable bytes as lone surrogates.
            raise InputError(None, f"query {number} is not valid UTF-8 ({text[:SHOWN_CHARACTERS]!r})",
                             "check the encoding of your terminal")
        checked.append(text.strip())
    return tuple(checked)


def normalize_id(value: object) -> str | None:
    """Return the id of a query or video as text, so that 7, "7" and 7.0 are equal; None for other types.

    Numbers with a fraction are no ids. JSON files that pandas wrote may contain 7.0.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    try:
        return value if isinstance(value, str) else str(operator.index(value))   # type: ignore[arg-type]
    except TypeError:   # It is no integer, neither of Python nor of NumPy.
        return None
