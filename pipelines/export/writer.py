"""Write the files of a summary: videos, subtitles, edit lists, report and JSON."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common.files import atomic_path, write_json
from common.memory import mmap_large_blocks, trim_heap
from common.progress import Progress
from common.temporal import Interval
from pipelines.editing.copyability import NotCopyableError
from pipelines.editing.reencode import cut
from pipelines.editing.stream_copy import copy_cut
from pipelines.file_names import JSON_FILE, REPORT_FILE, edit_list_name, subtitle_name
from pipelines.media.subtitles import cut_cues, write_srt
from pipelines.summary import Summary

from .edit_lists import write_list
from .plan import ExportPlan, plan_without_copy
from .report import report_html
from .summary_json import summary_to_json


@dataclass(frozen=True, eq=False)
class Export:
    """A record of what `write_export` has written.

    Attributes:
        summary: the summary as the files describe it, with the exact pieces and the timings of all steps.
        plan: the plan that was followed.
        files: names of the files, videos first.
    """

    summary: Summary
    plan: ExportPlan
    files: tuple[str, ...]

    @property
    def shortage(self) -> str:
        """A message if there are fewer shorts than requested, else ""."""
        return self.plan.shortage(self.summary)

    def to_json(self) -> dict:
        """Return the contents of summary.json."""
        return summary_to_json(self.summary, self.plan, self.files)


def write_export(summary: Summary, plan: ExportPlan, folder: Path, progress: Progress = False) -> Export:
    """Write all files of a summary into a folder.

    Args:
        summary: the scored video.
        plan: result of `plan_export` for this summary.
        folder: an existing folder.
        progress: True shows a progress bar on stderr; a function is called with the finished share of the current
            file.

    Raises:
        InputError: the video cannot be read or the folder cannot be written.
    """
    started_s = time.perf_counter()
    try:
        shown, videos = _write_videos(summary, plan, folder, progress)
    except NotCopyableError as err:
        if plan.copy_required:
            raise
        plan = plan_without_copy(summary, plan, err.problem)
        shown, videos = _write_videos(summary, plan, folder, progress)
    seconds = plan.timings_s.get("cut", 0.0) + time.perf_counter() - started_s
    shown = replace(shown, timings_s={**shown.timings_s, "cut": seconds})
    others = [*_write_subtitles(shown, folder), *_write_edit_lists(shown, plan, folder)]
    started_s = time.perf_counter()
    write_text(folder / REPORT_FILE, report_html(shown, videos, [*others, JSON_FILE], plan))
    shown = replace(shown, timings_s={**shown.timings_s, "report": time.perf_counter() - started_s})
    export = Export(shown, plan, (*videos, *others, REPORT_FILE, JSON_FILE))
    write_json(folder / JSON_FILE, export.to_json())
    return export


def _write_videos(summary: Summary, plan: ExportPlan, folder: Path, progress: Progress) -> tuple[Summary, list[str]]:
    """Write the videos of a plan, and return the summary with the exact pieces, and the names of the files."""
    shown = plan.apply(summary)
    for name, intervals_s in shown.intervals_by_file:
        write_video(summary, plan, folder / name, intervals_s, progress)
    return shown, [name for name, _ in shown.intervals_by_file]


def write_video(summary: Summary, plan: ExportPlan, path: str | os.PathLike, intervals_s: Sequence[Interval],
                progress: Progress = False) -> None:
    """Write some of the planned pieces as one mp4 file with chapters and subtitles.

    Args:
        summary: the scored video.
        plan: result of `plan_export` for this summary.
        path: path of the mp4 file, which is written atomically.
        intervals_s: pieces of the plan, ascending.
        progress: see `write_export`.
    """
    trim_heap()   # Return the memory that scoring has freed to the system, because the encoder allocates its own.
    info, titles = summary.video.info, summary.chapter_titles(intervals_s)
    with mmap_large_blocks():
        if plan.packet_ranges is None:
            cut(info, intervals_s, path, aspect=plan.aspect, titles=titles, cues=summary.cues, progress=progress)
        else:
            packets = dict(zip(plan.pieces_s or (), plan.packet_ranges, strict=True))
            copy_cut(info, [packets[interval_s] for interval_s in intervals_s], path, titles=titles, cues=summary.cues,
                     progress=progress)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_subtitles(summary: Summary, folder: Path) -> list[str]:
    """Write an .srt file beside every video file that contains speech, and return the names."""
    names = []
    for name, intervals_s in summary.intervals_by_file:
        cues = cut_cues(summary.cues, intervals_s)
        if cues:
            names.append(subtitle_name(name))
            write_srt(folder / names[-1], cues)
    return names


def _write_edit_lists(summary: Summary, plan: ExportPlan, folder: Path) -> list[str]:
    names = [edit_list_name(suffix) for suffix in plan.edit_lists]
    for name in names:
        write_list(folder / name, summary.video.info, summary.pieces)
    return names
