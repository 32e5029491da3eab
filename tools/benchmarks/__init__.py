"""One subject per file; each has `measure() -> list[Row]`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: what was done, with its sizes.
        plain_s: seconds of the plain way, or None where there is none at this size.
        fast_s: seconds of ours.
        note: what else was measured, e.g. equal results or memory.
        memory: (seconds since the start, MB) of a process and its children, where it was watched.
    """

    name: str
    plain_s: float | None
    fast_s: float
    note: str = ""
    memory: tuple[tuple[float, float], ...] = ()

    @property
    def ratio(self) -> float | None:
        """How many times faster ours is."""
        return None if self.plain_s is None else self.plain_s / self.fast_s


def seconds(run: Callable[[], object], times: int = 3, warm_up: bool = True) -> float:
    """The shortest of several runs, since other work on the machine only ever adds time."""
    if warm_up:
        run()
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best
