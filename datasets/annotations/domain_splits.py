"""Which videos belong to a domain, and its split."""

from __future__ import annotations

import json
import os
from pathlib import Path

from common.build import suggest
from common.errors import InputError

SPLITS = Path(__file__).parents[1] / "splits"
SHORT = 3   # letters of gym, par, ska, ski and sur


def read_json(path: str | os.PathLike) -> dict:
    """A JSON object.

    Raises:
        InputError: no such file, not JSON, no object.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as err:
        raise InputError(f"{path}: no such file; name a JSON file") from err
    except (OSError, UnicodeDecodeError, ValueError) as err:
        raise InputError(f"{path}: not readable as JSON ({err})") from err
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds a JSON {type(value).__name__}, not an object")
    return value


def domain_videos(split_path: str | os.PathLike, domain: str, split: str) -> list[str]:
    """The videos of a domain's split.

    Args:
        split_path: JSON, domain -> `train` and `val` -> videos.
        domain: as it stands there, or the first three letters, as the published configs are called.

    Raises:
        InputError: no such domain or split in it.
    """
    splits = read_json(split_path)
    short = [name for name in splits if len(domain) == SHORT and name.startswith(domain)]
    domain = short[0] if domain not in splits and len(short) == 1 else domain
    if domain not in splits:
        raise InputError(f"{split_path}: no domain {domain!r}; {suggest(domain, splits)}")
    if split not in splits[domain]:
        raise InputError(f"{split_path}: {domain} has no split {split!r}; {suggest(split, splits[domain])}")
    return list(splits[domain][split])


def padded(scores: list[float], clips: int) -> list[float]:
    """Scores of a video's first clips, made as long as its labels: clips beyond score below all others."""
    return list(scores[:clips]) + [min(scores, default=0) - 1] * (clips - len(scores))
