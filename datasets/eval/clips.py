"""How well one score per item tells the positive ones from the others."""

from __future__ import annotations

import numpy as np

from common.errors import InputError


def eval_clips(scores: np.ndarray, positive: np.ndarray) -> dict[str, float]:
    """Average precision and area under the ROC curve.

    Args:
        scores: (N,), higher is better.
        positive: (N,) of 0 and 1, or bool.

    Returns:
        `AP` and `ROC-AUC` in per cent, two decimals; without an item of either kind there is no AUC, and
        AP is 0 or 100.

    Raises:
        InputError: other shapes, no item, NaN.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # takes a second to load

    s, p = np.asarray(scores, dtype=np.float64), np.asarray(positive).astype(bool)
    if s.ndim != 1 or s.shape != p.shape or not len(s) or not np.isfinite(s).all():
        raise InputError(f"scores {s.shape} and positive {p.shape} must be finite, of the same items, at least one")
    if p.all() or not p.any():
        return dict(AP=100.0 * float(p.all()))
    return {"AP": round(100 * float(average_precision_score(p, s)), 2),
            "ROC-AUC": round(100 * float(roc_auc_score(p, s)), 2)}
