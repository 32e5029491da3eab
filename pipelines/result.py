"""The result of `Summarizer.summarize`: a summary that can be saved."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from common.files import write_json
from pipelines.export.plan import AS_SELECTED, ExportPlan, plan_export
from pipelines.export.report import report_html
from pipelines.export.summary_json import summary_to_json
from pipelines.export.writer import write_text, write_video

from .summary import Summary


@dataclass(frozen=True, eq=False)
class Result(Summary):
    """A summary that can be saved as a video, a report or JSON. See `Summary` for its attributes.

    Each method writes one file; to write all files of a summary at once, use `plan_export` and `write_export`.
    """

    # The plan, path and duration in seconds of each call of `save_video`. Reports and JSON describe the last call.
    _saved_videos: list[tuple[ExportPlan, Path, float]] = field(default_factory=list, init=False, repr=False)

    def save_video(self, path: str | os.PathLike, progress: bool = False) -> None:
        """Write all pieces atomically to one mp4 file with chapters and subtitles."""
        plan = plan_export(self)
        started_s = time.perf_counter()
        write_video(self, plan, path, plan.apply(self).intervals_s, progress)
        self._saved_videos.append((plan, Path(path), time.perf_counter() - started_s))

    def save_report(self, path: str | os.PathLike) -> None:
        """Write the HTML report, which plays the last video that `save_video` wrote, by its relative path."""
        summary, plan, video = self._last_saved()
        sources = [] if video is None else [os.path.relpath(video, Path(path).parent)]
        write_text(path, report_html(summary, sources, plan=plan))

    def save_json(self, path: str | os.PathLike) -> None:
        """Write the summary atomically as JSON, with times in seconds."""
        write_json(path, self.to_json())

    def to_json(self) -> dict:
        """Return the content of summary.json, whose key `summary` has the output format of ModelScope."""
        summary, plan, _ = self._last_saved()
        return summary_to_json(summary, plan)

    def _last_saved(self) -> tuple[Summary, ExportPlan, Path | None]:
        """Return the summary with the exact pieces of the last saved video, the plan of that video, and its path."""
        if not self._saved_videos:
            return self, AS_SELECTED, None
        plan, path, seconds = self._saved_videos[-1]
        planned = plan.apply(self)
        return replace(planned, timings_s={**planned.timings_s, "cut": seconds}), plan, path
