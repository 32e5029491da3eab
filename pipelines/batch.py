"""Summarize one or many videos into folders; an error in one video does not stop the others."""

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
    from .summarizer import Summarizer


@dataclass(frozen=True)
class SummaryRequest:
    """A request that applies to each video of a batch.

    Attributes:
        texts: the queries; may be empty.
        budget: see `Summarizer.summarize`, as for `mode` and `shorts`.
        mode: `summary`, `moments` or `shorts`.
        shorts: number and length of the shorts.
        export: options of the export.
        subtitles: a subtitle file for a single video; None for the subtitle tracks in the videos.
        config: see `build_summarizer`, as for `checkpoint` and `captioner`.
        checkpoint: weights of the config's model.
        captioner: name of the captioner, or None.
        sampling: see `encode_video`.
        cache: folder for encoded videos; None disables the cache.
        quiet: show no progress.
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


class BatchSummarizer:
    """Summarizes videos by one request.

    The encoders are loaded for the first video that can be read, and serve all videos.

    Args:
        request: the request for each video.
    """

    def __init__(self, request: SummaryRequest):
        self.request = request
        self._summarizer: Summarizer | None = None

    def summarize(self, video: str | Path, out: Path) -> Export:
        """Summarize a video into a folder; either all files appear there or none.

        Args:
            video: the video file.
            out: the folder, created if missing.

        Returns:
            A record of the written files, with the summary.

        Raises:
            InputError: the video, the subtitles, the config, the checkpoint or the folder cannot be used.
            OSError: the system cannot write, for example because the disk is full.
        """
        request = self.request
        info = probe(video)
        if info.truncation_note and not request.quiet:
            print(f"{info.path.name}: {info.truncation_note}; the available part is summarized", file=sys.stderr)
        if request.export.copy:
            from pipelines.editing.stream_copy import check_copy  # Imported late: loading SciPy takes time.
            check_copy(info)
        cues = embedded_subtitles(video) if request.subtitles is None else read_subtitles(request.subtitles)
        inputs = [path for path in (video, request.subtitles, request.config, request.checkpoint) if path is not None]
        names = possible_files(request.mode, request.shorts)
        with atomic_output_dir(out, names, inputs, outdated=earlier_files(out)) as folder:
            # Imported late: loading PyTorch takes seconds, and invalid input is reported before.
            from .export.plan import plan_export
            from .export.writer import write_export
            summarizer = self._loaded_summarizer()
            encoded = summarizer.encode(video, not request.quiet, sampling=request.sampling, cache_dir=request.cache,
                                        info=info)
            result = summarizer.summarize(encoded, request.texts, request.budget, cues, request.mode, request.shorts)
            del encoded
            result = result.without_features()   # Frees 100 MB of a two-hour video before the export.
            plan = plan_export(result, request.export, shorts=request.shorts)
            return write_export(result, plan, folder, progress=not request.quiet)

    def _loaded_summarizer(self) -> Summarizer:
        """Return the summarizer, which is built at the first call."""
        if self._summarizer is None:
            from . import summarizer  # Imported late, see above.
            request = self.request
            self._summarizer = summarizer.build_summarizer(request.config, request.checkpoint, request.captioner)
        return self._summarizer


def output_folders(videos: Sequence[str], out: Path) -> list[Path]:
    """Return the output folder of each video: `out` for a single one, else a folder in it with the video's name.

    Raises:
        InputError: two videos have the same name.
    """
    if len(videos) == 1:
        return [out]
    folders: dict[Path, str] = {}
    for video in videos:
        folder = out / Path(video).stem
        if folder in folders:
            raise InputError(None, f"{video} and {folders[folder]} have the same output folder {folder}",
                             "rename one, or run two commands")
        folders[folder] = video
    return list(folders)
