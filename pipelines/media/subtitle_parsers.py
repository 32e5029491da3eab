"""Parse the text of subtitle files: SubRip, WebVTT, and (Advanced) SubStation Alpha."""

from __future__ import annotations

import html
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from common.errors import InputError
from common.timecode import parse_timestamp

from .cues import MAX_CUE_BYTES, MAX_CUES, Word, has_visible_text, too_long_error, too_many_error
from .rolling_captions import DisplayedCue

SUBTITLE_SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
FILE_HINT = "specify an .srt, .vtt, .ass or .ssa file"
TIMES_HINT = "write times as 00:00:01,000 --> 00:00:02,500"
MAX_DISPLAYED_CUES = 4 * MAX_CUES   # Rolling captions have twice as many cues as lines.
MAX_MARKUP_FACTOR = 10   # Text with tags is at most this much longer than text without.
SHOWN_CHARACTERS = 60   # An error message quotes this much of an invalid line.

LINE_END = re.compile(r"\r{0,2}\n|\r")   # Some programs write \r\r\n.
INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069]")   # E.g. marks of the direction of text.
TIME = re.compile(r"[-\N{MINUS SIGN}]?(?:(?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,9}|\d+:\d\d:\d\d)")
TIMES = re.compile(rf"\s*({TIME.pattern})\s*(?:--?|\N{{EN DASH}}|\N{{EM DASH}})>\s*({TIME.pattern})(?!\S)(.*)")
BROKEN_TIMES = re.compile(r"\s*-?\d+:\d[\d:., ]*-->|.*-->\s*-?\d+:\d[\d:.,]*\s*$")
INLINE_TIME = re.compile(r"<((?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,3})>")
TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.,]*>|\{\\[^{}]*\}")
RUBY_TEXT = re.compile(r"<rt\b[^<>]*>.*?(?:</rt>|(?=</ruby>)|$)")   # The pronunciation of the text before it.
# A drawing of SubStation Alpha, of which a conversion to another format leaves only the path.
DRAWING = re.compile(r"\bm(?:\s+-?\d+(?:\.\d+)?){2}(?:\s+[nlbspc](?:\s+-?\d+(?:\.\d+)?)*)+")
IS_VTT = re.compile(r"\s*WEBVTT(?:\s|$)")
VTT_OTHER_BLOCK = re.compile(r"(?:NOTE|STYLE|REGION|WEBVTT)(?:\s|$)|X-TIMESTAMP-MAP=")
IS_ASS = re.compile(r"^[ \t]*\[(?:Script Info|V4\+? Styles|Events)\]|^Dialogue:.*?,.*?,", re.IGNORECASE | re.MULTILINE)
ASS_FIELDS = ["Layer", "Start", "End", "Style", "Name", "MarginL", "MarginR", "MarginV", "Effect", "Text"]
ASS_OVERRIDES = re.compile(r"(?<!\\)\{([^{}]*)\}")   # A backslash before a brace makes it text.
ASS_DRAWING = re.compile(r"\\p(\d+)")
ASS_LINE_BREAK = re.compile(r"\\[Nn]")


class _Header(NamedTuple):
    """The line with the times of a cue.

    Attributes:
        line: its index.
        start_s: start in seconds.
        end_s: end in seconds.
        text: text on the same line, which some programs write there.
    """

    line: int
    start_s: float
    end_s: float
    text: str


def parse_subtitles(text: str, path: str | os.PathLike) -> list[DisplayedCue]:
    """Parse the text of a subtitle file; its format is detected from the content.

    Args:
        text: the complete text.
        path: the file, for errors.

    Returns:
        The cues in the order of the file. Cues without text are dropped. Negative times become 0, and a cue that
        consists of negative times is dropped.

    Raises:
        InputError: the file has no times, a cue with invalid ones, or far too many cues.
    """
    text = text.replace("\ufeff", "").replace("\0", "")
    n_cues = max(text.count("-->"), text.count("\nDialogue:"))
    if n_cues > MAX_DISPLAYED_CUES:   # Parsing them would take long.
        raise too_many_error(n_cues, path)
    if IS_VTT.match(text):
        cues = _parse_timed_lines(text, path, is_vtt=True)
    elif IS_ASS.search(text):
        cues = _parse_ass(text, path)
    else:
        cues = _parse_timed_lines(text, path, is_vtt=False)
    return [cue for cue in cues if cue.lines]


def _parse_timed_lines(text: str, path: str | os.PathLike, *, is_vtt: bool) -> list[DisplayedCue]:
    """Parse SubRip or WebVTT, where lines of text follow a line with two times."""
    lines = LINE_END.split(text)
    headers = list(_find_headers(lines, path))
    if not headers:
        raise InputError(path, "contains no subtitles, no line such as 00:00:01,000 --> 00:00:02,500", FILE_HINT)
    ends = list(_text_ends(lines, [header.line for header in headers]))
    cues = []
    for header, end, following in itertools.zip_longest(headers, ends, headers[1:]):
        if header.end_s < header.start_s:
            raise InputError(path, f"line {header.line + 1}: the subtitle ends at {header.end_s} s before it starts at "
                             f"{header.start_s} s", "correct its times")
        if is_before_video(header.start_s, header.end_s):
            continue
        texts = lines[header.line + 1:end]
        _check_length(texts, header.start_s, path)
        if is_vtt:
            texts = _vtt_texts(texts, has_identifier=following is not None and end == following.line)
        cues.append(displayed_cue(header.start_s, header.end_s, [header.text, *texts], is_vtt=is_vtt))
    return cues


def _find_headers(lines: Sequence[str], path: str | os.PathLike) -> Iterator[_Header]:
    """Yield the lines with times; an arrow elsewhere is text.

    Raises:
        InputError: a line where times are expected has an arrow and an invalid time.
    """
    for i, line in enumerate(lines):
        if ">" not in line:
            continue
        line = INVISIBLE.sub("", line)
        before = _visible(lines[i - 1]) if i else ""
        is_expected = not before or before.isdecimal()   # Times follow an empty line or a number.
        match = TIMES.match(line)
        if match:
            rest = match[3].strip()
            is_settings = all(":" in word for word in rest.split())   # WebVTT's position settings.
            if is_settings or is_expected:
                yield _Header(i, _parse_time(match[1]), _parse_time(match[2]), "" if is_settings else rest)
        elif is_expected and BROKEN_TIMES.match(line):
            raise InputError(path, f"line {i + 1}: {line.strip()[:SHOWN_CHARACTERS]!r} is not a pair of times",
                             TIMES_HINT)


def _check_length(lines: Sequence[str], start_s: float, path: str | os.PathLike) -> None:
    """Check that the lines of a cue are not far too long, before they are parsed; see `check_cue_limits`."""
    n_characters = sum(map(len, lines))
    if n_characters > MAX_MARKUP_FACTOR * MAX_CUE_BYTES:
        raise too_long_error(n_characters, start_s, path)


def _parse_time(text: str) -> float:
    unsigned = text.lstrip("-\N{MINUS SIGN}")
    return parse_timestamp(unsigned) * (1 if unsigned == text else -1)


def _text_ends(lines: Sequence[str], headers: Sequence[int]) -> Iterator[int]:
    """Yield for each cue the line after its text, which is the number of the next cue, if that has one.

    A number belongs to the next cue if it is right above its times and most cues have one there, or if it continues
    the numbers before. Any other number is text.
    """
    is_numbered = 2 * sum(i > 0 and _visible(lines[i - 1]).isdecimal() for i in headers) > len(headers)
    number, first = None, 0
    for header in headers:
        last = header - 1   # The last line above the times that is not empty.
        while last >= first and not _visible(lines[last]):
            last -= 1
        found = _visible(lines[last])[:9] if last >= first else ""
        is_number = found.isdecimal() and ((is_numbered and last == header - 1)
                                           or (number is not None and int(found) == number + 1))
        if first:
            yield last if is_number else header
        number, first = int(found) if found.isdecimal() and (is_number or not first) else number, header + 1
    yield len(lines)


def _visible(line: str) -> str:
    return INVISIBLE.sub("", line).strip()


def _vtt_texts(lines: Sequence[str], *, has_identifier: bool) -> list[str]:
    """Return the lines of text between the times of a cue and the next times.

    An empty line ends a cue of WebVTT; a line of spaces does not. The text of other blocks is kept because programs
    that convert SubRip write empty lines into cues. Comments, styles, and the identifier of the next cue are no text.

    Args:
        lines: the lines below the times.
        has_identifier: True if the next times follow, so that a single line right above them is their identifier.
    """
    groups = [list(group) for is_text, group in itertools.groupby(lines, bool) if is_text]
    is_first_text = bool(lines and lines[0])
    if has_identifier and lines and lines[-1] and len(groups) > is_first_text and len(groups[-1]) == 1:
        groups.pop()
    kept = [group for i, group in enumerate(groups)
            if (i == 0 and is_first_text) or not VTT_OTHER_BLOCK.match(group[0])]
    return [line for group in kept for line in group]


def _parse_ass(text: str, path: str | os.PathLike) -> list[DisplayedCue]:
    """Parse (Advanced) SubStation Alpha; like renderers, skip events that do not end after their start."""
    fields, cues, n_events = ASS_FIELDS, [], 0
    for number, line in enumerate(LINE_END.split(text), 1):
        kind, _, rest = line.strip().partition(":")
        if kind == "Format" and "Text" in rest:   # The format of styles has no text.
            fields = [field.strip() for field in rest.split(",")]
        elif kind == "Dialogue":
            n_events += 1
            event = dict(zip(fields, rest.split(",", len(fields) - 1), strict=False))
            start_s, end_s = (_parse_ass_time(event.get(name, ""), number, path) for name in ("Start", "End"))
            _check_length([line], start_s, path)
            if start_s < end_s and not is_before_video(start_s, end_s):
                cues.append(DisplayedCue(max(0.0, start_s), end_s, ass_lines(event.get("Text", ""))))
    if not n_events:
        raise InputError(path, "contains no subtitles, no line such as Dialogue: 0,0:00:01.00,0:00:02.50,...",
                         FILE_HINT)
    return cues


def _parse_ass_time(text: str, line: int, path: str | os.PathLike) -> float:
    if not TIME.fullmatch(text.strip()):
        raise InputError(path, f"line {line}: {text.strip()[:SHOWN_CHARACTERS]!r} is not a time",
                         "write times as 0:00:01.00")
    return _parse_time(text.strip())


def is_before_video(start_s: float, end_s: float) -> bool:
    """Return True if a cue starts before 0 and is over at 0."""
    return start_s < 0 and end_s <= 0


def ass_lines(text: str) -> tuple[str, ...]:
    """Return the lines of the text of an ASS event, without override codes, comments, and drawings."""
    spoken, is_drawing = [], False
    for i, part in enumerate(ASS_OVERRIDES.split(text)):   # Text and override codes alternate.
        if i % 2 == 0:
            spoken += [] if is_drawing else [part]
        for scale in ASS_DRAWING.findall(part) if i % 2 else ():
            is_drawing = scale.strip("0") != ""
    text = "".join(spoken).replace(r"\{", "{").replace(r"\}", "}")
    lines = (" ".join(plain_line(line).split()) for line in ASS_LINE_BREAK.split(text))
    return tuple(line for line in lines if has_visible_text(line))


def displayed_cue(start_s: float, end_s: float, texts: Iterable[str], *, is_vtt: bool = False) -> DisplayedCue:
    """Return a cue from its lines as a SubRip or WebVTT file contains them."""
    lines, words = [], []
    for text in texts:
        text = text if is_vtt else ASS_LINE_BREAK.sub(" ", text)
        line = plain_line(text)
        if has_visible_text(line):
            lines.append(line)
            words += _timed_words(text, start_s, end_s)
    return DisplayedCue(max(0.0, start_s), end_s, tuple(lines), tuple(words))


def plain_line(line: str) -> str:
    """Return a line without tags, override codes and drawings, and with character references replaced."""
    line = RUBY_TEXT.sub("", line) if "<rt" in line else line
    return DRAWING.sub("", html.unescape(TAG.sub("", line)).replace(r"\h", " ")).strip()


def _timed_words(line: str, start_s: float, end_s: float) -> list[Word]:
    """Return the words of a line with times inside, such as `good<00:00:00.719><c> morning</c>`; else nothing.

    A word ends when the next one starts, at the latest. Times are clipped to those of the cue.
    """
    first, *others = INLINE_TIME.split(line)
    if not others:
        return []
    starts_s: list[float] = []
    texts: list[str] = []
    joins = False   # True if the next part continues the last word.
    parts = [(start_s, first), *zip(map(parse_timestamp, others[::2]), others[1::2], strict=True)]
    for part_s, part in parts:
        plain = html.unescape(TAG.sub("", part))
        new = plain.split()
        if new and joins and not plain[0].isspace():
            texts[-1] += new.pop(0)
        texts += new
        starts_s += [min(max(part_s, start_s, 0.0), end_s)] * len(new)
        joins = bool(texts) and not plain[-1:].isspace()
    ends_s = [*starts_s[1:], end_s]
    return [Word(*word) for word in zip(starts_s, ends_s, texts, strict=True)]
