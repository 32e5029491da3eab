"""Sizes and durations as users write and read them."""

from __future__ import annotations

import math
import re

from common.errors import InputError

BYTE_UNITS = dict(kb=10**3, mb=10**6, gb=10**9)


def parse_bytes(text: str) -> int:
    """Parse a size such as 500MB or 2GB.

    Raises:
        InputError: the text is not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(kb|mb|gb)\s*", text.lower())
    size = 0 if match is None else math.floor(float(match[1]) * BYTE_UNITS[match[2]])
    if size < 1:
        raise InputError(None, f"{text!r} is not a size", "write for example 500MB or 2GB")
    return size


def format_bytes(size: int) -> str:
    """Format a size, e.g. 2 GB, 1.5 MB or 300 kB."""
    name, unit = next(((n, u) for n, u in (("GB", 10**9), ("MB", 10**6)) if size >= u), ("kB", 10**3))
    return f"{size / unit:.3g} {name}"


def format_duration(time_s: float) -> str:
    """Format a duration in its largest unit, e.g. 3 hours, 90 minutes or 45 seconds."""
    name, unit = next(((n, u) for n, u in (("hour", 3600), ("minute", 60)) if time_s >= 2 * u or time_s == u),
                      ("second", 1))
    count = f"{time_s / unit:.3g}"
    return f"{count} {name}{'' if count == '1' else 's'}"
