"""Checks of what a metric is given; each fault names the qid, the key and the value."""

from __future__ import annotations

import numpy as np

from common.errors import InputError

SHOWN_QIDS = 5
SHOWN_CHARACTERS = 60
ANY_WIDTH = -1   # for `numbers`


def match(predictions: list[dict], labels: list[dict]) -> dict:
    """The predictions by qid, when they and the labels hold the same qids, each once.

    Raises:
        InputError: no labels, an entry without a qid, a qid that is doubled, missing or unknown.
    """
    for what, entries in (("label", labels), ("prediction", predictions)):
        seen: set = set()
        doubled: set = set()
        for number, entry in enumerate(entries, 1):
            qid = entry.get("qid")
            if not isinstance(qid, (int, str)):
                raise InputError(f"{what} {number}: qid {qid!r} is not a number or text; give each query's own")
            (doubled if qid in seen else seen).add(qid)
        if doubled:
            raise InputError(f"the {what}s hold {_some(sorted(doubled, key=str))} more than once; keep one of each")
    by_qid = {p["qid"]: p for p in predictions}
    known = {label["qid"] for label in labels}
    missing = [label["qid"] for label in labels if label["qid"] not in by_qid]
    unknown = [qid for qid in by_qid if qid not in known]
    if missing:
        raise InputError(f"the predictions lack {_some(missing)} of the labels; predict every query")
    if unknown:
        raise InputError(f"the predictions hold {_some(unknown)}, which the labels lack; name the labels of that split")
    if not labels:
        raise InputError("no label to score against")
    return by_qid


def all_or_none(entries: list[dict], key: str, what: str) -> bool:
    """Whether the entries have the key; some with and some without is an InputError."""
    lacking = [entry["qid"] for entry in entries if key not in entry]
    if lacking and len(lacking) < len(entries):
        raise InputError(f"{what}s of {_some(lacking)} lack {key}, which others have; give it for all or for none")
    return not lacking


def numbers(entries: list[dict], key: str, width: int | None, what: str) -> list[np.ndarray]:
    """Every entry's finite numbers as float64.

    Args:
        width: None gives (N,); a width, or ANY_WIDTH, gives (N, width).
        what: `label` or `prediction`, for the message.

    Raises:
        InputError: the key lacks, or a value has another shape or is not of finite numbers.
    """
    arrays = [_array(entry.get(key), width) for entry in entries]
    sound = [a for a in arrays if a is not None]
    if len(sound) == len(entries) and np.isfinite(np.concatenate([a.ravel() for a in sound])).all():
        return [a.astype(np.float64, copy=False) for a in sound]
    entry = next(e for e, a in zip(entries, arrays, strict=True) if a is None or not np.isfinite(a).all())
    shapes = {None: "a list of", ANY_WIDTH: "a list of equally long lists of"}
    raise InputError(f"{what} of qid {entry['qid']}: {key} must be {shapes.get(width, f'a list of lists of {width}')} "
                     f"finite numbers, not {_short(entry.get(key))}")


def _array(value: object, width: int | None) -> np.ndarray | None:
    """The value as an array of the shape that `numbers` gives; None when it is not."""
    try:
        array = np.asarray(value)
    except ValueError:   # lists of unequal lengths
        return None
    if array.size == 0 and isinstance(value, (list, tuple, np.ndarray)):
        return np.zeros(0 if width is None else (0, max(width, 0)))
    fits = array.dtype.kind in "iuf" and array.ndim == (1 if width is None else 2)
    return array if fits and (width in (None, ANY_WIDTH) or array.shape[1] == width) else None


def positive(entry: dict, key: str, what: str) -> float:
    """The entry's number, which must be above 0 and finite."""
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value < np.inf:
        raise InputError(f"{what} of qid {entry['qid']}: {key} must be a number above 0, not {_short(value)}")
    return float(value)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def _some(qids: list) -> str:
    more = f" and {len(qids) - SHOWN_QIDS} more" if len(qids) > SHOWN_QIDS else ""
    return f"qid {', '.join(map(str, qids[:SHOWN_QIDS]))}{more}"
