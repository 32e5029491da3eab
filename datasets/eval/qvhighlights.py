"""The QVHighlights metrics: moment retrieval (MR) and highlight detection (HL)."""

from __future__ import annotations

import numpy as np

from common.errors import InputError
from common.temporal import num_complete_clips, temporal_iou

from .validation import ANY_WIDTH, all_have, finite_arrays, match_by_qid, positive_number

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RANGES_S = {"short": (0, 10), "middle": (10, 30), "long": (30, 150), "full": (0, np.inf)}   # Lengths, (min, max].
SALIENCY_LEVELS = {"Fair": 2, "Good": 3, "VeryGood": 4}   # The lowest score of a positive clip.
MAX_PREDICTIONS = 10   # Number of predictions of a query, in the given order, that count for mAP.
CLIP_LEN_S = 2


def eval_qvhighlights(predictions: list[dict], labels: list[dict], clip_len_s: float = CLIP_LEN_S) -> dict:
    """Evaluate predictions like the public QVHighlights evaluator (Lei et al., NeurIPS 2021).

    MR-mAP is detection AP with interpolated precision over IoU 0.5 to 0.95 of a query's first ten predictions,
    averaged over queries. MR-R1 is the share of queries whose first prediction, in the given order, matches a window.
    Both are also computed for windows of (0, 10], (10, 30] and (30, 150] s. HL-mAP is the interpolated AP of clips
    over three annotators. HL-Hit1 is the share of queries whose best-scored clip is rated at least Fair 2, Good 3 or
    VeryGood 4 by an annotator.

    MR excludes queries without a window (of the range), since they have nothing to find; in HL they count as 0.
    Predicted clips beyond the label's are ignored, and missing ones rank last.

    Args:
        predictions: `qid`, `pred_relevant_windows` [[start s, end s, score]] and/or
            `pred_saliency_scores` [score per clip].
        labels: `qid`, `duration`, and `relevant_windows` [[start s, end s]] and/or `relevant_clip_ids`
            with `saliency_scores` [[annotators' 0-4]].
        clip_len_s: seconds per clip.

    Returns:
        Per cent with two decimals, nested like the public evaluator's output; `brief` has the main metrics.

    Raises:
        InputError: a qid is missing, duplicate or not in the labels; values are not finite numbers of the shapes
            above; only some entries have a key; there is nothing to evaluate.
    """
    predictions = match_by_qid(predictions, labels)
    result: dict[str, dict] = {}
    if _both_have(predictions, "pred_relevant_windows", labels, "relevant_windows"):
        result.update(_moment_retrieval(
            finite_arrays(predictions, "pred_relevant_windows", 3, "prediction"),
            finite_arrays(labels, "relevant_windows", 2, "label")))
    if _both_have(predictions, "pred_saliency_scores", labels, "saliency_scores"):
        result.update(_highlight_detection(
            finite_arrays(predictions, "pred_saliency_scores", None, "prediction"), labels, clip_len_s))
    if not result:
        raise InputError(None, "nothing to evaluate: every prediction needs pred_relevant_windows or "
                               "pred_saliency_scores, and every label relevant_windows or saliency_scores")
    return {"brief": _brief(result), **dict(sorted(result.items()))}


def _both_have(predictions: list[dict], key: str, labels: list[dict], label_key: str) -> bool:
    predicted = all_have(predictions, key, "prediction")
    return all_have(labels, label_key, "label") and predicted


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


def _moment_retrieval(pred_windows: list[np.ndarray], gt_windows: list[np.ndarray]) -> dict:
    pred, first = _pad(pred_windows, MAX_PREDICTIONS), _pad(pred_windows, 1)
    gt = _pad(gt_windows, max(map(len, gt_windows), default=0))
    order = np.argsort(-pred[..., 2], axis=1, kind="stable")
    ranked = np.take_along_axis(pred, order[..., None], axis=1)
    gt_per_prediction = gt[:, None]
    iou = temporal_iou(ranked[:, :, None], gt_per_prediction)
    first_iou = temporal_iou(first[:, :, None], gt_per_prediction)[:, 0]
    length = gt[..., 1] - gt[..., 0]
    result = {}
    for name, (shortest, longest) in RANGES_S.items():
        in_range = (length > shortest) & (length <= longest)   # Excludes padding, which has length 0.
        has_window = in_range.any(axis=1)
        if not has_window.any():
            ap, r1 = np.zeros((1, 10)), np.zeros((1, 10))
        else:
            ap = _detection_ap(iou[has_window], in_range[has_window])
            best = np.where(in_range[has_window], first_iou[has_window], 0).max(axis=1)
            r1 = best[:, None] >= IOU_THRESHOLDS
        keys = [f"{t:.2f}".rstrip("0") for t in IOU_THRESHOLDS]
        per_threshold = ap.mean(axis=0)
        result[name] = {
            "MR-mAP": {**{k: _percent(v) for k, v in zip(keys, per_threshold, strict=True)},
                       "average": _percent(per_threshold.mean())},
            "MR-R1": {k: _percent(v) for k, v in zip(keys, r1.mean(axis=0), strict=True)},
        }
    return result


def _pad(rows: list[np.ndarray], width: int) -> np.ndarray:
    """Pad the windows (any, 2 or 3) of each query to (Q, width, 3); padding has length 0 and ranks last."""
    padded = np.zeros((len(rows), max(width, 1), 3))
    padded[..., 2] = -np.inf
    for i, row in enumerate(rows):
        n = min(len(row), width)
        padded[i, :n, :row.shape[1]] = row[:n]
    return padded


def _detection_ap(iou: np.ndarray, has_gt: np.ndarray) -> np.ndarray:
    """Compute the AP (Q, 10) of predictions by descending score, each matched to its best unmatched label.

    Args:
        iou: (Q, P, G), 0 where there is no prediction or no label.
        has_gt: (Q, G).
    """
    Q, P, _ = iou.shape
    # (P, G, Q, 1): numpy is fastest over the last axes.
    iou = np.ascontiguousarray(iou.transpose(1, 2, 0))[..., None]
    # Ranks of the labels from 1, the highest for the best IoU; of equal IoUs, the last label is best.
    rank = iou.argsort(axis=1, kind="stable").argsort(axis=1).astype(np.int16) + 1
    unmatched = np.repeat(has_gt.T[..., None], len(IOU_THRESHOLDS), axis=2)   # (G, Q, 10)
    hits = np.zeros((P, Q, len(IOU_THRESHOLDS)))
    for p in range(P):
        candidates = rank[p] * (unmatched & (iou[p] >= IOU_THRESHOLDS))   # (G, Q, 10), 0 for labels that cannot match.
        best = candidates.max(axis=0)
        hits[p] = best > 0
        unmatched &= (candidates == 0) | (candidates != best)
    precision = hits.cumsum(axis=0) / np.arange(1, P + 1)[:, None, None]
    interpolated = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    return (interpolated * hits).sum(axis=0) / has_gt.sum(axis=1)[:, None]


def _highlight_detection(scores: list[np.ndarray], labels: list[dict], clip_len_s: float) -> dict:
    lengths, gt = _annotations(labels, clip_len_s)
    Q, T, _ = gt.shape
    pred = np.full((Q, T), -np.inf)
    for i, row in enumerate(scores):
        n = min(lengths[i], len(row))
        pred[i, :n] = row[:n]
    exists = np.arange(T) < lengths[:, None]
    order = np.argsort(-pred, axis=1, kind="stable")   # Padding ranks last, after missing clips.
    ranked, gt = np.take_along_axis(pred, order, axis=1), np.take_along_axis(gt, order[..., None], axis=1)
    ends_tie = np.concatenate([ranked[:, :-1] != ranked[:, 1:], np.ones((Q, 1), bool)], axis=1)
    ends_tie[:, :-1] |= ~exists[:, 1:]   # The last clip of a video ends its last group of equal scores.
    result = {}
    for level, lowest in SALIENCY_LEVELS.items():
        positive = gt >= lowest
        ap = _ranking_ap(positive, ends_tie)
        hit = positive[:, 0].any(axis=1)
        result[f"HL-min-{level}"] = {"HL-mAP": _percent(ap.mean()), "HL-Hit1": _percent(hit.mean())}
    return result


def _annotations(labels: list[dict], clip_len_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of clips (Q,) and the annotators' scores (Q, T, A), 0 for clips without scores."""
    rows = finite_arrays(labels, "saliency_scores", ANY_WIDTH, "label")
    clips = [ids.astype(int) for ids in finite_arrays(labels, "relevant_clip_ids", None, "label")]
    lengths = np.array([num_complete_clips(positive_number(label, "duration", "label"), clip_len_s)
                        for label in labels])
    widths = {row.shape[1] for row in rows if len(row)} or {1}
    if len(widths) > 1:
        raise InputError(None, f"the labels' saliency_scores have {sorted(widths)} annotators; all rows must have the "
                               "same number")
    gt = np.zeros((len(labels), lengths.max(), widths.pop()))
    for i, (row, clip) in enumerate(zip(rows, clips, strict=True)):
        if len(row) != len(clip) or (clip < 0).any() or (clip >= lengths[i]).any():
            raise InputError(f"label of qid {labels[i]['qid']}", "relevant_clip_ids must name one of its "
                                                                 f"{lengths[i]} clips for each row of saliency_scores")
        if len(clip):
            gt[i, clip] = row
    return lengths, gt


def _ranking_ap(positive: np.ndarray, ends_tie: np.ndarray) -> np.ndarray:
    """Compute the interpolated AP (Q, A): the mean precision over the scores at which recall rises.

    Args:
        positive: (Q, T, A), by descending score.
        ends_tie: (Q, T), True at the end of a group of equal scores; precision is only evaluated there.
    """
    found = positive.transpose(1, 0, 2).cumsum(axis=0, dtype=np.float64)   # (T, Q, A)
    ends_tie = ends_tie.T[..., None]
    precision = np.where(ends_tie, found / np.arange(1, len(found) + 1)[:, None, None], 0)
    interpolated = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    last_found = np.maximum.accumulate(np.where(ends_tie, found, 0), axis=0)
    rises = ends_tie & (found > 0)
    rises[1:] &= found[1:] > last_found[:-1]
    return (interpolated * rises).sum(axis=0) / np.maximum(rises.sum(axis=0), 1)
