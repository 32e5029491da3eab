"""The Charades-STA metrics: recall of the labeled moment among the first predictions."""

from __future__ import annotations

import numpy as np

from common.errors import InputError
from common.temporal import soft_nms, temporal_iou

from .validation import match_by_qid

RANKS = (1, 5)
IOU_THRESHOLDS = (0.5, 0.7)


def eval_charades(predictions: list[dict], labels: list[dict], sigma: float = 0.5) -> dict[str, float]:
    """Compute the recall at ranks 1 and 5 and IoU 0.5 and 0.7 (Gao et al., ICCV 2017), after soft-NMS as in UMT.

    Args:
        predictions: `qid`, `pred_relevant_windows` [[start s, end s, score]]; a query without windows is a miss.
        labels: `qid`, `relevant_windows` with one window.
        sigma: width of the Gaussian soft-NMS; 0 ranks the windows by score without soft-NMS.

    Returns:
        `Rank{k}@{iou}` in [0, 1].

    Raises:
        InputError: there are no labels; qids are missing, duplicate or unknown; windows are not three finite numbers.
    """
    predictions = match_by_qid(predictions, labels)
    hits = np.zeros((len(RANKS), len(IOU_THRESHOLDS)))
    for prediction, label in zip(predictions, labels, strict=True):
        windows = _windows(prediction)
        windows = soft_nms(windows, sigma) if sigma else windows[np.argsort(-windows[:, 2], kind="stable")]
        iou = temporal_iou(np.asarray(label["relevant_windows"][0], dtype=np.float64), windows)
        for i, k in enumerate(RANKS):
            hits[i] += iou[:k].max(initial=-1) >= np.array(IOU_THRESHOLDS)
    return {f"Rank{k}@{iou}": float(hits[i, j] / len(labels))
            for i, k in enumerate(RANKS) for j, iou in enumerate(IOU_THRESHOLDS)}


def _windows(prediction: dict) -> np.ndarray:
    try:
        windows = np.asarray(prediction["pred_relevant_windows"], dtype=np.float64).reshape(-1, 3)
    except (KeyError, TypeError, ValueError) as err:
        raise InputError(f"qid {prediction['qid']}", "pred_relevant_windows must be [[start s, end s, score]]") from err
    if not np.isfinite(windows).all():
        raise InputError(f"qid {prediction['qid']}", "pred_relevant_windows contain NaN or infinity")
    return windows
