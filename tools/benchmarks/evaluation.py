"""Compare the QVHighlights metrics, and a validation with them, with a reference that loops over the queries."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from nncore.nn import MODELS
from nncore.parallel import NNDataParallel

from common.build import build
from common.config import load_config
from common.memory import retain_freed_memory

from . import Row, measure_seconds
from .synthetic import NUM_CLIPS, pack_data_set, synthetic_labels, write_data_set
from .training import CONFIG, reference_implementation

NUM_QUERIES = 1550   # The size of QVHighlights' validation split.
IOUS = [round(0.5 + 0.05 * i, 2) for i in range(10)]
LENGTH_RANGES = dict(short=(0, 10), middle=(10, 30), long=(30, 150), full=(0, 150))


def measure() -> list[Row]:
    """Measure both comparisons, and compare the results."""
    import datasets
    import models  # noqa: F401  Registers the models.
    from datasets.eval import eval_qvhighlights

    datasets.register()
    retain_freed_memory()   # This also affects the reference.
    labels, predictions = synthetic_labels(NUM_QUERIES), synthetic_predictions(NUM_QUERIES)
    start = time.perf_counter()
    reference = reference_metrics(predictions, labels)
    reference_s = time.perf_counter() - start
    metrics = eval_qvhighlights(predictions, labels)["brief"]
    are_equal = all(metrics[key] == value for key, value in reference.items())
    metrics_row = Row(f"metrics of {NUM_QUERIES} queries", reference_s,
                      measure_seconds(lambda: eval_qvhighlights(predictions, labels)),
                      f"{len(reference)} metrics, {'all equal' if are_equal else 'NOT equal'}")
    with tempfile.TemporaryDirectory() as folder:
        unpacked = write_data_set(Path(folder), NUM_QUERIES)
        packed = pack_data_set(unpacked)
        with reference_implementation():
            reference_lines, reference_s = validate(unpacked, dict(batch_size=1), reference_metrics)
        lines, product_s = validate(packed, dict(batch_size=32, same_length=True), eval_qvhighlights)
    difference = max(np.abs(np.subtract(lines[qid]["pred_saliency_scores"], line["pred_saliency_scores"])).max()
                     for qid, line in reference_lines.items())
    return [metrics_row, Row(f"validation of {NUM_QUERIES} queries with metrics", reference_s, product_s,
                             f"{NUM_QUERIES / product_s:.0f} queries per second; maximum difference of the scores "
                             f"{difference:.1e}")]


def synthetic_predictions(number: int) -> list[dict]:
    """Return predictions for `synthetic_labels`: ten windows and a saliency score per clip for each query."""
    r = np.random.default_rng(2)
    windows = np.sort(r.random((number, 10, 2)), axis=2) * 2 * NUM_CLIPS
    scores = -np.sort(-r.random((number, 10, 1)), axis=1)
    return [dict(qid=qid, pred_relevant_windows=np.concatenate([windows[qid], scores[qid]], axis=1).round(4).tolist(),
                 pred_saliency_scores=(r.permutation(NUM_CLIPS) / NUM_CLIPS).tolist()) for qid in range(number)]


def validate(data: dict, loader: dict, compute_metrics) -> tuple[dict, float]:
    """Validate an untrained model.

    Args:
        data: options of the data set.
        loader: options of its loader.
        compute_metrics: a function of the predictions and labels.

    Returns:
        The predictions by query id, and the seconds that predictions and metrics took.
    """
    from training.loaders import build_loader

    torch.manual_seed(0)
    model = NNDataParallel(build(load_config(CONFIG).model, MODELS)).eval()
    batches = build_loader({**data, "loader": loader}, seed=0)
    start = time.perf_counter()
    with torch.no_grad():
        lines = batches.dataset.predictions([model(batch, mode="test")["_out"] for batch in batches])
    compute_metrics(lines, batches.dataset.labels)
    return {line["qid"]: line for line in lines}, time.perf_counter() - start


def reference_metrics(predictions: list[dict], labels: list[dict]) -> dict[str, float]:
    """Compute the main QVHighlights metrics window by window and clip by clip."""
    by_qid = {p["qid"]: p for p in predictions}
    metrics = {}
    for name, (low, high) in LENGTH_RANGES.items():
        selected = [(by_qid[label["qid"]], inside) for label in labels
                    if (inside := [w for w in label["relevant_windows"] if low < w[1] - w[0] <= high])]
        aps = np.array([[window_ap(p["pred_relevant_windows"][:10], truth, iou) for iou in IOUS]
                        for p, truth in selected])
        metrics[f"MR-{name}-mAP"] = round(100 * float(aps.mean()), 2)
        if name == "full":
            best = [max(window_iou(p["pred_relevant_windows"][0], w) for w in truth) for p, truth in selected]
            for iou in (0.5, 0.7):
                metrics[f"MR-full-R1@{iou}"] = round(100 * sum(b >= iou for b in best) / len(best), 2)
            for i, iou in ((0, 0.5), (5, 0.75)):
                metrics[f"MR-full-mAP@{iou}"] = round(100 * float(aps[:, i].mean()), 2)
    for name, min_rating in (("Fair", 2), ("Good", 3), ("VeryGood", 4)):
        clip_aps, hits = [], []
        for label in labels:
            scores, ratings = by_qid[label["qid"]]["pred_saliency_scores"], np.zeros((NUM_CLIPS, 3))
            for clip, row in zip(label["relevant_clip_ids"], label["saliency_scores"], strict=True):
                ratings[clip] = row
            hits.append(max(ratings[int(np.argmax(scores))] >= min_rating))
            clip_aps += [clip_ap(scores, ratings[:, annotator] >= min_rating) for annotator in range(3)]
        metrics[f"HL-min-{name}-mAP"] = round(100 * float(np.mean(clip_aps)), 2)
        metrics[f"HL-min-{name}-Hit1"] = round(100 * float(np.mean(hits)), 2)
    return metrics


def window_iou(a: list, b: list) -> float:
    overlap = max(0, min(a[1], b[1]) - max(a[0], b[0]))
    return overlap / (a[1] - a[0] + b[1] - b[0] - overlap)


def window_ap(windows: list, truth: list, iou: float) -> float:
    """Return the interpolated average precision of windows; each true window matches at most one prediction."""
    unmatched, hits, curve = set(range(len(truth))), 0, []
    for rank, window in enumerate(sorted(windows, key=lambda w: -w[2]), 1):
        overlaps = sorted(((window_iou(window, truth[i]), i) for i in range(len(truth))), reverse=True)
        match = next((i for overlap, i in overlaps if overlap >= iou and i in unmatched), None)
        if match is not None:
            unmatched.remove(match)
            hits += 1
        curve.append((hits / len(truth), hits / rank))
    area, last_recall = 0.0, 0.0
    for position, (recall, _) in enumerate(curve):
        if recall > last_recall:
            area += (recall - last_recall) * max(precision for _, precision in curve[position:])
            last_recall = recall
    return area


def clip_ap(scores: list, positive: np.ndarray) -> float:
    """Return the mean, over the recalls that are reached, of the best precision at that recall or a higher one."""
    if positive.all() or not positive.any():
        return float(positive.all())
    order = np.argsort(-np.asarray(scores), kind="stable")
    hits, precisions = 0, []
    for rank, clip in enumerate(order, 1):
        hits += bool(positive[clip])
        if positive[clip]:
            precisions.append(hits / rank)
    return float(np.mean([max(precisions[i:]) for i in range(len(precisions))]))
