"""The Jinja2 environment that renders HTML; it escapes everything that is not `Markup`."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
REPLACEMENT_CHARACTER = "\ufffd"
_NOT_PRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def create_environment(folders: Sequence[Path] = ()) -> Environment:
    """Return an environment with autoescape, in which undefined variables are errors.

    Args:
        folders: folders of further templates. They can import the macros of `charts.html`.
    """
    environment = Environment(loader=FileSystemLoader([*folders, TEMPLATES]), autoescape=True,
                              undefined=StrictUndefined, finalize=_finalize, trim_blocks=True, lstrip_blocks=True)
    environment.policies["json.dumps_kwargs"] = dict(allow_nan=False)   # JSON has no NaN.
    return environment


def printable(text: str) -> str:
    """Return a text with a replacement character for each character that HTML does not allow."""
    return _NOT_PRINTABLE.sub(REPLACEMENT_CHARACTER, text)


def image_url(jpeg: bytes) -> str:
    """Return a data URL that contains a JPEG file."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _finalize(value: Any) -> Any:
    """Clean the value of a template expression before it is escaped."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


ENVIRONMENT = create_environment()
