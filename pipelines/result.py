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

    `plan_export` and `write_export` write all files of a summary at once; the methods here write one file each.
    """

    # A log of what `save_video` has written: plan, path and seconds. Reports and JSON describe the last entry.
    _saved_videos: list[tuple[ExportPlan, Path, float]] = field(default_factory=list, init=False, repr=False)

    def save_video(self, path: str | os.PathLike, progress: bool = False) -> None:
        """Write all pieces as one mp4 file with chapters and subtitles, completely or not at all."""
        plan = plan_export(self)
        started_s = time.perf_counter()
        write_video(self, plan, path, plan.apply(self).intervals_s, progress)
        self._saved_videos.append((plan, Path(path), time.perf_counter() - started_s))

    def save_report(self, path: str | os.PathLike) -> None:
        """Write the HTML report; it plays the video that `save_video` wrote last, by its relative path."""
        summary, plan, video = self._last_saved()
        sources = [] if video is None else [os.path.relpath(video, Path(path).parent)]
        write_text(path, report_html(summary, sources, plan=plan))

    def save_json(self, path: str | os.PathLike) -> None:
        """Write everything as JSON, completely or not at all; times are in seconds."""
        write_json(path, self.to_json())

    def to_json(self) -> dict:
        """Return the contents of summary.json; the key `summary` is in the output format of ModelScope."""
        summary, plan, _ = self._last_saved()
        return summary_to_json(summary, plan)

    def _last_saved(self) -> tuple[Summary, ExportPlan, Path | None]:
        """Return the summary as the last saved video shows it, with its plan and path."""
        if not self._saved_videos:
            return self, AS_SELECTED, None
        plan, path, seconds = self._saved_videos[-1]
        shown = plan.apply(self)
        return replace(shown, timings_s={**shown.timings_s, "cut": seconds}), plan, path
