"""Edit lists of a summary for editing programs and spreadsheets: EDL, OpenTimelineIO and CSV."""

from __future__ import annotations

import csv
import io
import re
import urllib.parse
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange

from common.files import atomic_path
from pipelines.media.probe import VideoInfo
from pipelines.summary import Piece

INTEGER_RATES = (24, 25, 30, 50, 60)
MAX_EDL_EVENTS = 999    # Event numbers of an EDL have three digits.
MAX_EDL_TITLE_CHARACTERS = 70
FORMULA_STARTS = ("=", "+", "-", "@", "\t")   # Spreadsheets evaluate cells that start with one of these.
COLUMNS = ("piece", "file", "start_s", "end_s", "first_frame", "last_frame", "cut_start_s", "cut_end_s", "score",
           "text")


def write_list(path: Path, info: VideoInfo, pieces: Sequence[Piece]) -> None:
    """Write an edit list atomically.

    Args:
        path: the file; its suffix `.csv`, `.edl` or `.otio` selects the format.
        info: the video.
        pieces: the kept pieces, in the order of the files.
    """
    texts = {".csv": lambda: csv_text(pieces), ".edl": lambda: edl_text(info, pieces),
             ".otio": lambda: otio.adapters.write_to_string(timeline(info, pieces), "otio_json") + "\n"}
    text = texts[path.suffix]()
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace", newline="")


def csv_text(pieces: Sequence[Piece]) -> str:
    """Return a CSV table (RFC 4180) with a header and a row per piece.

    Times are in seconds with three decimals, frames are inclusive. A query that a spreadsheet would evaluate as a
    formula is preceded by an apostrophe.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for number, piece in enumerate(pieces, 1):
        length_s = piece.end_s - piece.start_s
        values = (piece.start_s, piece.end_s, *piece.frames, piece.cut_start_s, piece.cut_start_s + length_s)
        cells = [f"{float(value):.3f}" if isinstance(value, Fraction) else value for value in values]
        text = "'" + piece.text if piece.text.startswith(FORMULA_STARTS) else piece.text
        writer.writerow([number, piece.file, *cells, f"{piece.score:.4f}", text])
    return buffer.getvalue()


def edit_rate(fps: Fraction) -> Fraction:
    """Return the frame rate of an edit list for a video.

    This is the SMPTE ST 12-1 rate within a thousandth of the rate of the video, else an integer multiple of the rate
    of the video, else 30.
    """
    nearest = Fraction(RationalTime.nearest_smpte_timecode_rate(float(fps))).limit_denominator(1001)
    if abs(nearest / fps - 1) < Fraction(1, 1000):
        return nearest
    return next((Fraction(rate) for rate in INTEGER_RATES if (rate / fps).denominator == 1), Fraction(30))


def first_frame(info: VideoInfo) -> int:
    """Return the frame number of the first frame at the edit rate, counted from 00:00:00:00 by the file's timecode."""
    if not info.timecode:
        return 0
    timecode_rate, rate = round(info.fps), edit_rate(info.fps)
    frames = _frame_count(info.timecode, timecode_rate, ";" in info.timecode and _supports_drop_frame(rate))
    return frames if timecode_rate == round(rate) else round(frames * rate / timecode_rate)


def _frame_count(timecode: str, rate: int, drop_frame: bool) -> int:
    """Return the number of frames since 00:00:00:00.

    Drop-frame timecode skips two (or four) frame numbers at the start of every minute except each tenth.
    """
    hours, minutes, seconds, frames = map(int, re.split("[:;]", timecode))
    minutes += 60 * hours
    dropped = rate // 15 * (minutes - minutes // 10) if drop_frame else 0
    return (60 * minutes + seconds) * rate + frames - dropped


def _supports_drop_frame(rate: Fraction) -> bool:
    """Return True for 29.97 and 59.94 frames per second."""
    return rate.denominator == 1001 and rate.numerator % 30000 == 0


def edl_text(info: VideoInfo, pieces: Sequence[Piece]) -> str:
    """Return an edit decision list in the format CMX 3600, with at most 999 events.

    Every event uses video and audio of one reel. Source times start at the timecode of the file, record times at
    00:00:00:00. Rates of 29.97 and 59.94 use drop-frame timecode, unless the timecode of the file does not.
    """
    rate, start = edit_rate(info.fps), first_frame(info)
    drop_frame = _supports_drop_frame(rate) and (not info.timecode or ";" in info.timecode)
    day = _frame_count("24:00:00:00", round(rate), drop_frame)

    def timecode(frames: int) -> str:
        return RationalTime(frames % day, float(rate)).to_timecode(float(rate), drop_frame)

    lines = [f"TITLE: {_one_line(info.path.stem)[:MAX_EDL_TITLE_CHARACTERS]}",
             f"FCM: {'' if drop_frame else 'NON-'}DROP FRAME", ""]
    recorded = 0
    for number, piece in enumerate(pieces[:MAX_EDL_EVENTS], 1):
        first, length = _frame_interval(piece, rate)
        times = (start + first, start + first + length, recorded, recorded + length)
        lines.append(f"{number:03}  AX       {'AA/V ' if info.has_audio else 'V    '} C        "
                     + " ".join(map(timecode, times)))
        lines.append(f"* FROM CLIP NAME: {_one_line(info.path.name)}")
        if piece.text:
            lines.append(f"* COMMENT: {_one_line(piece.text)}")
        recorded += length
    return "\n".join(lines) + "\n"


def timeline(info: VideoInfo, pieces: Sequence[Piece]) -> otio.schema.Timeline:
    """Return a timeline with a video track and, if the video has audio, an audio track.

    Each clip of the video track has a marker with the query that it matches.
    """
    rate, start = edit_rate(info.fps), first_frame(info)
    available = TimeRange(RationalTime(start, float(rate)), RationalTime(round(info.duration_s * rate), float(rate)))
    kinds = [otio.schema.TrackKind.Video, *([otio.schema.TrackKind.Audio] if info.has_audio else [])]
    result = otio.schema.Timeline(name=_one_line(info.path.stem))
    for kind in kinds:
        track = otio.schema.Track(name=kind, kind=kind)
        for piece in pieces:
            first, length = _frame_interval(piece, rate)
            media = otio.schema.ExternalReference(target_url=_url(info.path), available_range=available)
            source_range = TimeRange(RationalTime(start + first, float(rate)), RationalTime(length, float(rate)))
            clip = otio.schema.Clip(name=_one_line(info.path.name), media_reference=media, source_range=source_range)
            clip.metadata["score"] = round(piece.score, 4)
            if piece.text and kind == otio.schema.TrackKind.Video:
                clip.markers.append(otio.schema.Marker(name=_one_line(piece.text), marked_range=source_range))
            track.append(clip)
        result.tracks.append(track)
    return result


def _url(path: Path) -> str:
    return path.as_uri() if path.is_absolute() else urllib.parse.quote(str(path), errors="surrogateescape")


def _frame_interval(piece: Piece, rate: Fraction) -> tuple[int, int]:
    """Return the first frame of a piece and its number of frames, at least 1."""
    first = round(piece.start_s * rate)
    return first, max(1, round(piece.end_s * rate) - first)


def _one_line(text: str) -> str:
    """Return a text on one line, without control characters and characters that UTF-8 cannot encode."""
    shown = "".join(c if c.isprintable() or c == " " else " " for c in text)
    return " ".join(shown.encode("utf-8", "replace").decode("utf-8").split())
