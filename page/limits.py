"""Limits on what users may send, and checks of file names, video files and queries."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import av

from common.errors import InputError
from common.queries import check_queries
from pipelines.media.probe import VideoInfo
from pipelines.media.suffixes import VIDEO_SUFFIXES

from .units import format_bytes, format_duration

MAX_NAME_BYTES = 120
# FFmpeg's names of container formats that hold video. All others are never opened: a playlist, for example, may name
# further files on this machine.
VIDEO_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "asf", "ogg",
                 "gif", "apng", "mxf", "nut", "dv", "ivf", "h264", "hevc", "rm", "wtv", "webp_anim", "m4v", "obu")


class FileTooLargeError(InputError):
    """A file is larger than the server accepts."""


@dataclass(frozen=True)
class Limits:
    """The limits for each user, and for all users together.

    Attributes:
        max_upload_bytes: maximum size of a video file.
        max_subtitle_bytes: maximum size of a subtitle file.
        max_video_s: maximum duration of a video, in seconds.
        max_pixels: maximum number of pixels of a frame.
        idle_timeout_s: seconds after its last use at which a user's video is removed.
        max_queued: maximum number of tasks that wait for each kind of worker process; a client may use half of it.
        max_videos: maximum number of videos of all users together; a client may use half of it.
        max_queries: maximum number of queries of a request.
        max_query_chars: maximum number of characters of a query.
        min_free_bytes: disk space that an upload must leave free.
    """

    max_upload_bytes: int = 2 * 10**9
    max_subtitle_bytes: int = 5 * 10**6
    max_video_s: float = 3 * 3600
    max_pixels: int = 8192 * 4320
    idle_timeout_s: float = 3600
    max_queued: int = 40
    max_videos: int = 400
    max_queries: int = 20
    max_query_chars: int = 500
    min_free_bytes: int = 10**9

    def check_size(self, size: int, max_bytes: int | None = None) -> None:
        """Check the size of a file.

        Args:
            size: size in bytes.
            max_bytes: the maximum; None for that of a video file.

        Raises:
            FileTooLargeError: the file is larger.
        """
        max_bytes = self.max_upload_bytes if max_bytes is None else max_bytes
        if size > max_bytes:
            raise too_large_error(max_bytes)

    def check_video(self, info: VideoInfo) -> None:
        """Check the duration and frame size of a video.

        Raises:
            InputError: the video is too long, or its frames are too large.
        """
        if info.duration_s > self.max_video_s:
            raise InputError(None, f"this video lasts {format_duration(float(info.duration_s))}, and the limit is "
                                   f"{format_duration(self.max_video_s)}", "choose a shorter video")
        if info.width * info.height > self.max_pixels:
            raise InputError(None, f"the frames of this video have {info.width} × {info.height} pixels, and the "
                                   f"limit is {self.max_pixels:,} pixels", "scale the video down first")

    def parse_queries(self, text: str | list[str]) -> tuple[str, ...]:
        """Return the queries without surrounding spaces and without empty ones.

        Args:
            text: one query per line, or a list of queries.

        Raises:
            InputError: there are too many queries, or a query is too long or not valid text.
        """
        lines = text.splitlines() if isinstance(text, str) else text
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise InputError(None, "the queries are neither a list of texts nor one text",
                             "send a list such as [\"a goal\"]")
        lines = [line.strip() for line in lines if line.strip()]
        if len(lines) > self.max_queries:
            raise InputError(None, f"there are {len(lines)} queries, and the limit is {self.max_queries}",
                             "remove some")
        for line in lines:
            if len(line) > self.max_query_chars:
                raise InputError(None, f"a query has {len(line):,} characters, and the limit is "
                                       f"{self.max_query_chars}", "shorten it")
        return check_queries(lines)


def check_video_file(path: Path) -> None:
    """Check that a file is a self-contained video, before any other code opens it.

    Raises:
        InputError: the file is something else: a text, a playlist that names other files, or a still image.
    """
    if path.stat().st_size == 0:
        raise empty_file_error()
    options = dict(format_whitelist=",".join(VIDEO_FORMATS), protocol_whitelist="file")
    try:
        with av.open(str(path.absolute()), metadata_errors="replace", container_options=options) as container:
            found = container.format.name
    except (av.error.FFmpegError, OSError, ValueError) as err:
        raise InputError(None, "this file cannot be read as a video", "choose a video file such as .mp4, .mov, .mkv "
                         "or .webm; if it is one, it is damaged, so copy it again") from err
    if found not in VIDEO_FORMATS:
        raise InputError(None, f"this file has the format {found!r}, which is not a video", "choose another file")


def safe_name(raw: str) -> str:
    """Return a file name that is safe on this machine: no folder, and no character special to the system or FFmpeg.

    The name is never empty and has at most `MAX_NAME_BYTES` bytes.
    """
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", raw)[-1])
    name = "".join("_" if c == ":" or unicodedata.category(c).startswith("C") else c for c in name).strip(" .")
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix) > 8:
        stem, suffix = name, ""
    max_stem_bytes = MAX_NAME_BYTES - len(suffix.encode()) - 1
    stem = stem.encode()[:max_stem_bytes].decode(errors="ignore").strip(" .") or "video"
    return f"{stem}.{suffix}" if suffix else stem


def list_folder_videos(folder: Path) -> list[str]:
    """Return the names of the videos in a folder and its subfolders, relative to the folder.

    Links that lead out of the folder are left out.
    """
    found = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in VIDEO_SUFFIXES)
    names = (path.relative_to(folder).as_posix() for path in found)
    return [name for name in names if _resolve_inside(folder, name) is not None]


def find_folder_video(folder: Path, name: str) -> Path:
    """Return the path of a video of a folder.

    Args:
        folder: the folder.
        name: one of `list_folder_videos`.

    Raises:
        InputError: there is no such video, or the name leads out of the folder.
    """
    path = _resolve_inside(folder, name)
    if path is None or path.suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(None, "there is no such video in the folder", "choose one from the list")
    return path


def _resolve_inside(folder: Path, name: str) -> Path | None:
    try:
        path = (folder / name).resolve()
        return path if path.is_file() and path.is_relative_to(folder.resolve()) else None
    except (OSError, ValueError):   # The name is too long or contains a NUL.
        return None


def empty_file_error() -> InputError:
    """Return the error for a file without any bytes."""
    return InputError(None, "this file is empty (0 bytes)", "copy it again, then choose it again")


def too_large_error(max_bytes: int) -> FileTooLargeError:
    """Return the error for a file that is larger than `max_bytes`."""
    return FileTooLargeError(None, f"this file is too large, and the limit is {format_bytes(max_bytes)}",
                             "choose a smaller one, or compress it first")
