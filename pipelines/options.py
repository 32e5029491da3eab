"""Checks of what is asked; quick, so that a mistake shows before anything heavy is loaded."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from numbers import Real

from common.errors import InputError

from .timecode import parse_duration

MODES = ("summary", "moments", "shorts")
NUMBER = r"\d+(?:\.\d+)?"
RANGE = re.compile(rf"({NUMBER})(?:s)?\s*-\s*({NUMBER})s?", re.IGNORECASE)
LEAST_ROOM_S = 4   # between a short's least and greatest length: shots and words end where they end


def check_budget(budget: float | timedelta | str) -> float | timedelta:
    """Returns the budget: a share of the video, or a time.

    Args:
        budget: a number or a `timedelta`; or a text as `parse_budget` reads.

    Raises:
        InputError: neither a number in (0, 1] nor a time over 0.
    """
    if isinstance(budget, str):
        return parse_budget(budget)
    if isinstance(budget, timedelta):
        if budget <= timedelta(0):
            raise InputError(f"budget {budget} is no time to fill; give more than 0 s, e.g. 60s")
        return budget
    if not isinstance(budget, Real) or not math.isfinite(budget) or not 0 < budget <= 1:
        raise InputError(f"budget {budget} is not a share of the video; give more than 0 and at most 1, "
                         "e.g. 0.15, or a time, e.g. 60s or 1m30s")
    return float(budget)


def parse_budget(text: str) -> float | timedelta:
    """Reads a budget as people write it: 0.15, 15%, 60s, 1m30s, 1h.

    Raises:
        InputError: none of these, or out of range.
    """
    plain = text.strip()
    duration = parse_duration(plain)
    if duration is not None:
        return check_budget(duration)
    try:
        share = float(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)
    except ValueError:
        raise InputError(f"budget {text!r} is neither a share nor a time; write e.g. 0.15, 15%, 60s or 1m30s") from None
    return check_budget(share)


def budget_share(budget: float | timedelta | str, duration_s: Fraction) -> Fraction:
    """The budget as a share in (0, 1] of a video that lasts so long; a longer time is the whole video.

    Raises:
        InputError: as `check_budget`.
    """
    budget = check_budget(budget)
    if isinstance(budget, timedelta):
        return min(Fraction(1), Fraction(budget // timedelta(microseconds=1), 10**6) / duration_s)
    return Fraction(budget).limit_denominator(10**6)


def check_mode(mode: str) -> str:
    """Returns the mode; an InputError for one that does not exist."""
    if mode not in MODES:
        raise InputError(f"mode {mode!r} does not exist; choose {', '.join(MODES[:-1])} or {MODES[-1]}")
    return mode


@dataclass(frozen=True)
class Shorts:
    """How many short pieces are wanted, and how long: [shortest_s, longest_s], both ends included.

    `settled`: whether asking looks into the film for their exact ends, which takes seconds; else they are exact to a
    clip until `pipelines.export.plan.with_refined_shorts`.

    Raises:
        InputError: no piece, or lengths that leave no room for whole shots and words.
    """

    count: int = 3
    shortest_s: Fraction = Fraction(15)
    longest_s: Fraction = Fraction(60)
    settled: bool = True

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"{self.count} shorts are none; ask for at least 1")
        if self.shortest_s <= 0 or self.longest_s - self.shortest_s < LEAST_ROOM_S:
            raise InputError(f"shorts of {float(self.shortest_s):g} to {float(self.longest_s):g} s: the greatest "
                             f"length must be at least {LEAST_ROOM_S} s over the least, and that over 0; e.g. 15-60")

    @property
    def lengths(self) -> str:
        """As a reader knows it: 15-60 s."""
        return f"{float(self.shortest_s):g}-{float(self.longest_s):g} s"


def parse_shorts(count: int, length: str) -> Shorts:
    """Reads a range of seconds such as 15-60 or 15s-60s.

    Raises:
        InputError: no such range, or as `Shorts`.
    """
    match = RANGE.fullmatch(length.strip())
    if match is None:
        raise InputError(f"length {length!r} is no range of seconds; write e.g. 15-60")
    return Shorts(count, *map(Fraction, match.groups()))
