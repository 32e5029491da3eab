"""Summaries of one video or many: what is quick to check comes first, and one bad video does not stop the rest."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InputError
from pipelines.export.options import ExportOptions
from pipelines.export.output_dir import atomic_output_dir
from pipelines.media.probe import probe
from pipelines.media.subtitles import embedded_subtitles, read_subtitles

from .file_names import earlier_files, possible_files
from .options import ShortsOptions

if TYPE_CHECKING:
    from .export.writer import Export


@dataclass(frozen=True)
class Job:
    """What is asked of every video.

    Attributes:
        texts: sentences, checked; none for what stands out.
        budget: as `Summarizer.summarize`; so are `mode` and `shorts`.
        export: options of the export.
        subtitles: a file for the one video; None for the tracks that videos carry.
        config: as `build_summarizer`; so is `checkpoint`.
        captioner: as `build_summarizer`.
        sampling: as `encode_video`.
        cache: folder in which encoded videos are kept; None keeps none.
        quiet: whether no progress is shown.
    """

    texts: tuple[str, ...] = ()
    budget: float | timedelta = 0.15
    mode: str = "summary"
    shorts: ShortsOptions = field(default_factory=ShortsOptions)
    export: ExportOptions = field(default_factory=ExportOptions)
    subtitles: str | None = None
    config: str | None = None
    checkpoint: str | None = None
    captioner: str | None = "vocabulary"
    sampling: str = "exact"
    cache: str | None = None
    quiet: bool = False


class Worker:
    """Does a job on one video after the other; the encoders are loaded when the first video turns out to be one."""

    def __init__(self, job: Job):
        self.job, self.summarizer = job, None

    def work(self, video: str | Path, out: Path) -> Export:
        """Summarizes a video into a folder, in which all the files appear together or none.

        Returns:
            A record of the written files, with the summary.

        Raises:
            InputError: a video, subtitles, config, checkpoint or folder that cannot be used.
            OSError: what the machine cannot do, such as a full disk.
        """
        job = self.job
        info = probe(video)
        if info.truncation_note and not job.quiet:
            print(f"{info.path.name}: {info.truncation_note}; what is there is used", file=sys.stderr)
        if job.export.copy:
            from pipelines.editing.stream_copy import check_copy
            check_copy(info)
        cues = embedded_subtitles(video) if job.subtitles is None else read_subtitles(job.subtitles)
        inputs = [path for path in (video, job.subtitles, job.config, job.checkpoint) if path is not None]
        names = possible_files(job.mode, job.shorts)
        with atomic_output_dir(out, names, inputs, outdated=earlier_files(out)) as folder:
            # Imported late: PyTorch takes seconds to load, and mistakes in the input show before.
            from . import summarizer
            from .export.plan import plan_export
            from .export.writer import write_export
            if self.summarizer is None:
                self.summarizer = summarizer.build_summarizer(job.config, job.checkpoint, job.captioner)
            encoded = self.summarizer.encode(video, not job.quiet, sampling=job.sampling, cache_dir=job.cache)
            result = self.summarizer.summarize(encoded, job.texts, job.budget, cues, job.mode, job.shorts)
            del encoded
            result = result.without_features()   # Frees 100 MB of a two-hour video before the export.
            plan = plan_export(result, job.export, shorts=job.shorts)
            return write_export(result, plan, folder, progress=not job.quiet)


def folders_for(videos: Sequence[str], out: Path) -> list[Path]:
    """Where each video's files go: `out` for one, folders in it by their names for several.

    Raises:
        InputError: two videos whose folders would be one.
    """
    if len(videos) == 1:
        return [out]
    folders: dict[Path, str] = {}
    for video in videos:
        folder = out / Path(video).stem
        if folder in folders:
            raise InputError(f"{video} and {folders[folder]} would share the folder {folder}; rename one, or make two "
                             "calls")
        folders[folder] = video
    return list(folders)
