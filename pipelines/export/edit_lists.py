"""What a cut keeps, for editing programs and spreadsheets: EDL, OpenTimelineIO and CSV."""

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

WHOLE_RATES = (24, 25, 30, 50, 60)
MOST_EVENTS = 999     # an EDL numbers its events with three digits
COLUMNS = ("piece", "file", "start_s", "end_s", "first_frame", "last_frame", "cut_start_s", "cut_end_s", "score",
           "text")


def csv_text(pieces: Sequence[Piece]) -> str:
    """A table (RFC 4180) with a head, a row per piece; seconds to the millisecond, frames inclusive.

    A sentence that a spreadsheet would take for a formula stands after an apostrophe.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for number, piece in enumerate(pieces, 1):
        length_s = piece.end_s - piece.start_s
        times = (piece.start_s, piece.end_s, *piece.frames, piece.cut_start_s, piece.cut_start_s + length_s)
        shown = [f"{float(t):.3f}" if isinstance(t, Fraction) else t for t in times]
        text = "'" + piece.text if piece.text.startswith(("=", "+", "-", "@", "\t")) else piece.text
        writer.writerow([number, piece.file, *shown, f"{piece.score:.4f}", text])
    return buffer.getvalue()


def edit_rate(fps: Fraction) -> Fraction:
    """The frame rate of the lists: the video's if SMPTE ST 12-1 counts in it, else a multiple, else 30.

    A rate within a thousandth of such a one is taken for it.
    """
    nearest = Fraction(RationalTime.nearest_smpte_timecode_rate(float(fps))).limit_denominator(1001)
    if abs(nearest / fps - 1) < Fraction(1, 1000):
        return nearest
    return next((Fraction(r) for r in WHOLE_RATES if (r / fps).denominator == 1), Fraction(30))


def first_frame(info: VideoInfo) -> int:
    """The number of a video's first picture, counted from 00:00:00:00 at the edit rate, by the file's timecode."""
    if not info.timecode:
        return 0
    per_s, rate = round(info.fps), edit_rate(info.fps)
    frames = _count(info.timecode, per_s, ";" in info.timecode and _may_drop(rate))
    return frames if per_s == round(rate) else round(frames * rate / per_s)


def _count(timecode: str, per_s: int, drops: bool) -> int:
    """Frames since 00:00:00:00; of those that drop frames every minute but each tenth begins two (or four) later."""
    hours, minutes, seconds, frames = map(int, re.split("[:;]", timecode))
    minutes += 60 * hours
    left_out = per_s // 15 * (minutes - minutes // 10) if drops else 0
    return (60 * minutes + seconds) * per_s + frames - left_out


def _may_drop(rate: Fraction) -> bool:
    return rate.denominator == 1001 and rate.numerator % 30000 == 0


def edl_text(info: VideoInfo, pieces: Sequence[Piece]) -> str:
    """An edit decision list as the CMX 3600 reads it, 999 events at most; the rest stands in the other formats.

    Every event cuts pictures and sound of one reel; source times begin with the file's own timecode, record times
    at 00:00:00:00. Rates of 29.97 and 59.94 are counted with drop frames, unless the file's timecode is not.
    """
    rate, begin = edit_rate(info.fps), first_frame(info)
    drops = _may_drop(rate) and (not info.timecode or ";" in info.timecode)
    day = _count("24:00:00:00", round(rate), drops)

    def timecode(frames: int) -> str:
        return RationalTime(frames % day, float(rate)).to_timecode(float(rate), drops)

    lines = [f"TITLE: {_line(info.path.stem)[:70]}", f"FCM: {'' if drops else 'NON-'}DROP FRAME", ""]
    recorded = 0
    for number, piece in enumerate(pieces[:MOST_EVENTS], 1):
        first, length = _range(piece, rate)
        times = (begin + first, begin + first + length, recorded, recorded + length)
        lines.append(f"{number:03}  AX       {'AA/V ' if info.has_audio else 'V    '} C        "
                     + " ".join(map(timecode, times)))
        lines.append(f"* FROM CLIP NAME: {_line(info.path.name)}")
        if piece.text:
            lines.append(f"* COMMENT: {_line(piece.text)}")
        recorded += length
    return "\n".join(lines) + "\n"


def timeline(info: VideoInfo, pieces: Sequence[Piece]) -> otio.schema.Timeline:
    """The cut as a timeline of pictures and, if there is sound, of sound; a marker tells what a piece shows."""
    rate, begin = edit_rate(info.fps), first_frame(info)
    whole = TimeRange(RationalTime(begin, float(rate)), RationalTime(round(info.duration_s * rate), float(rate)))
    kinds = [otio.schema.TrackKind.Video, *([otio.schema.TrackKind.Audio] if info.has_audio else [])]
    result = otio.schema.Timeline(name=_line(info.path.stem))
    for kind in kinds:
        track = otio.schema.Track(name=kind, kind=kind)
        for piece in pieces:
            first, length = _range(piece, rate)
            media = otio.schema.ExternalReference(target_url=_address(info.path), available_range=whole)
            shown = TimeRange(RationalTime(begin + first, float(rate)), RationalTime(length, float(rate)))
            clip = otio.schema.Clip(name=_line(info.path.name), media_reference=media, source_range=shown)
            clip.metadata["score"] = round(piece.score, 4)
            if piece.text and kind == otio.schema.TrackKind.Video:
                clip.markers.append(otio.schema.Marker(name=_line(piece.text), marked_range=shown))
            track.append(clip)
        result.tracks.append(track)
    return result


def _address(path: Path) -> str:
    return path.as_uri() if path.is_absolute() else urllib.parse.quote(str(path), errors="surrogateescape")


def write_list(path: Path, info: VideoInfo, pieces: Sequence[Piece]) -> None:
    """Writes .csv, .edl or .otio, whole or not at all."""
    texts = {".csv": lambda: csv_text(pieces), ".edl": lambda: edl_text(info, pieces),
             ".otio": lambda: otio.adapters.write_to_string(timeline(info, pieces), "otio_json") + "\n"}
    text = texts[path.suffix]()
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace", newline="")


def _range(piece: Piece, rate: Fraction) -> tuple[int, int]:
    """First frame and number of frames, at least one."""
    first = round(piece.start_s * rate)
    return first, max(1, round(piece.end_s * rate) - first)


def _line(text: str) -> str:
    """A text in one line, without control characters or what no encoding holds."""
    shown = "".join(c if c.isprintable() or c == " " else " " for c in text)
    return " ".join(shown.encode("utf-8", "replace").decode("utf-8").split())

