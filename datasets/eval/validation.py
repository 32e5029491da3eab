"""Validation of predictions and labels before metrics are computed; errors name the qid, the key and the value."""

from __future__ import annotations

import numpy as np

from common.errors import InputError
from common.queries import normalize_id

MAX_SHOWN_QIDS = 5
MAX_SHOWN_CHARS = 60
ANY_WIDTH = -1   # A `width` of `finite_arrays`.


def match_by_qid(predictions: list[dict], labels: list[dict]) -> list[dict]:
    """Return the prediction of each label, after a check that both have the same qids, each once.

    Qids are compared as text, so 7 and "7" are the same, also within one file.

    Raises:
        InputError: there are no labels; an entry has no qid; a qid is duplicate, missing or unknown.
    """
    by_qid, known = _by_qid(predictions, "prediction"), _by_qid(labels, "label")
    missing = [qid for qid in known if qid not in by_qid]
    unknown = [qid for qid in by_qid if qid not in known]
    if missing:
        raise InputError(None, f"there are labels but no predictions of {_some(missing)}", "predict every query")
    if unknown:
        raise InputError(None, f"there are predictions but no labels of {_some(unknown)}",
                         "specify the labels of the same split")
    if not labels:
        raise InputError(None, "there are no labels to compare with")
    return [by_qid[qid] for qid in known]


def _by_qid(entries: list[dict], kind: str) -> dict[str, dict]:
    by_qid: dict[str, dict] = {}
    duplicates: list[str] = []
    for number, entry in enumerate(entries, 1):
        qid = normalize_id(entry.get("qid"))
        if qid is None:
            raise InputError(f"{kind} {number}", f"qid {entry.get('qid')!r} is not a number or text",
                             "give each query a qid")
        if qid in by_qid:
            duplicates.append(qid)
        by_qid[qid] = entry
    if duplicates:
        raise InputError(None, f"the {kind}s have duplicates of {_some(sorted(set(duplicates)))}", "keep one of each")
    return by_qid


def all_have(entries: list[dict], key: str, kind: str) -> bool:
    """Return True if all entries have the key, and False if none has.

    Raises:
        InputError: only some entries have the key.
    """
    missing = [entry["qid"] for entry in entries if key not in entry]
    if missing and len(missing) < len(entries):
        raise InputError(None, f"{kind}s of {_some(missing)} have no {key}, but others have it",
                         "give it for all or for none")
    return not missing


def finite_arrays(entries: list[dict], key: str, width: int | None, kind: str) -> list[np.ndarray]:
    """Return the numbers of each entry as float64.

    Args:
        entries: dicts with `qid` and `key`.
        key: key of the numbers.
        width: None returns (N,); a width, or ANY_WIDTH, returns (N, width).
        kind: `label` or `prediction`, for messages.

    Raises:
        InputError: the key is missing, or a value has another shape or is not of finite numbers.
    """
    arrays = [_array(entry.get(key), width) for entry in entries]
    valid = [a for a in arrays if a is not None]
    if len(valid) == len(entries) and np.isfinite(np.concatenate([a.ravel() for a in valid])).all():
        return [a.astype(np.float64, copy=False) for a in valid]
    entry = next(e for e, a in zip(entries, arrays, strict=True) if a is None or not np.isfinite(a).all())
    shapes = {None: "a list of", ANY_WIDTH: "a list of equally long lists of"}
    raise InputError(f"{kind} of qid {entry['qid']}", f"{key} must be "
                     f"{shapes.get(width, f'a list of lists of {width}')} finite numbers, not {_short(entry.get(key))}")


def _array(value: object, width: int | None) -> np.ndarray | None:
    """Return the value as an array of the shape that `finite_arrays` documents; None if it has another shape."""
    try:
        array = np.asarray(value)
    except ValueError:   # numpy rejects lists of unequal lengths.
        return None
    if array.size == 0 and isinstance(value, (list, tuple, np.ndarray)):
        return np.zeros(0 if width is None else (0, max(width, 0)))
    fits = array.dtype.kind in "iuf" and array.ndim == (1 if width is None else 2)
    return array if fits and (width in (None, ANY_WIDTH) or array.shape[1] == width) else None


def positive_number(entry: dict, key: str, kind: str) -> float:
    """Return the number of an entry, which must be above 0 and finite.

    Raises:
        InputError: it is not.
    """
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value < np.inf:
        raise InputError(f"{kind} of qid {entry['qid']}", f"{key} must be a number above 0, not {_short(value)}")
    return float(value)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…"


def _some(qids: list) -> str:
    more = f" and {len(qids) - MAX_SHOWN_QIDS} more" if len(qids) > MAX_SHOWN_QIDS else ""
    return f"qid {', '.join(map(str, qids[:MAX_SHOWN_QIDS]))}{more}"
