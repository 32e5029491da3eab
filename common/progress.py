"""Progress of a long step, shown on stderr or passed to the caller."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ReportProgress = Callable[[float], None] | None   # A function that is called with the finished share, from 0 to 1.
Progress = bool | Callable[[float], None] | None   # True for a bar on stderr, or a function of the finished share.


@contextmanager
def progress_reporter(progress: Progress, title: str, delay_s: float = 0) -> Iterator[Callable[[float], None]]:
    """Provide a function to call with the finished share, from 0 to 1.

    Args:
        progress: a function, which is returned unchanged; True for a progress bar on stderr; else nothing is shown.
        title: title of the progress bar.
        delay_s: seconds before the progress bar appears, so that a short step shows none.
    """
    if callable(progress):
        yield progress
        return
    from tqdm import tqdm  # Imported here because commands that show no bar do not need it.

    with tqdm(total=100, desc=title, unit="%", file=sys.stderr, disable=not progress, delay=delay_s) as bar:
        yield lambda share: bar.update(int(100 * share) - bar.n)
