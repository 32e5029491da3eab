"""The tasks of the worker processes: encode a video, parse subtitles, answer a request, export a summary.

Everything whose cost depends on what users send is a task, so that it delays no other user and can be ended.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import atomic_path
from common.memory import trim_heap
from models.encoders import Encoders
from pipelines.export.plan import plan_export, with_refined_shorts
from pipelines.export.writer import write_export
from pipelines.features.encode import encode_video
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.probe import VideoInfo, probe
from pipelines.media.subtitle_parsers import FILE_HINT
from pipelines.media.subtitles import Cue, embedded_subtitles, read_subtitle_file

from . import answer_view
from .limits import Limits, check_video_file
from .model_catalog import CatalogEntry, load_summarizer
from .requests import SummaryRequest, SummaryResponse, check_models, run_request

ReportProgress = Callable[[float], None]
RenderAnswer = Callable[[SummaryResponse, SummaryRequest], Any]
RenderFiles = Callable[[SummaryResponse, SummaryRequest, Sequence[str], str], Any]
SUBTITLE_HINT = "choose an .srt, .vtt, .ass or .ssa file"   # On the page, nobody specifies a path.
CACHED_VIDEOS = 4   # A worker process keeps as many encoded videos in memory.
RENDERERS = answer_view   # Importing it here prepares the worker processes for their first answer.


def load_models(entry: CatalogEntry) -> None:
    """Load a model, so that the first request does not wait for it."""
    load_summarizer(entry)


def load_encoders(make_encoders: Callable[[], Encoders]) -> None:
    """Load encoders, so that the first video does not wait for them."""
    make_encoders()


def start_up(report_progress: ReportProgress) -> None:
    """Do nothing; the process that runs this has imported all that it needs."""
    report_progress(1.0)


def encode(path: Path, make_encoders: Callable[[], Encoders], out: Path, limits: Limits,
           report_progress: ReportProgress) -> tuple[VideoInfo, int]:
    """Check and encode a video, unless it has been encoded already.

    Args:
        path: an uploaded file of unknown content.
        make_encoders: returns the encoders.
        out: file to which the `EncodedVideo` is saved; the subtitles of the video are saved to `cues_path(out)`.
        limits: maximum duration and frame size.
        report_progress: called with the fraction that is done.

    Returns:
        The properties of the video, and the number of subtitles inside the file.

    Raises:
        InputError: the file is not a video, exceeds the limits, or cannot be decoded.
    """
    if out.is_file():   # Another session has encoded the same shared file.
        return EncodedVideo.load(out).info, len(load_cues(cues_path(out)))
    check_video_file(path)
    info = probe(path)
    limits.check_video(info)
    report_progress(0.0)
    cues = embedded_subtitles(path)
    video = encode_video(path, make_encoders(), report_progress)
    save_pickle(cues_path(out), cues)
    video.save(out)
    return video.info, len(cues)


def parse_subtitles(path: Path, name: str, out: Path, report_progress: ReportProgress) -> tuple[int, str]:
    """Parse an uploaded subtitle file and save the cues.

    Args:
        path: the uploaded file.
        name: the user's name of the file, for error messages.
        out: file to which the cues are saved.
        report_progress: not called.

    Returns:
        The number of cues, and a message if the encoding of the file was guessed; else "".

    Raises:
        InputError: the file contains no valid subtitles.
    """
    try:
        file = read_subtitle_file(path)
    except InputError as err:
        raise InputError(f"“{name}”", err.problem, SUBTITLE_HINT if err.hint == FILE_HINT else err.hint) from err
    save_pickle(out, file.cues)
    return len(file.cues), file.encoding_note


def answer(request: SummaryRequest, videos: dict[str, Path], cues: Path | None, out: Path | None, started_s: float,
           render: RenderAnswer, report_progress: ReportProgress) -> Any:
    """Score a video, select what the cut keeps, and render the response.

    Args:
        request: the request.
        videos: file of the encoded video by encoder key.
        cues: file of the video's subtitles; None for no subtitles.
        out: file to which the `SummaryResponse` is saved, for the export; None to save nothing.
        started_s: `time.monotonic` at the start of the request; all processes have the same clock.
        render: returns the response as the page or the API shows it.
        report_progress: called with the fraction of the video's text that is encoded.

    Raises:
        InputError: a model does not fit the queries.
    """
    check_models(request)
    encoded = {entry.encoder_key: _load_video(videos[entry.encoder_key]) for entry in request.models}
    response = run_request(request, encoded, [] if cues is None else load_cues(cues), report_progress)
    response = replace(response, took_s=time.monotonic() - started_s)
    rendered = render(response, request)
    if out is not None:
        save_pickle(out, response.without_features())
    trim_heap()
    return rendered


def export(answered: Path, request: SummaryRequest, folder: Path, name: str, base_url: str, render: RenderFiles,
           report_progress: ReportProgress) -> tuple[list[str], Any]:
    """Write the files of a summary, after its pieces were moved to exact boundaries.

    Args:
        answered: file that `answer` has saved.
        request: the request.
        folder: output folder.
        name: the video's name, as the files show it.
        base_url: address of the folder.
        render: returns the response with its exact pieces, and its files, as the page or the API shows them.
        report_progress: called with the fraction of the current file that is done.

    Returns:
        The names of the files, with those of the cut first, and the rendered response.

    Raises:
        InputError: the video cannot be read, or the folder cannot be written.
    """
    report_progress(0.0)
    response: SummaryResponse = pickle.loads(answered.read_bytes())
    result = response.result
    if result.mode == "shorts":
        result = with_refined_shorts(result, request.shorts)
    plan = plan_export(result, request.options, display_name=name)
    written = write_export(result, plan, folder, report_progress)
    names = list(written.files)
    return names, render(response.with_pieces(written.summary.intervals_s), request, names, base_url)


def cues_path(encoded: Path) -> Path:
    """Return the file of the subtitles inside a video, beside its encoded video."""
    return encoded.with_suffix(".cues")


def load_cues(path: Path) -> list[Cue]:
    """Read subtitles that a task has saved."""
    return pickle.loads(path.read_bytes())


def save_pickle(path: Path, value: object) -> None:
    """Write a file atomically, for other tasks; users cannot write it."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(pickle.dumps(value))


@lru_cache(maxsize=CACHED_VIDEOS)
def _load_video(path: Path) -> EncodedVideo:
    """Load an encoded video, whose file never changes."""
    return EncodedVideo.load(path)
