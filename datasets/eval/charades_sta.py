"""The Charades-STA metrics: how often one of the first moments is the one asked for."""

from __future__ import annotations

import numpy as np

from common.errors import InputError
from common.temporal import soft_nms, temporal_iou

RANKS = (1, 5)
IOUS = (0.5, 0.7)


def eval_charades(predictions: list[dict], labels: list[dict], sigma: float = 0.5) -> dict[str, float]:
    """Recall at ranks 1 and 5 and IoU 0.5 and 0.7 (Gao et al., ICCV 2017), after soft-NMS as UMT applies it.

    Args:
        predictions: `qid`, `pred_relevant_windows` [[start s, end s, score]]; none counts as a miss.
        labels: `qid`, `relevant_windows` with the one window asked for.
        sigma: of the Gaussian soft-NMS; 0 takes the windows by score as they are.

    Returns:
        `Rank{k}@{iou}` in [0, 1].

    Raises:
        InputError: no label, qids that lack, come twice or are not among the labels, windows that are not
            three finite numbers.
    """
    truth = {label["qid"]: np.asarray(label["relevant_windows"][0], dtype=np.float64) for label in labels}
    odd = [p.get("qid") for p in predictions if not isinstance(p.get("qid"), (int, str))]
    if odd:
        raise InputError(f"qid {odd[0]!r} of a prediction is not a number or text; give each its line's number")
    given = [p["qid"] for p in predictions]
    doubled = sorted({str(q) for q in given if given.count(q) > 1}) if len(set(given)) < len(given) else []
    lacking, unknown = [q for q in truth if q not in set(given)], [q for q in given if q not in truth]
    if not truth or doubled or lacking or unknown:
        raise InputError(f"predictions and labels must have the same qids, once each: {len(lacking)} lack "
                         f"{lacking[:3]}, {len(unknown)} are unknown {unknown[:3]}, {len(doubled)} twice {doubled[:3]}")
    hits = np.zeros((len(RANKS), len(IOUS)))
    for prediction in predictions:
        windows = _windows(prediction)
        windows = soft_nms(windows, sigma) if sigma else windows[np.argsort(-windows[:, 2], kind="stable")]
        iou = temporal_iou(truth[prediction["qid"]], windows)
        for i, k in enumerate(RANKS):
            hits[i] += iou[:k].max(initial=-1) >= np.array(IOUS)
    return {f"Rank{k}@{iou}": float(hits[i, j] / len(truth)) for i, k in enumerate(RANKS) for j, iou in enumerate(IOUS)}


def _windows(prediction: dict) -> np.ndarray:
    try:
        windows = np.asarray(prediction["pred_relevant_windows"], dtype=np.float64).reshape(-1, 3)
    except (KeyError, TypeError, ValueError) as err:
        raise InputError(f"qid {prediction['qid']}: pred_relevant_windows must be [[start s, end s, score]]") from err
    if not np.isfinite(windows).all():
        raise InputError(f"qid {prediction['qid']}: pred_relevant_windows hold NaN or infinity")
    return windows
