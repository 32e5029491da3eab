"""Splits of TVSum and YouTube Highlights by domain."""

from __future__ import annotations

import os
from pathlib import Path

from common.build import suggest
from common.errors import InputError

from .json_files import read_json

SPLITS = Path(__file__).parents[1] / "splits"
SHORT_NAME_LEN = 3   # Domains can be abbreviated to three letters: gym, par, ska, ski and sur.


def domain_videos(split_path: str | os.PathLike, domain: str, split: str) -> list[str]:
    """Return the videos of one split of a domain.

    Args:
        split_path: JSON, domain -> `train` and `val` -> videos.
        domain: name in the split file, or its first three letters, which the published configs use.
        split: `train` or `val`.

    Raises:
        InputError: the file has no such domain or split.
    """
    splits = read_json(split_path)
    matches = [name for name in splits if len(domain) == SHORT_NAME_LEN and name.startswith(domain)]
    domain = matches[0] if domain not in splits and len(matches) == 1 else domain
    if domain not in splits:
        raise InputError(split_path, f"no domain {domain!r}", suggest(domain, splits))
    if split not in splits[domain]:
        raise InputError(split_path, f"{domain} has no split {split!r}", suggest(split, splits[domain]))
    return list(splits[domain][split])
