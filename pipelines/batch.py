"""Summaries of one video or many: what is quick to check comes first, and one bad video does not stop the rest."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from common.errors import InputError
from pipelines.export.output_dir import atomic_output_dir
from pipelines.export.writer import ExportOptions, earlier_files, file_names, write_outputs
from pipelines.media.probe import probe
from pipelines.media.subtitles import own_subtitles, read_subtitles

from .options import Shorts


@dataclass(frozen=True)
class Job:
    """What is asked of every video.

    Attributes:
        texts: sentences, checked; none for what stands out.
        budget: as `Summarizer.summarize`; so are `mode` and `shorts`.
        form: in which the result is written.
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
    shorts: Shorts = field(default_factory=Shorts)
    form: ExportOptions = field(default_factory=ExportOptions)
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

    def work(self, video: str | Path, out: Path) -> tuple[Any, list[str]]:
        """Summarizes a video into a folder, in which all the files appear together or none.

        Returns:
            The `Result`, and the names of the files.

        Raises:
            InputError: a video, subtitles, config, checkpoint or folder that cannot be used.
            OSError: what the machine cannot do, such as a full disk.
        """
        job = self.job
        info = probe(video)
        if info.lacking and not job.quiet:
            print(f"{info.path.name}: {info.lacking}; what is there is used", file=sys.stderr)
        if job.form.copy:
            from pipelines.editing.stream_copy import check_copy
            check_copy(info)
        cues = own_subtitles(video) if job.subtitles is None else read_subtitles(job.subtitles)
        inputs = [path for path in (video, job.subtitles, job.config, job.checkpoint) if path is not None]
        with atomic_output_dir(out, file_names(job.mode, job.shorts), inputs, outdated=earlier_files(out)) as folder:
            from . import summarizer
            if self.summarizer is None:
                self.summarizer = summarizer.build_summarizer(job.config, job.checkpoint, job.captioner)
            encoded = self.summarizer.encode(video, not job.quiet, sampling=job.sampling, cache_dir=job.cache)
            summary = self.summarizer.summarize(encoded, job.texts, job.budget, cues, job.mode, job.shorts)
            del encoded
            summary.video = summary.video.without_features()   # a hundred MB of two hours
            names = write_outputs(summary, folder, job.form, progress=not job.quiet, shorts=job.shorts)
        return summary, names


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
