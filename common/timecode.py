"""Formatting, parsing and exact conversion of times and durations."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = re.compile(rf"(?:({_NUMBER})h)?(?:({_NUMBER})m(?:in)?)?(?:({_NUMBER})s)?", re.IGNORECASE)


def format_clock(time_s: float | Fraction) -> str:
    """Return a time as M:SS or H:MM:SS, rounded down to complete seconds, e.g. 1:05 or 1:00:00."""
    total_s = int(time_s)
    hours, minutes, seconds = total_s // 3600, total_s // 60 % 60, total_s % 60
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def format_timestamp(time_s: float | Fraction, decimal_mark: str = ".") -> str:
    """Return a time as HH:MM:SS.mmm, rounded to the nearest millisecond.

    Args:
        time_s: the time in seconds, at least 0.
        decimal_mark: separator before the milliseconds: "." for WebVTT and JSON, "," for SubRip.
    """
    ms = round(time_s * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{decimal_mark}{ms % 1000:03}"


def parse_timestamp(text: str) -> float:
    """Return the seconds of [HH:]MM:SS.mmm, rounded to the millisecond; the decimal mark may be a comma."""
    parts = text.replace(",", ".").split(":")
    return round(sum(float(part) * 60**i for i, part in enumerate(reversed(parts))), 3)


def parse_duration(text: str) -> timedelta | None:
    """Return a duration such as 60s, 1m30s, 90min or 1.5h; None if the text has another form."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not match[0]:
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def exact_s(time_s: float | Fraction) -> Fraction:
    """Convert a time in seconds to the fraction that a float approximates, e.g. 0.04 to 1/25.

    Floats are assumed to be accurate to a microsecond.
    """
    if isinstance(time_s, (int, Fraction)):
        return Fraction(time_s)
    return Fraction(float(time_s)).limit_denominator(1_000_000)
