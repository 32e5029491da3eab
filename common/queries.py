"""Validate text queries."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import InputError

SHOWN_CHARACTERS = 40   # An error message quotes this much of an invalid query.


def check_queries(queries: str | Sequence[str]) -> tuple[str, ...]:
    """Return the queries without leading and trailing whitespace.

    Args:
        queries: any number of queries; a single string counts as one query.

    Raises:
        InputError: a query is empty, not a string, or not valid Unicode.
    """
    checked = []
    for number, query in enumerate([queries] if isinstance(queries, str) else queries, start=1):
        if not isinstance(query, str) or not query.strip():
            raise InputError(None, f"query {number} is empty ({query!r})",
                             "describe what to look for, or omit all queries for a summary by importance and novelty")
        if any("\ud800" <= c <= "\udfff" for c in query):   # Python represents undecodable bytes as lone surrogates.
            raise InputError(None, f"query {number} is not valid UTF-8 ({query[:SHOWN_CHARACTERS]!r})",
                             "check the encoding of your terminal")
        checked.append(query.strip())
    return tuple(checked)
