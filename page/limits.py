"""What the page accepts, and what is refused with a word on what to do."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import av

from common.errors import InputError
from common.queries import check_queries
from pipelines.media.probe import VideoInfo
from pipelines.media.suffixes import VIDEO_SUFFIXES

NAME_BYTES = 120
EMPTY = "This file is empty (0 bytes). Copy it again, then choose it anew"
UNITS = dict(kb=10**3, mb=10**6, gb=10**9)
# FFmpeg's names of what is film; others, such as playlists, may name further files and are never opened
FILM_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "asf", "ogg",
                "gif", "apng", "mxf", "nut", "dv", "ivf", "h264", "hevc", "rm", "wtv", "webp_anim", "m4v", "obu")


@dataclass(frozen=True)
class Limits:
    """What one user may ask of the machine.

    Attributes:
        upload_bytes: of a video.
        subtitle_bytes: of a subtitle file.
        video_s: length of a video.
        pixels: of a picture.
        keep_s: files go so long after they were last used.
        waiting: videos and cuts that may wait for their turn.
        videos: that all users together may have here at once.
        sentences: of a question.
        characters: of a sentence.
        spare_bytes: that an upload leaves free on the disk.
    """

    upload_bytes: int = 2 * 10**9
    subtitle_bytes: int = 5 * 10**6
    video_s: float = 3 * 3600
    pixels: int = 8192 * 4320
    keep_s: float = 3600
    waiting: int = 20
    videos: int = 200
    sentences: int = 20
    characters: int = 500
    spare_bytes: int = 10**9

    def check_size(self, size: int, most: int | None = None) -> None:
        """Raises an InputError for more bytes than `most`, or than a video may have."""
        most = self.upload_bytes if most is None else most
        if size > most:
            raise InputError(too_large(most))

    def check_video(self, info: VideoInfo) -> None:
        """Raises an InputError for a video that is too long or too large in its pictures."""
        if info.duration_s > self.video_s:
            raise InputError(f"This video lasts {shown_time(float(info.duration_s))}; at most "
                             f"{shown_time(self.video_s)} are taken here. Cut a part out first")
        if info.width * info.height > self.pixels:
            raise InputError(f"This video's pictures are {info.width} × {info.height} dots; at most "
                             f"{self.pixels:,} dots are taken here. Make them smaller first")

    def read_sentences(self, text: str | list[str]) -> tuple[str, ...]:
        """A sentence a line, or a list of them; empty lines are left out.

        Raises:
            InputError: too many or too long, or no valid text.
        """
        lines = text.splitlines() if isinstance(text, str) else text
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise InputError("Sentences are a list of texts, or one text with a sentence a line")
        lines = [line.strip() for line in lines if line.strip()]
        if len(lines) > self.sentences:
            raise InputError(f"These are {len(lines)} sentences; ask for at most {self.sentences} at once")
        for line in lines:
            if len(line) > self.characters:
                raise InputError(f"A sentence has {len(line):,} characters; at most {self.characters} are read. "
                                 "Say it more briefly")
        return check_queries(lines)


def check_film(path: Path) -> None:
    """Refuses what FFmpeg would not read as a film in itself, before anything else opens it.

    Raises:
        InputError: no video of its own: a text, a playlist that names other files, a single picture.
    """
    if path.stat().st_size == 0:
        raise InputError("This file is empty (0 bytes). Copy it again, then choose it anew")
    options = dict(format_whitelist=",".join(FILM_FORMATS), protocol_whitelist="file")
    try:
        with av.open(str(path.absolute()), metadata_errors="replace", container_options=options) as container:
            found = container.format.name
    except (av.error.FFmpegError, OSError, ValueError) as err:
        raise InputError("This is not a video that can be read. Choose a video file such as .mp4, .mov, .mkv or "
                         ".webm; if it is one, it is damaged: copy it again") from err
    if found not in FILM_FORMATS:
        raise InputError(f"This is a file of the kind {found!r}, not a video. Choose another one")


def plain_name(raw: str) -> str:
    """What a file is called here: no folder, no sign that a system or FFmpeg gives a meaning to, never empty."""
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", raw)[-1])
    name = "".join("_" if c == ":" or unicodedata.category(c).startswith("C") else c for c in name).strip(" .")
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix) > 8:
        stem, suffix = name, ""
    room = NAME_BYTES - len(suffix.encode()) - 1
    stem = stem.encode()[:room].decode(errors="ignore").strip(" .") or "video"
    return f"{stem}.{suffix}" if suffix else stem


def folder_videos(folder: Path) -> list[str]:
    """Names, relative to the folder, of the videos in it and below; links that lead out of it do not count."""
    found = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in VIDEO_SUFFIXES)
    names = (path.relative_to(folder).as_posix() for path in found)
    return [name for name in names if _inside(folder, name) is not None]


def folder_video(folder: Path, name: str) -> Path:
    """The file of that name in the folder.

    Raises:
        InputError: none, or a name that leads out of the folder.
    """
    path = _inside(folder, name)
    if path is None or path.suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError("There is no such video in the folder. Choose one of the list")
    return path


def _inside(folder: Path, name: str) -> Path | None:
    try:
        path = (folder / name).resolve()
        return path if path.is_file() and path.is_relative_to(folder.resolve()) else None
    except (OSError, ValueError):   # too long, or a NUL in it
        return None


def parse_bytes(text: str) -> int:
    """Reads a size such as 500MB or 2GB.

    Raises:
        InputError: none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(kb|mb|gb)\s*", text.lower())
    size = 0 if match is None else math.floor(float(match[1]) * UNITS[match[2]])
    if size < 1:
        raise InputError(f"size {text!r} is none; write e.g. 500MB or 2GB")
    return size


def too_large(most: int) -> str:
    """What is said of a file of more bytes."""
    return (f"This file is too large: at most {shown_bytes(most)} are taken here. "
            "Choose a smaller one, or make it smaller first")


def shown_bytes(size: int) -> str:
    """2 GB, 1.5 MB, 300 kB."""
    name, unit = next(((n, u) for n, u in (("GB", 10**9), ("MB", 10**6)) if size >= u), ("kB", 10**3))
    return f"{size / unit:.3g} {name}"


def shown_time(time_s: float) -> str:
    """3 hours, 90 minutes, 45 seconds."""
    name, unit = next(((n, u) for n, u in (("hour", 3600), ("minute", 60)) if time_s >= 2 * u or time_s == u),
                      ("second", 1))
    count = f"{time_s / unit:.3g}"
    return f"{count} {name}{'' if count == '1' else 's'}"
