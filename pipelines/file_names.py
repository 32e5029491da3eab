"""Names of the files that an export writes into its folder."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from common.errors import InputError

from .options import ShortsOptions

SUMMARY_VIDEO = "summary.mp4"       # Contains all pieces.
REPORT_FILE = "report.html"
JSON_FILE = "summary.json"
EDIT_LISTS = ("csv", "edl", "otio")  # Formats, which are also the suffixes of the files.
CUT_SUFFIX = ".mp4"
# Suffixes that show that a path is meant to be a file, not a folder.
OTHER_SUFFIXES = (".json", ".html", ".srt", ".csv", ".edl", ".otio", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts",
                  ".gif")

_WRITTEN_FILE = re.compile(r"(short-\d+|summary)\.\w+|report\.html")


def short_name(rank: int) -> str:
    """Return the name of the video file of the short with a rank; the best short has rank 1."""
    return f"short-{rank}.mp4"


def subtitle_name(video: str) -> str:
    """Return the name of the subtitle file of a video file; players find it by the common stem."""
    return Path(video).with_suffix(".srt").name


def edit_list_name(suffix: str) -> str:
    """Return the name of the edit list in one of the formats `EDIT_LISTS`."""
    return f"summary.{suffix}"


def possible_files(mode: str, shorts: ShortsOptions) -> list[str]:
    """Return the names of all files that an export may write."""
    videos = [short_name(rank) for rank in range(1, shorts.count + 1)] if mode == "shorts" else [SUMMARY_VIDEO]
    return [*videos, *map(subtitle_name, videos), *map(edit_list_name, EDIT_LISTS), REPORT_FILE, JSON_FILE]


def parse_output(out: str, n_videos: int, mode: str) -> tuple[Path, Path | None]:
    """Return the output folder of a command, and the path of the cut if it is written to a file of another name, too.

    Args:
        out: a folder; or `NAME.mp4` for the folder `NAME` beside this file. An existing folder may have such a name.
        n_videos: number of videos.
        mode: `summary`, `moments` or `shorts`.

    Raises:
        InputError: `out` is the name of a file of another format, or one file for several cuts.
    """
    path, shown = Path(out), f"--out {out}"
    folder, suffix = path.with_suffix(""), path.suffix.lower()
    if (suffix not in OTHER_SUFFIXES and suffix != CUT_SUFFIX) or path.is_dir() or out.endswith(("/", os.sep)):
        return path, None
    if suffix != CUT_SUFFIX:
        raise InputError(None, f"{shown} is the name of a file, but not of an MP4 file",
                         f"specify a folder, e.g. --out {folder}, or the cut, e.g. --out {folder}.mp4")
    if n_videos > 1 or mode == "shorts":
        cuts = f"each of the {n_videos} videos" if n_videos > 1 else "each short"
        raise InputError(None, f"{shown} is the name of one file, but {cuts} has its own",
                         f"specify a folder, e.g. --out {folder}")
    return folder, path


def earlier_files(folder: Path) -> list[str]:
    """Return the files of an earlier export in a folder: those that its summary.json lists and that still exist."""
    try:
        files = json.loads((folder / JSON_FILE).read_text(encoding="utf-8"))["files"]
        return [name for name in files
                if isinstance(name, str) and _WRITTEN_FILE.fullmatch(name) and (folder / name).is_file()]
    except (OSError, ValueError, KeyError, TypeError):
        return []
