"""Summarize one or more videos, each into its own folder, by the same request."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InputError
from common.queries import check_queries
from pipelines.editing.copyability import check_copy
from pipelines.export.options import ExportOptions
from pipelines.export.output_dir import atomic_output_dir, check_link, link_file
from pipelines.media.probe import VideoInfo, probe
from pipelines.media.subtitles import Cue, embedded_subtitles, read_subtitle_file

from .file_names import SUMMARY_VIDEO, earlier_files, possible_files
from .options import ShortsOptions

if TYPE_CHECKING:
    from .export.plan import ExportPlan
    from .export.writer import Export
    from .summarizer import Summarizer


@dataclass(frozen=True)
class SummaryRequest:
    """The options of a summary, which apply to each video of a batch.

    Attributes:
        texts: the queries; may be empty.
        budget: maximum duration of the summary, see `Summarizer.summarize`.
        mode: `summary`, `moments` or `shorts`, see `Summarizer.summarize`.
        shorts: number and length of the shorts.
        export: options of the export.
        subtitles: subtitle file, for a single video only; None for the subtitle tracks of the videos.
        config: config of the summarizer, see `build_summarizer`.
        checkpoint: weights of the config's model, see `build_summarizer`.
        captioner: name of the captioner, see `build_summarizer`; None for no captions.
        sampling: `exact` or `keyframes`, see `encode_video`.
        cache: cache folder of encoded videos; None disables the cache.
        quiet: True to show no progress.
    """

    texts: Sequence[str] = ()
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", check_queries(self.texts))   # A single string counts as one query.


class BatchSummarizer:
    """A summarizer that applies one request to any number of videos.

    The encoders are loaded only once, for the first video that can be read.

    Args:
        request: the request that applies to each video.
    """

    def __init__(self, request: SummaryRequest):
        self.request = request
        self._summarizer: Summarizer | None = None

    def summarize(self, video: str | Path, out: Path, cut: Path | None = None) -> Export:
        """Write the summary of a video to a folder, with all files or none.

        Args:
            video: the video file.
            out: the folder, which is created if it is missing.
            cut: path of another name for the cut in the folder, which must be a single file; None for no other name.

        Returns:
            The summary and a record of the written files.

        Raises:
            InputError: the video, the subtitles, the config, the checkpoint or the folder cannot be used.
            OSError: the system cannot write, for example because the disk is full.
        """
        request = self.request
        info = probe(video)
        if info.truncation_note and not request.quiet:
            print(f"{info.path.name}: {info.truncation_note}; the available part is summarized", file=sys.stderr)
        if request.export.copy_required:   # Otherwise such a video is re-encoded.
            check_copy(info)
        cues = embedded_subtitles(video) if request.subtitles is None else self._read_subtitles(request.subtitles)
        inputs = [path for path in (video, request.subtitles, request.config, request.checkpoint) if path is not None]
        names = possible_files(request.mode, request.shorts)
        if cut is not None:
            check_link(cut, out / SUMMARY_VIDEO, inputs)
        with atomic_output_dir(out, names, inputs, outdated=earlier_files(out)) as folder:
            # Imported here because PyTorch loads for seconds, and invalid inputs are reported before that.
            from .export.plan import plan_export
            from .export.writer import write_export
            summarizer = self._loaded_summarizer()
            summarizer.check_options(request.texts, request.budget, request.mode, info.duration_s)
            encoded = summarizer.encode(video, not request.quiet, sampling=request.sampling, cache_dir=request.cache,
                                        info=info)
            result = summarizer.summarize(encoded, request.texts, request.budget, cues, request.mode, request.shorts,
                                          progress=not request.quiet)
            del encoded
            result = result.without_features()   # This frees 100 MB before the export of a two-hour video.
            plan = plan_export(result, request.export, shorts=request.shorts)
            self._report_reencoding(info, plan)
            export = write_export(result, plan, folder, progress=not request.quiet)
            if plan.copied:   # The muxer may have rejected the packets.
                self._report_reencoding(info, export.plan)
        if cut is not None:
            link_file(out / SUMMARY_VIDEO, cut)
        return export

    def _report_reencoding(self, info: VideoInfo, plan: ExportPlan) -> None:
        """Print a line if the video is re-encoded although a copy was requested."""
        if plan.copy_note and not self.request.quiet:
            print(f"{info.path.name}: {plan.copy_note}", file=sys.stderr)

    def _read_subtitles(self, path: str) -> list[Cue]:
        file = read_subtitle_file(path)
        if file.encoding_note and not self.request.quiet:
            print(f"{Path(path).name}: {file.encoding_note}", file=sys.stderr)
        return file.cues

    def _loaded_summarizer(self) -> Summarizer:
        """Return the summarizer; build it at the first call."""
        if self._summarizer is None:
            from . import summarizer  # Imported here because it loads PyTorch.
            request = self.request
            self._summarizer = summarizer.build_summarizer(request.config, request.checkpoint, request.captioner)
        return self._summarizer


def output_folders(videos: Sequence[str], out: Path) -> list[Path]:
    """Return the output folder of each video: `out` for a single video, otherwise `out/<name of the video>`.

    Raises:
        InputError: two videos have the same name without suffix.
    """
    if len(videos) == 1:
        return [out]
    folders: dict[Path, str] = {}
    for video in videos:
        folder = out / Path(video).stem
        if folder in folders:
            raise InputError(None, f"{video} and {folders[folder]} have the same output folder {folder}",
                             "rename one of them, or run two commands")
        folders[folder] = video
    return list(folders)
