"""Checks of sentences that people give."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import InputError


def check_queries(texts: Sequence[str]) -> tuple[str, ...]:
    """The sentences without the spaces around them; a single string counts as one sentence.

    Raises:
        InputError: a sentence that is empty, is not text or is not valid Unicode.
    """
    checked = []
    for number, text in enumerate([texts] if isinstance(texts, str) else texts, start=1):
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"sentence {number} is empty ({text!r}); write what to look for, or leave it "
                             "out for a summary of what stands out")
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise InputError(f"sentence {number} is not valid UTF-8 ({text[:40]!r}); check the terminal's "
                             "encoding")
        checked.append(text.strip())
    return tuple(checked)
