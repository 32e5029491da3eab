"""The tasks of the worker processes: load the encoders, encode a video, export a result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from common.temporal import Interval
from models.encoders import Encoders
from pipelines.export.options import ExportOptions
from pipelines.export.plan import plan_export, with_refined_shorts
from pipelines.export.writer import write_export
from pipelines.features.encode import encode_video
from pipelines.media.probe import probe
from pipelines.media.subtitles import Cue, embedded_subtitles
from pipelines.options import ShortsOptions
from pipelines.result import Result

from .limits import Limits, check_video_file

ReportProgress = Callable[[float], None]


def load_encoders(make_encoders: Callable[[], Encoders], report_progress: ReportProgress) -> None:
    """Load encoders, so that the first video does not wait for them."""
    make_encoders()
    report_progress(1.0)


def start_up(report_progress: ReportProgress) -> None:
    """Do nothing; the process that runs this has imported all that it needs."""
    report_progress(1.0)


def encode(path: Path, make_encoders: Callable[[], Encoders], out: Path, limits: Limits,
           report_progress: ReportProgress) -> list[Cue]:
    """Check and encode a video.

    Args:
        path: an uploaded file of unknown content.
        make_encoders: returns the encoders.
        out: file to which the `EncodedVideo` is saved.
        limits: maximum duration and frame size.
        report_progress: called with the fraction that is done.

    Returns:
        The subtitles inside the video file.

    Raises:
        InputError: the file is not a video, exceeds the limits, or cannot be decoded.
    """
    check_video_file(path)
    info = probe(path)
    limits.check_video(info)
    report_progress(0.0)
    encode_video(path, make_encoders(), report_progress).save(out)
    return embedded_subtitles(path)


def export(result: Result, shorts: ShortsOptions, folder: Path, options: ExportOptions, name: str,
           report_progress: ReportProgress) -> tuple[list[str], list[Interval]]:
    """Write the files of a summary, after its pieces were moved to exact boundaries.

    Args:
        result: the result, with pieces that are exact to a clip.
        shorts: number and length of the shorts in mode `shorts`.
        folder: output folder.
        options: export options.
        name: the video's name, as the files show it.
        report_progress: called with the fraction of the current file that is done.

    Returns:
        The names of the files, with those of the cut first, and the exact pieces.

    Raises:
        InputError: the video cannot be read, or the folder cannot be written.
    """
    report_progress(0.0)
    if result.mode == "shorts":
        result = with_refined_shorts(result, shorts)
    written = write_export(result, plan_export(result, options, display_name=name), folder, report_progress)
    return list(written.files), written.summary.intervals_s
