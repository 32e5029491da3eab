"""Checks of what is asked; quick, so that a mistake shows before anything heavy is loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

from common.errors import InputError


def check_texts(texts: Sequence[str]) -> tuple[str, ...]:
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


def check_budget(budget: float) -> float:
    """Returns the budget, a share of the video.

    Raises:
        InputError: not a number in (0, 1].
    """
    if not isinstance(budget, Real) or not math.isfinite(budget) or not 0 < budget <= 1:
        raise InputError(f"budget {budget} is not a share of the video; give more than 0 and at most 1, "
                         "e.g. 0.15")
    return float(budget)
