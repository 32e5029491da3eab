"""The QVHighlights metrics: moment retrieval (MR) and highlight detection (HL)."""

from __future__ import annotations

import numpy as np

from common.errors import InputError

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RANGES_S = {"short": (0, 10), "middle": (10, 30), "long": (30, 150), "full": (0, np.inf)}   # (over, up to]
SALIENCY_LEVELS = {"Fair": 2, "Good": 3, "VeryGood": 4}
MAX_PREDICTIONS = 10   # of a query, the first ones, that count for mAP
CLIP_LEN_S = 2
SHOWN_QIDS = 5


def eval_qvhighlights(predictions: list[dict], labels: list[dict], clip_len_s: float = CLIP_LEN_S) -> dict:
    """Scores predictions as the public QVHighlights evaluator does (Lei et al., NeurIPS 2021).

    MR-mAP is detection AP with interpolated precision over IoU 0.5 to 0.95 of a query's first ten
    predictions, averaged over queries; MR-R1 the share of queries whose first prediction, as given,
    meets a window. Both also for windows of (0, 10], (10, 30] and (30, 150] s. HL-mAP is the
    interpolated AP of clips over three annotators, HL-Hit1 the share of queries whose best-scored
    clip one annotator rated at least Fair 2, Good 3, VeryGood 4.

    A query without a window (of the range) is left out of MR, which has nothing to find; in HL it
    counts 0. Predicted clips beyond the label's are left out, missing ones count as worst.

    Args:
        predictions: `qid`, `pred_relevant_windows` [[start s, end s, score]] and/or
            `pred_saliency_scores` [score per clip].
        labels: `qid`, `duration`, and `relevant_windows` [[start s, end s]] and/or `relevant_clip_ids`
            with `saliency_scores` [[annotators' 0-4]].
        clip_len_s: seconds in a clip.

    Returns:
        Per cent with two decimals, in the public evaluator's nesting: `brief` holds the main ones.

    Raises:
        InputError: a qid that is missing, doubled or not in the labels; nothing to score.
    """
    by_qid = _match(predictions, labels)
    result: dict[str, dict] = {}
    if all("pred_relevant_windows" in p for p in predictions) and all("relevant_windows" in d for d in labels):
        windows = [by_qid[d["qid"]]["pred_relevant_windows"] for d in labels]
        result.update(_moment_retrieval(windows, [d["relevant_windows"] for d in labels]))
    if all("pred_saliency_scores" in p for p in predictions) and all("saliency_scores" in d for d in labels):
        scores = [by_qid[d["qid"]]["pred_saliency_scores"] for d in labels]
        result.update(_highlight_detection(scores, labels, clip_len_s))
    if not result:
        raise InputError("nothing to score: every prediction needs pred_relevant_windows or pred_saliency_scores, "
                         "every label relevant_windows or saliency_scores")
    return {"brief": _brief(result), **dict(sorted(result.items()))}


def _match(predictions: list[dict], labels: list[dict]) -> dict:
    for what, entries in (("labels", labels), ("predictions", predictions)):
        qids = [entry["qid"] for entry in entries]
        doubled = sorted({q for q in qids if qids.count(q) > 1}, key=str) if len(set(qids)) < len(qids) else []
        if doubled:
            raise InputError(f"the {what} hold {_some(doubled)} more than once; keep one of each")
    by_qid = {p["qid"]: p for p in predictions}
    known = {d["qid"] for d in labels}
    missing = [d["qid"] for d in labels if d["qid"] not in by_qid]
    unknown = [q for q in by_qid if q not in known]
    if missing:
        raise InputError(f"the predictions lack {_some(missing)} of the labels; predict every query")
    if unknown:
        raise InputError(f"the predictions hold {_some(unknown)}, which the labels lack; name the labels of that split")
    if not labels:
        raise InputError("no label to score against")
    return by_qid


def _some(qids: list) -> str:
    more = f" and {len(qids) - SHOWN_QIDS} more" if len(qids) > SHOWN_QIDS else ""
    return f"qid {', '.join(map(str, qids[:SHOWN_QIDS]))}{more}"


def _percent(share: float) -> float:
    return float(f"{100 * share:.2f}")


def _brief(result: dict) -> dict:
    brief = {}
    if "full" in result:
        full = result["full"]
        brief.update({f"MR-full-R1@{t}": full["MR-R1"][t] for t in ("0.5", "0.7")})
        brief["MR-full-mAP"] = full["MR-mAP"]["average"]
        brief.update({f"MR-full-mAP@{t}": full["MR-mAP"][t] for t in ("0.5", "0.75")})
        brief.update({f"MR-{name}-mAP": result[name]["MR-mAP"]["average"] for name in ("long", "middle", "short")})
    for level in SALIENCY_LEVELS:
        for key, value in result.get(f"HL-min-{level}", {}).items():
            brief[f"HL-min-{level}-{key.removeprefix('HL-')}"] = value
    return brief


def _moment_retrieval(pred_windows: list[list], gt_windows: list[list]) -> dict:
    pred, has_pred = _pad(pred_windows, MAX_PREDICTIONS, 3)
    order = np.argsort(-np.where(has_pred, pred[..., 2], -np.inf), axis=1, kind="stable")
    pred, has_pred = np.take_along_axis(pred, order[..., None], axis=1), np.take_along_axis(has_pred, order, axis=1)
    first, has_first = _pad(pred_windows, 1, 3)
    gt, has_gt = _pad(gt_windows, max(map(len, gt_windows), default=0), 2)
    length = gt[..., 1] - gt[..., 0]
    iou, first_iou = _iou(pred, gt), _iou(first, gt)[:, 0] * has_first
    result = {}
    for name, (over, up_to) in RANGES_S.items():
        inside = has_gt & (length > over) & (length <= up_to)
        asked = inside.any(axis=1)
        if not asked.any():
            ap, r1 = np.zeros((1, 10)), np.zeros((1, 10))
        else:
            ap = _detection_ap(iou[asked], has_pred[asked], inside[asked])
            best = np.where(inside[asked], first_iou[asked], 0).max(axis=1)
            r1 = best[:, None] >= IOU_THRESHOLDS
        keys = [f"{t:.2f}".rstrip("0") for t in IOU_THRESHOLDS]
        per_threshold = ap.mean(axis=0)
        result[name] = {
            "MR-mAP": {**{k: _percent(v) for k, v in zip(keys, per_threshold, strict=True)},
                       "average": _percent(per_threshold.mean())},
            "MR-R1": {k: _percent(v) for k, v in zip(keys, r1.mean(axis=0), strict=True)},
        }
    return result


def _pad(rows: list[list], width: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Ragged lists of windows -> (Q, width, columns) and where a window exists (Q, width)."""
    padded = np.zeros((len(rows), max(width, 1), columns))
    exists = np.zeros(padded.shape[:2], dtype=bool)
    for i, row in enumerate(rows):
        n = min(len(row), width)
        if n:
            padded[i, :n] = [window[:columns] for window in row[:n]]
            exists[i, :n] = True
    return padded, exists


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Windows (Q, N, 2+) and (Q, M, 2+) -> IoU (Q, N, M); 0 where both are empty."""
    a, b = a[:, :, None], b[:, None]
    overlap = np.clip(np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0]), 0, None)
    union = (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def _detection_ap(iou: np.ndarray, has_pred: np.ndarray, has_gt: np.ndarray) -> np.ndarray:
    """AP (Q, 10) of predictions by falling score: each takes the best free label that it meets.

    Args:
        iou: (Q, P, G).
        has_pred: (Q, P).
        has_gt: (Q, G).
    """
    Q, P, G = iou.shape
    free = np.repeat(has_gt[:, None], len(IOU_THRESHOLDS), axis=1)   # (Q, 10, G)
    hits = np.zeros((Q, len(IOU_THRESHOLDS), P))
    for p in range(P):
        overlap = iou[:, None, p]
        meets = free & (overlap >= IOU_THRESHOLDS[None, :, None]) & has_pred[:, p, None, None]
        chosen = np.where(meets, overlap, -1)[..., ::-1].argmax(axis=-1)   # of equals the last label
        hit = meets.any(axis=-1)
        hits[..., p] = hit
        q, t = np.nonzero(hit)
        free[q, t, G - 1 - chosen[q, t]] = False
    found = hits.cumsum(axis=-1)
    precision = found / np.arange(1, P + 1)
    best_from_here = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    return (best_from_here * hits).sum(axis=-1) / has_gt.sum(axis=1)[:, None]


def _highlight_detection(scores: list[list], labels: list[dict], clip_len_s: float) -> dict:
    num_clips = np.array([int(d["duration"] / clip_len_s) for d in labels])
    T, A = max(num_clips.max(), 1), max((len(row) for d in labels for row in d["saliency_scores"]), default=1)
    gt = np.zeros((len(labels), T, A))
    pred = np.full((len(labels), T), -np.inf)
    for i, d in enumerate(labels):
        if d["relevant_clip_ids"]:
            gt[i, d["relevant_clip_ids"]] = d["saliency_scores"]
        n = min(num_clips[i], len(scores[i]))
        pred[i, :n] = scores[i][:n]
    exists = np.arange(T) < num_clips[:, None]
    order = np.argsort(-pred, axis=1, kind="stable")
    ranked = np.take_along_axis(pred, order, axis=1)
    counted = np.take_along_axis(exists, order, axis=1)
    ends_tie = np.concatenate([ranked[:, :-1] != ranked[:, 1:], np.ones((len(labels), 1), bool)], axis=1)
    ends_tie[:, :-1] |= counted[:, :-1] & ~counted[:, 1:]   # the last clip ends the last group of equals
    result = {}
    for level, least in SALIENCY_LEVELS.items():
        positive = np.take_along_axis(gt, order[..., None], axis=1) >= least
        ap = _ranking_ap(positive & counted[..., None], counted, ends_tie)
        hit = positive[:, 0].any(axis=1)
        result[f"HL-min-{level}"] = {"HL-mAP": _percent(ap.mean()), "HL-Hit1": _percent(hit.mean())}
    return result


def _ranking_ap(positive: np.ndarray, counted: np.ndarray, ends_tie: np.ndarray) -> np.ndarray:
    """Interpolated AP (Q, A): mean precision over the scores at which recall rises.

    Args:
        positive: (Q, T, A), by falling score.
        counted: (Q, T) False for padding, which ranks last.
        ends_tie: (Q, T) where a group of equal scores ends; only there precision is read.
    """
    found = positive.cumsum(axis=1)
    precision = found / np.arange(1, positive.shape[1] + 1)[:, None]
    reads = (ends_tie & counted)[..., None]
    precision = np.where(reads, precision, 0)
    best_from_here = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    at_reads = np.maximum.accumulate(np.where(reads, found, 0), axis=1)   # found at the last read so far
    before = np.concatenate([np.zeros_like(at_reads[:, :1]), at_reads[:, :-1]], axis=1)
    rises = reads & (found > before)
    return (best_from_here * rises).sum(axis=1) / np.maximum(rises.sum(axis=1), 1)
