"""Validation with its metrics, and the metrics alone: query by query in loops, and ours."""

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

from . import Row, seconds
from .synthetic import CLIPS, made_up_labels, made_up_set
from .training import CONFIG, plain_way

QUERIES = 1550   # QVHighlights' validation split
IOUS = [round(0.5 + 0.05 * i, 2) for i in range(10)]
RANGES = dict(short=(0, 10), middle=(10, 30), long=(30, 150), full=(0, 150))


def measure() -> list[Row]:
    """Both comparisons, and whether the numbers are the same."""
    import datasets
    import models  # noqa: F401  registers them
    from datasets.eval import eval_qvhighlights
    from datasets.features.pack import pack_folder

    datasets.register()
    retain_freed_memory()   # for the plain way, too
    labels, predictions = made_up_labels(QUERIES), made_up_predictions(QUERIES)
    start = time.perf_counter()
    plain = plain_metrics(predictions, labels)
    plain_s = time.perf_counter() - start
    ours = eval_qvhighlights(predictions, labels)["brief"]
    alone = Row(f"metrics of {QUERIES} queries", plain_s, seconds(lambda: eval_qvhighlights(predictions, labels)),
                f"{len(plain)} numbers, the same: {all(ours[key] == value for key, value in plain.items())}")
    with tempfile.TemporaryDirectory() as folder:
        plain_set = made_up_set(Path(folder), QUERIES)
        ours_set = {**plain_set, "video_path": [str(pack_folder(path)) for path in plain_set["video_path"]],
                    "query_path": str(pack_folder(plain_set["query_path"])),
                    "audio_path": str(pack_folder(plain_set["audio_path"], dtype="float32"))}
        with plain_way():
            plain_lines, validated_plain_s = validate(plain_set, dict(batch_size=1), plain_metrics)
        lines, validated_s = validate(ours_set, dict(batch_size=32, same_length=True), eval_qvhighlights)
    away = max(np.abs(np.subtract(lines[qid]["pred_saliency_scores"], line["pred_saliency_scores"])).max()
               for qid, line in plain_lines.items())
    return [alone, Row(f"validation of {QUERIES} queries with metrics", validated_plain_s, validated_s,
                       f"{QUERIES / validated_s:.0f} queries a second; scores differ by {away:.1e} at most")]


def made_up_predictions(number: int) -> list[dict]:
    r = np.random.default_rng(2)
    windows = np.sort(r.random((number, 10, 2)), axis=2) * 2 * CLIPS
    scores = -np.sort(-r.random((number, 10, 1)), axis=1)
    return [dict(qid=qid, pred_relevant_windows=np.concatenate([windows[qid], scores[qid]], axis=1).round(4).tolist(),
                 pred_saliency_scores=(r.permutation(CLIPS) / CLIPS).tolist()) for qid in range(number)]


def validate(data: dict, loader: dict, metrics) -> tuple[dict, float]:
    """Predictions by qid, and the seconds that they and their metrics took."""
    from training.loaders import build_loader

    torch.manual_seed(0)
    model = NNDataParallel(build(load_config(CONFIG).model, MODELS)).eval()
    batches = build_loader({**data, "loader": loader}, seed=0)
    start = time.perf_counter()
    with torch.no_grad():
        lines = batches.dataset.predictions([model(batch, mode="test")["_out"] for batch in batches])
    metrics(lines, batches.dataset.labels)
    return {line["qid"]: line for line in lines}, time.perf_counter() - start


def plain_metrics(predictions: list[dict], labels: list[dict]) -> dict[str, float]:
    """The main QVHighlights metrics, window by window and clip by clip."""
    by_qid = {p["qid"]: p for p in predictions}
    found = {}
    for name, (low, high) in RANGES.items():
        chosen = [(by_qid[e["qid"]], inside) for e in labels
                  if (inside := [w for w in e["relevant_windows"] if low < w[1] - w[0] <= high])]
        aps = np.array([[window_ap(p["pred_relevant_windows"][:10], truth, iou) for iou in IOUS]
                        for p, truth in chosen])
        found[f"MR-{name}-mAP"] = round(100 * float(aps.mean()), 2)
        if name == "full":
            best = [max(iou_of(p["pred_relevant_windows"][0], w) for w in truth) for p, truth in chosen]
            for iou in (0.5, 0.7):
                found[f"MR-full-R1@{iou}"] = round(100 * sum(b >= iou for b in best) / len(best), 2)
            for i, iou in ((0, 0.5), (5, 0.75)):
                found[f"MR-full-mAP@{iou}"] = round(100 * float(aps[:, i].mean()), 2)
    for name, least in (("Fair", 2), ("Good", 3), ("VeryGood", 4)):
        aps, hits = [], []
        for label in labels:
            scores, ratings = by_qid[label["qid"]]["pred_saliency_scores"], np.zeros((CLIPS, 3))
            for clip, row in zip(label["relevant_clip_ids"], label["saliency_scores"], strict=True):
                ratings[clip] = row
            hits.append(max(ratings[int(np.argmax(scores))] >= least))
            aps += [clip_ap(scores, ratings[:, a] >= least) for a in range(3)]
        found[f"HL-min-{name}-mAP"] = round(100 * float(np.mean(aps)), 2)
        found[f"HL-min-{name}-Hit1"] = round(100 * float(np.mean(hits)), 2)
    return found


def iou_of(one: list, other: list) -> float:
    inside = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    return inside / (one[1] - one[0] + other[1] - other[0] - inside)


def window_ap(windows: list, truth: list, iou: float) -> float:
    """Interpolated AP of windows by falling score; each true window is found once."""
    free, hits, curve = set(range(len(truth))), 0, []
    for rank, window in enumerate(sorted(windows, key=lambda w: -w[2]), 1):
        overlaps = sorted(((iou_of(window, truth[i]), i) for i in range(len(truth))), reverse=True)
        match = next((i for overlap, i in overlaps if overlap >= iou and i in free), None)
        if match is not None:
            free.remove(match)
            hits += 1
        curve.append((hits / len(truth), hits / rank))
    area, reached = 0.0, 0.0
    for place, (recall, _) in enumerate(curve):
        if recall > reached:
            area += (recall - reached) * max(precision for _, precision in curve[place:])
            reached = recall
    return area


def clip_ap(scores: list, positive: np.ndarray) -> float:
    """The mean, over the recalls reached, of the best precision at that recall or a higher one."""
    if positive.all() or not positive.any():
        return float(positive.all())
    order = np.argsort(-np.asarray(scores), kind="stable")
    hits, points = 0, []
    for rank, clip in enumerate(order, 1):
        hits += bool(positive[clip])
        if positive[clip]:
            points.append(hits / rank)
    return float(np.mean([max(points[i:]) for i in range(len(points))]))
