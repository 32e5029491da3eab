"""Benchmarks, one subject per module; each has a function `measure` that returns or yields rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One comparison of the product with a reference implementation.

    Attributes:
        name: the task, with its size.
        reference_s: seconds of the reference implementation; None if it is not run at this size.
        product_s: seconds of the product.
        note: other measurements, e.g. the difference of the results, or memory.
        memory: (seconds since the start, MB) of a process and its children, if memory was measured.
    """

    name: str
    reference_s: float | None
    product_s: float
    note: str = ""
    memory: tuple[tuple[float, float], ...] = ()

    @property
    def speedup(self) -> float | None:
        """The ratio of the reference's time to the product's time."""
        return None if self.reference_s is None else self.reference_s / self.product_s

    def to_json(self) -> dict:
        """Return the row with the keys of the JSON file."""
        return dict(name=self.name, plain_s=self.reference_s, fast_s=self.product_s, note=self.note,
                    memory=self.memory, ratio=self.speedup)


def measure_seconds(run: Callable[[], object], repetitions: int = 3, warm_up: bool = True) -> float:
    """Return the shortest time of several runs, because other processes can only make a run slower.

    Args:
        run: the function to measure.
        repetitions: number of measured runs.
        warm_up: True to run the function once before.
    """
    if warm_up:
        run()
    best = float("inf")
    for _ in range(repetitions):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best
