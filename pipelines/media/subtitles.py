"""Subtitles: SubRip (.srt), WebVTT (.vtt) and those inside a video."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.stream import Disposition
from av.subtitles.subtitle import AssSubtitle

from common.errors import InputError
from common.files import atomic_path
from pipelines.timecode import format_timestamp, parse_timestamp

from .container import decode_packets, first_picture, open_container, read_packets

CLOCK = r"((?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,3})"
TIMES = re.compile(rf"\s*{CLOCK}\s*-->\s*{CLOCK}(?!\d)")   # what follows is where on the picture it stands
BROKEN_TIMES = re.compile(r"\s*\d[\d:., ]*-->|.*-->\s*\d+:\d[\d:.,]*\s*$")
TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}")
LINE_END = re.compile(r"\r\n|\r|\n")
LARGEST_BYTES = 32 << 20
HEAD = 64   # bytes by which UTF-16 without a mark is known: the first number and its times
FLASH_S = 0.2   # a part of a line that is shown so briefly cannot be read
TEXT_TRACKS = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"}
ASS_MARK = re.compile(r"\{[^{}]*\}")
ASS_BREAK = re.compile(r"\\[Nnh]")


@dataclass(frozen=True)
class Cue:
    """A line shown over [start_s, end_s)."""

    start_s: float
    end_s: float
    text: str


def read_subtitles(path: str | os.PathLike) -> list[Cue]:
    """Reads .srt and .vtt alike; tags and marks are taken out, lines joined, empty cues left out.

    Returns:
        At least one cue, sorted by time.

    Raises:
        InputError: no such file, too large, not UTF-8 or UTF-16 text, a broken time, or no words.
    """
    path = Path(path)
    lines = LINE_END.split(_read_text(path))
    heads = []
    for i, line in enumerate(lines):
        if TIMES.match(line):
            heads.append(i)
        elif BROKEN_TIMES.match(line):
            raise InputError(f"{path}, line {i + 1}: {line.strip()[:60]!r} is no pair of times like "
                             "00:00:01,000 --> 00:00:02,500; mend it")
    if not heads:
        raise InputError(f"{path}: no subtitles in it, no line like 00:00:01,000 --> 00:00:02,500; name an .srt "
                         "or .vtt file")
    cues = []
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        text = _text(lines[head + 1:following], is_last=following is None)
        start_s, end_s = map(parse_timestamp, TIMES.match(lines[head]).groups())
        if end_s < start_s:
            raise InputError(f"{path}, line {head + 1}: the subtitle ends at {end_s} s before it starts at {start_s} "
                             "s; mend its times")
        if text:
            cues.append(Cue(start_s, end_s, text))
    if not cues:
        raise InputError(f"{path}: its subtitles have times but no words; name another file")
    return sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))


def write_srt(path: str | os.PathLike, cues: Iterable[Cue]) -> None:
    """Writes SubRip, UTF-8, whole or not at all; cues are numbered in the order given."""
    blocks = []
    for number, cue in enumerate(cues, 1):
        if not 0 <= cue.start_s <= cue.end_s:
            raise ValueError(f"no subtitle from {cue.start_s} to {cue.end_s} s can be written")
        text = "\n".join(line for line in LINE_END.split(cue.text) if line.strip())
        start, end = format_timestamp(cue.start_s, ","), format_timestamp(cue.end_s, ",")
        blocks.append(f"{number}\n{start} --> {end}\n{text}\n")
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(blocks), encoding="utf-8")


def cut_cues(cues: Iterable[Cue], intervals_s: Sequence[tuple[Fraction, Fraction]]) -> list[Cue]:
    """Subtitles of a video that was cut, in the result's time.

    Args:
        cues: in the video's time.
        intervals_s: [start, end) of the pieces, ascending and apart.

    Returns:
        By rising start. A line goes as far as its piece does; what would flash for under 0.2 s, though the
        line is longer, is left out.
    """
    cut, joined_s = [], 0.0
    for start_s, end_s in intervals_s:
        for cue in cues:
            first_s, last_s = max(cue.start_s, float(start_s)), min(cue.end_s, float(end_s))
            if last_s > first_s and (last_s - first_s >= FLASH_S or (first_s, last_s) == (cue.start_s, cue.end_s)):
                offset_s = joined_s - float(start_s)
                cut.append(Cue(round(first_s + offset_s, 3), round(last_s + offset_s, 3), cue.text))
        joined_s += float(end_s - start_s)
    return sorted(cut, key=lambda cue: (cue.start_s, cue.end_s))


def own_subtitles(path: str | os.PathLike) -> list[Cue]:
    """The subtitles inside a video file: its default or else its first track of text.

    Returns:
        Cues sorted by time, counted from the first picture; none without such a track (pictures of text, as on
        discs, are none), or where it holds no words.

    Raises:
        InputError: not a video, or none of its pictures can be decoded.
    """
    with open_container(path) as container:
        tracks = [s for s in container.streams.subtitles if s.codec_context and s.codec_context.name in TEXT_TRACKS]
        if not tracks:
            return []
        track = next((s for s in tracks if s.disposition & Disposition.default), tracks[0])
        zero_s, _ = first_picture(path)
        cues = []
        for packet in read_packets(container, track):
            if packet.pts is None or not packet.duration:
                continue
            text = " ".join(filter(None, (_line(rect) for rect in decode_packets([packet], track))))
            start_s = float(packet.pts * packet.time_base - zero_s)
            end_s = start_s + float(packet.duration * packet.time_base)
            if text and end_s > 0:
                cues.append(Cue(round(max(0.0, start_s), 3), round(end_s, 3), text))
    return sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))


def _line(rect: AssSubtitle) -> str:
    """The words of a decoded subtitle, without its marks; a line break is a space."""
    words = ASS_BREAK.sub(" ", ASS_MARK.sub("", rect.dialogue.decode("utf-8", "replace")))
    return " ".join(html.unescape(TAG.sub("", words)).split())


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InputError(f"{path}: over {LARGEST_BYTES >> 20} MB, too large for subtitles; name an .srt or .vtt "
                             "file")
        data = path.read_bytes()
    except OSError as err:
        raise InputError(f"{path}: cannot be read ({err.strerror}); name an .srt or .vtt file") from err
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif data[:1] == b"\0" != data[1:2] and _every_second_is_zero(data[0:HEAD:2]):
        encoding = "utf-16-be"
    elif data[1:2] == b"\0" != data[:1] and _every_second_is_zero(data[1:HEAD:2]):
        encoding = "utf-16-le"
    elif b"\0" in data[:HEAD]:
        raise InputError(f"{path}: not subtitles, but another kind of file; name an .srt or .vtt file")
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as err:
        raise InputError(f"{path}: not {encoding[:6].rstrip('-').upper()} text; save the subtitles as UTF-8") from err


def _every_second_is_zero(halves: bytes) -> bool:
    """Whether most of the letters' upper bytes are 0, as those of numbers, times and plain letters in UTF-16 are."""
    return 2 * halves.count(0) > len(halves)


def _text(lines: list[str], is_last: bool) -> str:
    """The words of a cue: up to the first empty line, without the next cue's number."""
    until = next((i for i, line in enumerate(lines) if not line.strip()), None)
    if until is None and not is_last and lines and lines[-1].strip().isdecimal():
        until = len(lines) - 1
    words = (html.unescape(TAG.sub("", line)).strip() for line in lines[:until])
    return " ".join(filter(None, words))
