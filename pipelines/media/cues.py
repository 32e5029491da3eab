"""Subtitle cues, and the limits on their number and length."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from common.errors import InputError
from common.timecode import format_clock

# Comparing the text of a video with a query takes time and memory in proportion to its length: about a minute and
# 300 MB for this much on two CPU cores. Fifteen hours of continuous speech have about 15,000 cues and 1 MB of text.
MAX_CUES = 20_000
MAX_TEXT_BYTES = 1_500_000   # In UTF-8. Bytes are closer to the number of tokens than characters are, in all scripts.
MAX_CUE_BYTES = 65_535       # The longest text sample of an MP4 file.
SHORTER_HINT = "specify the subtitles of this video only"


@dataclass(frozen=True)
class Word:
    """A word of a subtitle, spoken within [start_s, end_s)."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Cue:
    """A subtitle text shown over [start_s, end_s).

    Attributes:
        start_s: start in seconds.
        end_s: end in seconds, exclusive.
        text: the text on one line.
        words: the words with their times, if the file states them, as automatic captions do; otherwise empty.
    """

    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...] = field(default=(), compare=False)


def has_visible_text(text: str) -> bool:
    """Return False if a text has only spaces, control characters, combining marks, or undecodable characters."""
    return any(c != "\N{REPLACEMENT CHARACTER}" and unicodedata.category(c)[0] not in "ZCM" for c in text)


def check_cue_limits(cues: Sequence[Cue], path: str | os.PathLike | None = None,
                     hint: str = SHORTER_HINT) -> None:
    """Check that cues are short and few enough to be compared with queries.

    Args:
        cues: the subtitles of a video.
        path: their file, for the error.
        hint: remedy for the error.

    Raises:
        InputError: there are more than 20,000 cues, or more than 1.5 MB of text, or a cue of more than 65,535 bytes.
    """
    n_bytes = [len(cue.text.encode("utf-8", "replace")) for cue in cues]
    longest = max(range(len(cues)), key=n_bytes.__getitem__, default=0)
    if cues and n_bytes[longest] > MAX_CUE_BYTES:
        raise too_long_error(n_bytes[longest], cues[longest].start_s, path)
    if len(cues) > MAX_CUES:
        raise too_many_error(len(cues), path, hint)
    if sum(n_bytes) > MAX_TEXT_BYTES:
        raise InputError(path, f"contains {sum(n_bytes):,} bytes of subtitle text, and the limit is "
                         f"{MAX_TEXT_BYTES:,}", hint)


def too_many_error(n_cues: int, path: str | os.PathLike | None, hint: str = SHORTER_HINT) -> InputError:
    """Return the error for more than 20,000 cues."""
    return InputError(path, f"contains {n_cues:,} subtitles, and the limit is {MAX_CUES:,}", hint)


def too_long_error(n_bytes: int, start_s: float, path: str | os.PathLike | None) -> InputError:
    """Return the error for a cue of more than 65,535 bytes."""
    return InputError(path, f"the subtitle at {format_clock(max(0.0, start_s))} has {n_bytes:,} bytes of text, and the "
                      f"limit is {MAX_CUE_BYTES:,}", "split it into subtitles of a few seconds")
