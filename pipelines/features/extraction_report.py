"""Reports of feature extractions: what was computed, why, and what was kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .provenance import NEW

MAX_SHOWN_NAMES = 3   # Names that a note lists.


@dataclass(frozen=True)
class Written:
    """The result of an extraction that wrote files.

    Attributes:
        reason: why they were written.
        moved: new paths of files of other programs, which had the same names.
    """

    reason: str
    moved: Sequence[Path] = ()


@dataclass
class ExtractionReport:
    """The results of several extractions.

    Attributes:
        written: what was written, by the name of the video, audio file or query.
        n_kept: number of those whose features were up to date.
        failed: error messages by path.
    """

    written: dict[str, Written] = field(default_factory=dict)
    n_kept: int = 0
    failed: dict[Path, str] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """Return a line for each reason why features were computed again, and for each folder of moved files."""
        again: dict[str, list[str]] = {}
        moved: dict[Path, list[str]] = {}
        for name, written in self.written.items():
            if written.reason != NEW:
                again.setdefault(written.reason, []).append(name)
            for path in written.moved:
                moved.setdefault(path.parent, []).append(path.name)
        return [*(f"computed again, since {reason}: {_count(names)}" for reason, names in again.items()),
                *(f"moved to {folder}, since their origin is unknown: {_count(names)}"
                  for folder, names in moved.items())]


def _count(names: Sequence[str]) -> str:
    """Return the number of names, and the first three of them."""
    more = len(names) - MAX_SHOWN_NAMES
    return f"{len(names)} ({', '.join(names[:MAX_SHOWN_NAMES])}{f' and {more} more' if more > 0 else ''})"
