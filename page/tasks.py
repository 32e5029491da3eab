"""What the child processes do: watch a video, and cut it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from common.errors import InputError
from common.temporal import Interval
from models.encoders import Encoders
from pipelines.export.options import ExportOptions
from pipelines.export.plan import plan_export, with_refined_shorts
from pipelines.export.writer import write_export
from pipelines.features.encode import encode_video
from pipelines.media.probe import probe
from pipelines.media.subtitles import embedded_subtitles
from pipelines.options import ShortsOptions
from pipelines.result import Result

from .limits import Limits, check_film


def watch(path: Path, encoders: Callable[[], Encoders], out: Path, limits: Limits,
          told: Callable[[float], None]) -> list:
    """Checks and encodes a video.

    Args:
        path: of any file that somebody sent.
        encoders: makes them.
        out: where the `EncodedVideo` is written.
        limits: on length and pictures.
        told: is told the share that is done.

    Returns:
        The subtitles that the video carries.

    Raises:
        InputError: no video, one over the limits, or one that cannot be decoded.
    """
    check_film(path)
    try:
        info = probe(path)
        limits.check_video(info)
        told(0.0)
        encode_video(path, encoders(), told).save(out)
        return embedded_subtitles(path)
    except InputError as err:
        raise InputError(without_folder(str(err), path)) from err


def cut(summary: Result, wish: ShortsOptions, folder: Path, form: ExportOptions, called: str,
        told: Callable[[float], None]) -> tuple[list[str], list[Interval]]:
    """Writes a summary's files, after its pieces were made to begin and end with what they show.

    Args:
        summary: as asked.
        wish: in mode `shorts`, what they should be like.
        folder: for the files.
        form: of the files.
        called: what they call the video.
        told: is told the share of the current file that is done.

    Returns:
        Names of the files, the cut first, and the pieces.
    """
    path = summary.video.info.path
    try:
        told(0.0)
        if summary.mode == "shorts":
            summary = with_refined_shorts(summary, wish)
        plan = plan_export(summary, form, display_name=called)
        export = write_export(summary, plan, folder, told)
        return list(export.files), export.summary.intervals_s
    except InputError as err:
        raise InputError(without_folder(str(err), path)) from err


def ready(encoders: Callable[[], Encoders], told: Callable[[float], None]) -> None:
    """Loads encoders before the first video comes."""
    encoders()
    told(1.0)


def without_folder(message: str, path: Path) -> str:
    """A message that names the file, not where it lies."""
    return message.replace(str(path), path.name).replace(str(path.parent), "")
