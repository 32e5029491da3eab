"""Subtitles: SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from common.files import atomic_path

TIMES = re.compile(r"^\s*((?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,3})\s*-->\s*((?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,3})")
TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}")
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


@dataclass(frozen=True)
class Cue:
    """A line shown over [start_s, end_s)."""

    start_s: float
    end_s: float
    text: str


def read_subtitles(path: str | os.PathLike) -> list[Cue]:
    """Reads .srt and .vtt alike, sorted by time; tags and speaker marks are taken out, empty cues left out.

    Raises:
        InputError: no such file, not UTF-8 or UTF-16 text, not subtitles, or without a single line.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; name an .srt or .vtt file")
    data = path.read_bytes()
    encoding = BYTE_ORDER_MARKS.get(data[:3], BYTE_ORDER_MARKS.get(data[:2], "utf-8"))
    try:
        lines = data.decode(encoding).splitlines()
    except UnicodeDecodeError as err:
        raise InputError(f"{path}: not {encoding.upper()} text; save the subtitles as UTF-8") from err
    heads = [i for i, line in enumerate(lines) if TIMES.match(line)]
    if not heads:
        raise InputError(f"{path}: no subtitles in it, no line like 00:00:01,000 --> 00:00:02,500")
    cues = []
    for head, after in zip(heads, [*heads[1:], len(lines)], strict=True):
        start, end = TIMES.match(lines[head]).groups()
        text = _text(lines[head + 1:after])
        if text:
            cues.append(_cue(path, head + 1, start, end, text))
    if not cues:
        raise InputError(f"{path}: its subtitles have times but no words")
    return sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))


def write_srt(path: str | os.PathLike, cues: Iterable[Cue]) -> None:
    """Writes SubRip, UTF-8, whole or not at all."""
    blocks = [f"{i}\n{_clock(cue.start_s)} --> {_clock(cue.end_s)}\n{cue.text}\n" for i, cue in enumerate(cues, 1)]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(blocks), encoding="utf-8")


def _cue(path: Path, line: int, start: str, end: str, text: str) -> Cue:
    start_s, end_s = _seconds(start), _seconds(end)
    if end_s < start_s:
        raise InputError(f"{path}, line {line}: the subtitle ends at {end} before it starts at {start}; mend its times")
    return Cue(start_s, end_s, text)


def _text(lines: list[str]) -> str:
    """The words of a cue: up to the first empty line."""
    words = []
    for line in lines:
        if not line.strip():
            break
        words.append(html.unescape(TAG.sub("", line)).strip())
    return " ".join(filter(None, words))


def _seconds(clock: str) -> float:
    parts = clock.replace(",", ".").split(":")
    return round(sum(float(part) * 60**i for i, part in enumerate(reversed(parts))), 3)


def _clock(time_s: float) -> str:
    ms = round(time_s * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"
