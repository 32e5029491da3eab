"""Options of an export."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from common.errors import InputError
from pipelines.file_names import EDIT_LISTS

COPY_MODES = ("auto", "always")   # Values of `ExportOptions.copy` other than True and False.
MIN_ASPECT, MAX_ASPECT = Fraction(1, 4), Fraction(4)
_ASPECT = re.compile(r"\s*(\d{1,5})\s*[:x/]\s*(\d{1,5})\s*")


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        copy: copy the video stream instead of re-encoding it. This is fast, but pieces start at key frames. True or
            "auto" re-encodes a video that cannot be copied; "always" raises an error instead.
        aspect: width to height to which the video is cropped; None keeps the complete frame.
        edit_lists: formats of edit lists to write, of `EDIT_LISTS`.

    Raises:
        InputError: `copy` is another text; or `copy` and `aspect` are given, but a copied video stream cannot be
            cropped.
    """

    copy: bool | str = False
    aspect: Fraction | None = None
    edit_lists: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.copy, str) and self.copy not in COPY_MODES:
            raise InputError(None, f"copy mode {self.copy!r} does not exist", f"choose {' or '.join(COPY_MODES)}")
        if self.copy and self.aspect is not None:
            raise InputError(None, "--copy does not re-encode the video, so --aspect cannot crop it",
                             "leave out --copy or --aspect")

    @property
    def copy_required(self) -> bool:
        """True if a video that cannot be copied is an error."""
        return self.copy == "always"


DEFAULT_OPTIONS = ExportOptions()


def parse_edit_lists(text: str) -> tuple[str, ...]:
    """Return the formats in a comma-separated list such as `csv,edl`.

    Raises:
        InputError: a format is unknown, or the list is empty.
    """
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in EDIT_LISTS:
            raise InputError(None, f"export format {name!r} does not exist",
                             f"choose from {', '.join(EDIT_LISTS)}, e.g. csv,edl")
    if not names:
        raise InputError(None, f"export list {text!r} is empty", f"choose from {', '.join(EDIT_LISTS)}")
    return names


def parse_aspect(text: str) -> Fraction:
    """Return the aspect ratio in a text such as `9:16`.

    Raises:
        InputError: the text has another form, or the ratio is not between 1:4 and 4:1.
    """
    match = _ASPECT.fullmatch(text)
    if match is None or not int(match[2]) or not MIN_ASPECT <= Fraction(int(match[1]), int(match[2])) <= MAX_ASPECT:
        raise InputError(None, f"aspect {text!r} is not a ratio from 1:4 to 4:1", "give width and height, e.g. 9:16")
    return Fraction(int(match[1]), int(match[2]))
