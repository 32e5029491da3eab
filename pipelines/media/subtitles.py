"""Subtitles: SubRip (.srt) and WebVTT (.vtt) files, and subtitle tracks of a video."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

from av.stream import Disposition
from av.subtitles.subtitle import AssSubtitle

from common.errors import InputError
from common.files import atomic_path
from common.timecode import format_timestamp, parse_timestamp

from .container import decode_packets, open_container, read_packets
from .cues import Cue, check_cue_limits
from .frames import probe_first_frame

TIMESTAMP = r"((?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,3})"
TIMES = re.compile(rf"\s*{TIMESTAMP}\s*-->\s*{TIMESTAMP}(?!\d)")   # WebVTT's position settings may follow.
BROKEN_TIMES = re.compile(r"\s*\d[\d:., ]*-->|.*-->\s*\d+:\d[\d:.,]*\s*$")
TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}")
LINE_END = re.compile(r"\r\n|\r|\n")
MAX_BYTES = 32 << 20
UTF16_PROBE_BYTES = 64   # UTF-16 without a byte order mark is detected by these bytes: the first number and its times.
MIN_CUE_S = 0.2          # A part of a cue that is shown more briefly than this cannot be read.
TEXT_CODECS = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"}
ASS_OVERRIDE = re.compile(r"\{[^{}]*\}")
ASS_BREAK = re.compile(r"\\[Nnh]")


def read_subtitles(path: str | os.PathLike) -> list[Cue]:
    """Read an .srt or .vtt file; tags are removed, lines are joined, and empty cues are dropped.

    Returns:
        At least one cue, sorted by time.

    Raises:
        InputError: the file is missing, too large, or not UTF-8 or UTF-16 text; or it has an invalid time, no text, or
            more text than `check_cue_limits` accepts.
    """
    path = Path(path)
    lines = LINE_END.split(_read_text(path))
    headers: list[int] = []                    # Indices of the lines with the cues' times.
    times_s: list[tuple[float, float]] = []   # Start and end of each cue.
    for i, line in enumerate(lines):
        if match := TIMES.match(line):
            headers.append(i)
            times_s.append((parse_timestamp(match[1]), parse_timestamp(match[2])))
        elif BROKEN_TIMES.match(line):
            raise InputError(path, f"line {i + 1}: {line.strip()[:60]!r} is not a pair of times",
                             "write times as 00:00:01,000 --> 00:00:02,500")
    if not headers:
        raise InputError(path, "contains no subtitles, no line such as 00:00:01,000 --> 00:00:02,500",
                         "specify an .srt or .vtt file")
    cues = []
    for header, following, (start_s, end_s) in zip(headers, [*headers[1:], None], times_s, strict=True):
        text = _cue_text(lines[header + 1:following], is_last=following is None)
        if end_s < start_s:
            raise InputError(path, f"line {header + 1}: the subtitle ends at {end_s} s before it starts at {start_s} s",
                             "correct its times")
        if text:
            cues.append(Cue(start_s, end_s, text))
    if not cues:
        raise InputError(path, "its subtitles have times but no text", "specify another file")
    check_cue_limits(cues, path)
    return sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))


def write_srt(path: str | os.PathLike, cues: Iterable[Cue]) -> None:
    """Write a SubRip file in UTF-8, atomically; cues are numbered in the given order."""
    blocks = []
    for number, cue in enumerate(cues, 1):
        if not 0 <= cue.start_s <= cue.end_s:
            raise ValueError(f"a subtitle from {cue.start_s} to {cue.end_s} s cannot be written")
        text = "\n".join(line for line in LINE_END.split(cue.text) if line.strip())
        start, end = format_timestamp(cue.start_s, ","), format_timestamp(cue.end_s, ",")
        blocks.append(f"{number}\n{start} --> {end}\n{text}\n")
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(blocks), encoding="utf-8")


def cut_cues(cues: Iterable[Cue], intervals_s: Sequence[tuple[Fraction, Fraction]]) -> list[Cue]:
    """Return the subtitles of the video that results from joining intervals of a video.

    Args:
        cues: subtitles in the video's time.
        intervals_s: [start, end) of the intervals, ascending and disjoint.

    Returns:
        Subtitles in the result's time, by start. A cue ends with its interval; a part of a cue that would be shown
        for less than 0.2 s is dropped, unless it is the complete cue.
    """
    cut, joined_s = [], 0.0
    for start_s, end_s in intervals_s:
        for cue in cues:
            first_s, last_s = max(cue.start_s, float(start_s)), min(cue.end_s, float(end_s))
            if last_s > first_s and (last_s - first_s >= MIN_CUE_S or (first_s, last_s) == (cue.start_s, cue.end_s)):
                offset_s = joined_s - float(start_s)
                cut.append(Cue(round(first_s + offset_s, 3), round(last_s + offset_s, 3), cue.text))
        joined_s += float(end_s - start_s)
    return sorted(cut, key=lambda cue: (cue.start_s, cue.end_s))


def embedded_subtitles(path: str | os.PathLike) -> list[Cue]:
    """Read the default text subtitle track of a video file, or else the first one.

    Returns:
        Cues sorted by time, counted from the first frame. Empty if the video has no text track (bitmap subtitles, as
        on DVDs, do not count), or if the track has no text.

    Raises:
        InputError: the file is not a video, none of its frames can be decoded, or the track has more text than
            `check_cue_limits` accepts.
    """
    with open_container(path) as container:
        tracks = [s for s in container.streams.subtitles if s.codec_context and s.codec_context.name in TEXT_CODECS]
        if not tracks:
            return []
        track = next((s for s in tracks if s.disposition & Disposition.default), tracks[0])
        zero_s, _ = probe_first_frame(path)
        cues = []
        for packet in read_packets(container, track):
            if packet.pts is None or not packet.duration:
                continue
            text = " ".join(filter(None, (_plain_text(rect) for rect in decode_packets([packet], track))))
            start_s = float(packet.pts * packet.time_base - zero_s)
            end_s = start_s + float(packet.duration * packet.time_base)
            if text and end_s > 0:
                cues.append(Cue(round(max(0.0, start_s), 3), round(end_s, 3), text))
    check_cue_limits(cues, path, "remove the subtitle track, or specify a subtitle file")
    return sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))


def _plain_text(rect: AssSubtitle) -> str:
    """Return the text of a decoded subtitle on one line, without override codes and tags."""
    text = ASS_BREAK.sub(" ", ASS_OVERRIDE.sub("", rect.dialogue.decode("utf-8", "replace")))
    return " ".join(html.unescape(TAG.sub("", text)).split())


def _read_text(path: Path) -> str:
    hint = "specify an .srt or .vtt file"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(path, f"has {path.stat().st_size:,} bytes and is over {MAX_BYTES >> 20} MB, too large for "
                             "subtitles", hint)
        data = path.read_bytes()
    except OSError as err:
        raise InputError(path, f"cannot be read ({err.strerror})", hint) from err
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif data[:1] == b"\0" != data[1:2] and _mostly_zeros(data[0:UTF16_PROBE_BYTES:2]):
        encoding = "utf-16-be"
    elif data[1:2] == b"\0" != data[:1] and _mostly_zeros(data[1:UTF16_PROBE_BYTES:2]):
        encoding = "utf-16-le"
    elif b"\0" in data[:UTF16_PROBE_BYTES]:
        raise InputError(path, "is a binary file, not subtitles", hint)
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as err:
        problem = f"is not valid {encoding[:6].rstrip('-').upper()} text"
        raise InputError(path, problem, "save the subtitles as UTF-8") from err


def _mostly_zeros(upper_bytes: bytes) -> bool:
    """Return True if most upper bytes of UTF-16 text are 0, as those of digits and Latin letters are."""
    return 2 * upper_bytes.count(0) > len(upper_bytes)


def _cue_text(lines: list[str], is_last: bool) -> str:
    """Return the text of a cue: its lines up to the first empty one, without the number of the next cue."""
    until = next((i for i, line in enumerate(lines) if not line.strip()), None)
    if until is None and not is_last and lines and lines[-1].strip().isdecimal():
        until = len(lines) - 1
    texts = (html.unescape(TAG.sub("", line)).strip() for line in lines[:until])
    return " ".join(filter(None, texts))
