"""Options of a summary: budget, mode and shorts. Checking them loads no heavy library."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from numbers import Real

from common.build import suggest_value
from common.errors import InputError
from common.timecode import parse_duration

MODES = ("summary", "moments", "shorts")
NUMBER = r"\d+(?:\.\d+)?"
RANGE = re.compile(rf"({NUMBER})(?:s)?\s*-\s*({NUMBER})s?", re.IGNORECASE)
MIN_LENGTH_RANGE_S = 4   # Shorts end at shot boundaries and speech pauses, so their length cannot be exact.


def check_budget(budget: float | Fraction | timedelta | str) -> float | timedelta:
    """Return a budget as a share of the video or as a time.

    Args:
        budget: a number, a `timedelta`, or a text for `parse_budget`.

    Raises:
        InputError: the budget is neither a number in (0, 1] nor a time above 0.
    """
    if isinstance(budget, str):
        return parse_budget(budget)
    if isinstance(budget, timedelta):
        if budget <= timedelta(0):
            raise InputError(None, f"budget {budget} is not a positive time", "give more than 0 s, e.g. 60s")
        return budget
    if not isinstance(budget, Real) or not math.isfinite(budget) or not 0 < budget <= 1:
        raise InputError(None, f"budget {budget} is not a share of the video",
                         "give more than 0 and at most 1, e.g. 0.15, or a time, e.g. 60s or 1m30s")
    return float(budget)


def parse_budget(text: str) -> float | timedelta:
    """Parse a budget such as 0.15, 15%, 60s, 1m30s or 1h.

    Raises:
        InputError: the text has another form, or the value is out of range.
    """
    plain = text.strip()
    duration = parse_duration(plain)
    if duration is not None:
        return check_budget(duration)
    try:
        share = float(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)
    except ValueError:
        raise InputError(None, f"budget {text!r} is neither a share nor a time",
                         "write e.g. 0.15, 15%, 60s or 1m30s") from None
    return check_budget(share)


def budget_share(budget: float | timedelta | str, duration_s: Fraction) -> Fraction:
    """Convert a budget to a share in (0, 1] of a video.

    Args:
        budget: see `check_budget`; a time above the duration selects the complete video.
        duration_s: duration of the video in seconds.

    Raises:
        InputError: as in `check_budget`.
    """
    budget = check_budget(budget)
    if isinstance(budget, timedelta):
        return min(Fraction(1), Fraction(budget // timedelta(microseconds=1), 10**6) / duration_s)
    return Fraction(budget).limit_denominator(10**6)


def check_min_budget(budget: float | timedelta | str, clip_len_s: float | Fraction, duration_s: float | Fraction) -> (
        None):
    """Check that a budget given as a time is not shorter than one clip, the shortest piece that a summary can keep.

    A budget given as a share may be shorter, since it applies to videos of any length; then one clip is kept.

    Args:
        budget: see `check_budget`.
        clip_len_s: duration of a clip in seconds.
        duration_s: duration of the video in seconds, which may be shorter than a clip.

    Raises:
        InputError: the budget is shorter than a clip.
    """
    budget = check_budget(budget)
    shortest_s = min(Fraction(clip_len_s), Fraction(duration_s))
    if isinstance(budget, timedelta) and budget // timedelta(microseconds=1) < int(shortest_s * 10**6):
        shortest = f"{float(shortest_s):.6g}"
        raise InputError(None, f"budget {budget.total_seconds():g} s is shorter than one clip ({shortest} s)",
                         f"use at least {shortest}s")


def check_mode(mode: str) -> str:
    """Return a mode if it is one of `MODES`.

    Raises:
        InputError: it is not.
    """
    if mode not in MODES:
        raise InputError(None, f"mode {mode!r} does not exist", suggest_value(mode, MODES))
    return mode


@dataclass(frozen=True)
class ShortsOptions:
    """The number and the length of shorts.

    Attributes:
        count: maximum number of shorts.
        min_length_s: minimum length in seconds, inclusive.
        max_length_s: maximum length in seconds, inclusive.
        refine: True to move the ends to shot boundaries and speech pauses, which decodes parts of the video for some
            seconds. False keeps them at clip boundaries, until `export.plan.with_refined_shorts`.

    Raises:
        InputError: the count is less than 1, or the lengths are invalid or too close to each other.
    """

    count: int = 3
    min_length_s: Fraction = Fraction(15)
    max_length_s: Fraction = Fraction(60)
    refine: bool = True

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(None, f"{self.count} shorts are too few", "request at least 1")
        if self.min_length_s <= 0 or self.max_length_s - self.min_length_s < MIN_LENGTH_RANGE_S:
            raise InputError(None, f"{self.lengths} is not a valid range of lengths", "give a minimum above 0 s and a "
                             f"maximum at least {MIN_LENGTH_RANGE_S} s above it, e.g. 15-60")

    @property
    def lengths(self) -> str:
        """The range of lengths as text, e.g. `15-60 s`."""
        return f"{float(self.min_length_s):g}-{float(self.max_length_s):g} s"


def parse_shorts(count: int, length: str) -> ShortsOptions:
    """Parse the options of shorts.

    Args:
        count: maximum number of shorts.
        length: range of lengths in seconds, such as 15-60 or 15s-60s.

    Raises:
        InputError: `length` is not a range, or as in `ShortsOptions`.
    """
    match = RANGE.fullmatch(length.strip())
    if match is None:
        raise InputError(None, f"length {length!r} is not a range of seconds", "write e.g. 15-60")
    return ShortsOptions(count, Fraction(match[1]), Fraction(match[2]))
