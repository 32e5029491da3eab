"""Names of the files that an export writes into its folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

from .options import ShortsOptions

SUMMARY_VIDEO = "summary.mp4"       # Contains all pieces.
REPORT_FILE = "report.html"
JSON_FILE = "summary.json"
EDIT_LISTS = ("csv", "edl", "otio")  # Formats, which are also the suffixes of the files.

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


def earlier_files(folder: Path) -> list[str]:
    """Return the files of an earlier export in a folder: those that its summary.json lists and that still exist."""
    try:
        files = json.loads((folder / JSON_FILE).read_text(encoding="utf-8"))["files"]
        return [name for name in files
                if isinstance(name, str) and _WRITTEN_FILE.fullmatch(name) and (folder / name).is_file()]
    except (OSError, ValueError, KeyError, TypeError):
        return []
