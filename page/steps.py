"""The steps of a request: its progress, its answer, and the files of its summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Progress:
    """The progress of a task.

    Attributes:
        stage: `waiting`, `encoding`, `answering` or `exporting`.
        fraction: completed fraction of the task, in [0, 1].
        num_before: number of tasks that run before this one; 0 unless the stage is `waiting`.
    """

    stage: str
    fraction: float = 0.0
    num_before: int = 0


@dataclass(frozen=True)
class Answer:
    """The answer to a request.

    Attributes:
        rendered: the response in the form that the request's renderer returned.
        path: file of the `SummaryResponse` for the export; None if it was not saved.
    """

    rendered: Any
    path: Path | None


@dataclass(frozen=True)
class ExportedFiles:
    """The files of an exported summary.

    Attributes:
        names: file names, with the videos first.
        rendered: the exact pieces and the files in the form that the request's renderer returned.
    """

    names: list[str]
    rendered: Any
