"""The QVHighlights metrics: goldens, a slow twin, and what the public evaluator crashes on."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from datasets.eval import eval_qvhighlights
from datasets.eval.floors import oracle, random_floor

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is not at hand")


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@needs_shared
def test_equals_the_public_evaluator_on_seeded_input():
    golden = json.loads((SHARED / "golden" / "evaluators.json").read_text())["qvhighlights"]
    assert eval_qvhighlights(golden["pred"], golden["gt"]) == golden["expected"]


@needs_shared
def test_equals_the_authors_metrics_on_real_predictions():
    data = SHARED / "data" / "qvhighlights"
    result = eval_qvhighlights(read_jsonl(data / "moment_detr_val_preds.jsonl"),
                               read_jsonl(data / "highlight_val_release.jsonl"))
    assert result == json.loads((data / "moment_detr_val_metrics.json").read_text())


def slow_iou(a, b):
    overlap = max(0, min(a[1], b[1]) - max(a[0], b[0]))
    return overlap / (a[1] - a[0] + b[1] - b[0] - overlap)


def slow_detection_ap(pred, gt, threshold):
    pred, free, hits = sorted(pred[:10], key=lambda w: -w[2]), list(gt), []
    for p in pred:
        best = max(free, key=lambda g: slow_iou(p, g), default=None)
        hits.append(best is not None and slow_iou(p, best) >= threshold)
        if hits[-1]:
            free.remove(best)
    precision = [sum(hits[: i + 1]) / (i + 1) for i in range(len(hits))]
    return sum(max(precision[i:]) for i, hit in enumerate(hits) if hit) / len(gt)


def slow_clip_ap(scores, positive):
    points = []   # (precision, found) at every distinct score, from the lowest
    for s in sorted(set(scores)):
        kept = [p for x, p in zip(scores, positive, strict=True) if x >= s]
        points.append((sum(kept) / len(kept), sum(kept)))
    found_above = [f for _, f in points[1:]] + [0]
    best = [max(p for p, _ in points[: i + 1]) for i in range(len(points))]
    rises = [b for b, (_, f), g in zip(best, points, found_above, strict=True) if f > g]
    return float(np.mean(rises)) if rises else 0.0


def made_up(seed, n=30):
    """Labels with ties and several windows, predictions with equal scores and of other lengths."""
    r = np.random.default_rng(seed)
    labels, predictions = [], []
    for qid in range(n):
        clips = int(r.integers(5, 40))
        starts = np.sort(r.choice(clips, size=int(r.integers(1, 4)), replace=False))
        windows = [[int(s) * 2, int(s) * 2 + 2 * int(r.integers(1, clips - s + 1))] for s in starts]
        ids = sorted({c for s, e in windows for c in range(s // 2, e // 2)})
        labels.append(dict(qid=qid, duration=2 * clips + float(r.random()), relevant_windows=windows,
                           relevant_clip_ids=ids, saliency_scores=r.integers(0, 5, (len(ids), 3)).tolist()))
        bounds = np.sort(r.random((int(r.integers(1, 14)), 2)) * clips * 2, axis=1)
        predictions.append(dict(qid=qid, pred_saliency_scores=r.integers(0, 6, clips + int(r.integers(0, 3))).tolist(),
                                pred_relevant_windows=[[*b, float(r.random())] for b in bounds.tolist()]))
    return predictions, labels


@pytest.mark.parametrize("seed", range(5))
def test_moment_retrieval_equals_a_slow_twin(seed):
    predictions, labels = made_up(seed)
    result = eval_qvhighlights(predictions, labels)
    for name, over, up_to in [("short", 0, 10), ("middle", 10, 30), ("long", 30, 150), ("full", 0, 1e9)]:
        aps, r1 = [], []
        for p, d in zip(predictions, labels, strict=True):
            gt = [w for w in d["relevant_windows"] if over < w[1] - w[0] <= up_to]
            if gt:
                aps.append(slow_detection_ap(p["pred_relevant_windows"], gt, 0.6))
                r1.append(max(slow_iou(p["pred_relevant_windows"][0], g) for g in gt) >= 0.6)
        expected = [100 * float(np.mean(x)) if x else 0 for x in (aps, r1)]
        got = [result[name]["MR-mAP"]["0.6"], result[name]["MR-R1"]["0.6"]]
        assert got == pytest.approx(expected, abs=0.0051), name


@pytest.mark.parametrize("seed", range(5))
def test_highlight_detection_equals_a_slow_twin(seed):
    predictions, labels = made_up(seed)
    result = eval_qvhighlights(predictions, labels)
    for level, least in dict(Fair=2, Good=3, VeryGood=4).items():
        aps, hits = [], []
        for p, d in zip(predictions, labels, strict=True):
            clips = int(d["duration"] / 2)
            gt = np.zeros((clips, 3))
            gt[d["relevant_clip_ids"]] = d["saliency_scores"]
            scores = p["pred_saliency_scores"][:clips]
            aps += [slow_clip_ap(scores, (gt[:, a] >= least).tolist()) for a in range(3)]
            hits.append((gt[scores.index(max(scores))] >= least).any())
        assert result[f"HL-min-{level}"]["HL-mAP"] == pytest.approx(100 * np.mean(aps), abs=0.0051)
        assert result[f"HL-min-{level}"]["HL-Hit1"] == pytest.approx(100 * np.mean(hits), abs=0.0051)


def test_order_changes_nothing():
    predictions, labels = made_up(7)
    assert eval_qvhighlights(predictions[::-1], labels) == eval_qvhighlights(predictions, labels[::-1])


def test_a_query_without_windows_is_left_out_of_mr_and_counts_zero_in_hl():
    predictions, labels = made_up(3)
    empty = dict(qid="none", duration=20, relevant_windows=[], relevant_clip_ids=[], saliency_scores=[])
    guess = dict(qid="none", pred_saliency_scores=[1] * 10, pred_relevant_windows=[[0, 10, 1]])
    without, with_it = eval_qvhighlights(predictions, labels), eval_qvhighlights([*predictions, guess], [*labels, empty])
    assert with_it["full"] == without["full"]
    assert with_it["HL-min-Fair"]["HL-mAP"] == pytest.approx(without["HL-min-Fair"]["HL-mAP"] * 30 / 31, abs=0.01)


def test_only_empty_windows_do_not_crash():
    label = dict(qid=1, duration=20, relevant_windows=[], relevant_clip_ids=[], saliency_scores=[])
    guess = dict(qid=1, pred_saliency_scores=[1] * 10, pred_relevant_windows=[])
    assert set(eval_qvhighlights([guess], [label])["brief"].values()) == {0.0}


def test_missing_clips_count_as_worst_and_surplus_ones_not_at_all():
    label = dict(qid=1, duration=8, relevant_clip_ids=[3], saliency_scores=[[4, 4, 4]])
    assert eval_qvhighlights([dict(qid=1, pred_saliency_scores=[1, 2, 3])], [label])["brief"] == {
        f"HL-min-{level}-{m}": v for level in ("Fair", "Good", "VeryGood") for m, v in (("mAP", 25.0), ("Hit1", 0.0))}
    surplus = eval_qvhighlights([dict(qid=1, pred_saliency_scores=[1, 2, 3, 4, 99])], [label])
    assert surplus["brief"]["HL-min-Fair-mAP"] == 100


@pytest.mark.parametrize("qids, message", [
    ([0, 1], "the predictions lack qid 2 of the labels"),
    ([0, 1, 2, 2], "the predictions hold qid 2 more than once"),
    ([0, 1, 2, 7], "the predictions hold qid 7, which the labels lack"),
])
def test_qids_that_do_not_match_are_named(qids, message):
    predictions, labels = made_up(0, n=3)
    with pytest.raises(InputError, match=message):
        eval_qvhighlights([{**predictions[0], "qid": q} for q in qids], labels)


def test_nothing_to_score_is_refused():
    with pytest.raises(InputError, match="nothing to score"):
        eval_qvhighlights([dict(qid=1)], [dict(qid=1, duration=8)])


def test_floors_and_oracle_on_known_labels():
    labels = [dict(qid=q, duration=20, relevant_windows=[[4, 12]], relevant_clip_ids=[2, 3, 4, 5],
                   saliency_scores=[[4, 4, 4]] * 4) for q in range(400)]
    top = oracle(labels)
    assert top["MR-full-mAP"] == top["MR-full-R1@0.7"] == top["HL-min-VeryGood-mAP"] == 100
    chance = random_floor(labels, seeds=5)
    assert chance["HL-min-VeryGood-Hit1"] == pytest.approx(40, abs=4)   # four of ten clips
    assert random_floor(labels, seeds=5) == chance


def test_metrics_need_no_torch():
    code = "import sys; sys.modules['torch'] = sys.modules['nncore'] = None; import datasets.eval, datasets.labels"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0
