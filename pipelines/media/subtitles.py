"""Subtitles: files in the formats SubRip, WebVTT and (Advanced) SubStation Alpha, and subtitle tracks of a video."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.packet import Packet
from av.stream import Disposition
from av.subtitles.stream import SubtitleStream

from common.errors import InputError
from common.files import atomic_path
from common.timecode import format_timestamp

from .container import decode_packets, open_container, read_packets
from .cues import Cue, Word, check_cue_limits
from .frames import probe_first_frame
from .rolling_captions import DisplayedCue, without_repetitions
from .subtitle_parsers import (
    FILE_HINT,
    LINE_END,
    SUBTITLE_SUFFIXES,
    ass_lines,
    displayed_cue,
    is_before_video,
    parse_subtitles,
)
from .text_encoding import decode_text

MAX_BYTES = 32 << 20
MIN_CUE_S = 0.2          # A part of a cue that is shown more briefly than this cannot be read.
TEXT_CODECS = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"}


@dataclass(frozen=True)
class SubtitleFile:
    """The contents of a subtitle file.

    Attributes:
        cues: at least one cue, sorted by time.
        encoding: name of the encoding of its text.
        encoding_note: a message if the encoding was guessed, or if bytes are damaged; else "".
    """

    cues: list[Cue]
    encoding: str
    encoding_note: str = ""


def read_subtitles(path: str | os.PathLike) -> list[Cue]:
    """Return the cues of a subtitle file; see `read_subtitle_file`."""
    return read_subtitle_file(path).cues


def read_subtitle_file(path: str | os.PathLike) -> SubtitleFile:
    """Read an .srt, .vtt, .ass or .ssa file.

    The format and the encoding are detected from the content. Tags are removed, the lines of a cue are joined, and
    empty cues are dropped. Of rolling captions, see `without_repetitions`, each line is kept once.

    Raises:
        InputError: the file is missing, binary or too large; or it has an invalid time, no text, or more text than
            `check_cue_limits` accepts.
    """
    path = Path(path)
    data = _read_bytes(path)
    decoded = decode_text(data)
    if decoded is None:
        if b"\0" in data:
            raise InputError(path, "is a binary file, not subtitles", FILE_HINT)
        raise InputError(path, "is not text in a known encoding", "save the subtitles as UTF-8")
    displayed = parse_subtitles(decoded.text, path)
    if not displayed:
        raise InputError(path, "its subtitles have times but no text after the start of the video",
                         "specify another file")
    cues = without_repetitions(sorted(displayed, key=_by_time))
    check_cue_limits(cues, path)
    return SubtitleFile(cues, decoded.encoding, decoded.note)


def find_subtitles(folder: Path, name: str) -> Path | None:
    """Return the subtitle file of a video, `{name}.srt`, .vtt, .ass or .ssa, in a folder; None if there is none."""
    suffixes = [cased for suffix in SUBTITLE_SUFFIXES for cased in (suffix, suffix.upper())]
    return next((path for suffix in suffixes if (path := folder / f"{name}{suffix}").is_file()), None)


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
        for less than 0.2 s is dropped, unless it is the complete cue. Words outside of the part have no times.
    """
    cut, joined_s = [], 0.0
    for start_s, end_s in intervals_s:
        offset_s = joined_s - float(start_s)
        for cue in cues:
            first_s, last_s = max(cue.start_s, float(start_s)), min(cue.end_s, float(end_s))
            if last_s > first_s and (last_s - first_s >= MIN_CUE_S or (first_s, last_s) == (cue.start_s, cue.end_s)):
                words = (Word(max(word.start_s, first_s), min(word.end_s, last_s), word.text) for word in cue.words
                         if word.start_s < last_s and word.end_s > first_s)
                cut.append(Cue(round(first_s + offset_s, 3), round(last_s + offset_s, 3), cue.text, tuple(
                    Word(round(word.start_s + offset_s, 3), round(word.end_s + offset_s, 3), word.text)
                    for word in words)))
        joined_s += float(end_s - start_s)
    return sorted(cut, key=_by_time)


def embedded_subtitles(path: str | os.PathLike) -> list[Cue]:
    """Read the default text subtitle track of a video file, or else the first one.

    Returns:
        Cues sorted by time, counted from the first frame; see `read_subtitle_file`. Empty if the video has no text
        track (bitmap subtitles, as on DVDs, do not count), or if the track has no text.

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
        displayed = []
        for packet in read_packets(container, track):
            if packet.pts is None or not packet.duration:
                continue
            start_s = float(packet.pts * packet.time_base - zero_s)
            end_s = start_s + float(packet.duration * packet.time_base)
            cue = _displayed_packet(packet, track, round(start_s, 3), round(end_s, 3))
            if cue.lines and not is_before_video(start_s, end_s):
                displayed.append(cue)
    cues = without_repetitions(sorted(displayed, key=_by_time))
    check_cue_limits(cues, path, "remove the subtitle track, or specify a subtitle file")
    return cues


def _displayed_packet(packet: Packet, track: SubtitleStream, start_s: float, end_s: float) -> DisplayedCue:
    if track.codec_context.name == "webvtt":   # FFmpeg's decoder would remove the times of the words.
        return displayed_cue(start_s, end_s, LINE_END.split(bytes(packet).decode("utf-8", "replace")), is_vtt=True)
    texts = [rect.ass.decode("utf-8", "replace").split(",", 8)[-1] for rect in decode_packets([packet], track)]
    return DisplayedCue(max(0.0, start_s), end_s, tuple(line for text in texts for line in ass_lines(text)))


def _by_time(cue: Cue | DisplayedCue) -> tuple[float, float]:
    return cue.start_s, cue.end_s


def _read_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(path, f"has {size:,} bytes and is over {MAX_BYTES >> 20} MB, too large for subtitles",
                             FILE_HINT)
        return path.read_bytes()
    except OSError as err:
        raise InputError(path, f"cannot be read ({err.strerror})", FILE_HINT) from err
