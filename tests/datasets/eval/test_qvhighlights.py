"""The QVHighlights metrics against goldens and a slow reference, and input on which the public evaluator crashes."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from datasets.eval import eval_qvhighlights
from tests.golden.inputs import qvhighlights_pairs, read_golden
from tests.paths import ROOT, SHARED

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is missing")


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_metrics_equal_the_public_evaluator_on_random_input():
    assert eval_qvhighlights(*qvhighlights_pairs()) == read_golden("evaluators")["qvhighlights"]


@needs_shared
def test_metrics_equal_the_published_ones_of_moment_detr():
    data = SHARED / "data" / "qvhighlights"
    result = eval_qvhighlights(read_jsonl(data / "moment_detr_val_preds.jsonl"),
                               read_jsonl(data / "highlight_val_release.jsonl"))
    assert result == json.loads((data / "moment_detr_val_metrics.json").read_text())


def slow_iou(a, b):
    """Compute the IoU of two windows."""
    overlap = max(0, min(a[1], b[1]) - max(a[0], b[0]))
    return overlap / (a[1] - a[0] + b[1] - b[0] - overlap)


def slow_detection_ap(pred, gt, threshold):
    """Compute the interpolated average precision of the ten best windows of one query."""
    pred, unmatched, hits = sorted(pred[:10], key=lambda w: -w[2]), list(gt)[::-1], []
    for p in pred:
        # Of labels with the same IoU, the last one is matched.
        best = max(unmatched, key=lambda g: slow_iou(p, g), default=None)
        hits.append(best is not None and slow_iou(p, best) >= threshold)
        if hits[-1]:
            unmatched.remove(best)
    precision = [sum(hits[: i + 1]) / (i + 1) for i in range(len(hits))]
    return sum(max(precision[i:]) for i, hit in enumerate(hits) if hit) / len(gt)


def slow_clip_ap(scores, positive):
    """Compute the interpolated average precision of the clips of one query, for one annotator."""
    points = []   # (Precision, number of hits) at every distinct score, from the lowest.
    for s in sorted(set(scores)):
        kept = [p for x, p in zip(scores, positive, strict=True) if x >= s]
        points.append((sum(kept) / len(kept), sum(kept)))
    found_above = [f for _, f in points[1:]] + [0]
    best = [max(p for p, _ in points[: i + 1]) for i in range(len(points))]
    rises = [b for b, (_, f), g in zip(best, points, found_above, strict=True) if f > g]
    return float(np.mean(rises)) if rises else 0.0


def percent(values):
    """Return the mean in per cent, to be compared with a rounded one."""
    return pytest.approx(100 * float(np.mean(values or [0])), abs=0.0051)


def slow_moment_retrieval(predictions, labels):
    """Compute the metrics of moment retrieval, one query and threshold at a time."""
    thresholds, result = np.linspace(0.5, 0.95, 10), {}
    for name, over, up_to in [("short", 0, 10), ("middle", 10, 30), ("long", 30, 150), ("full", 0, 1e9)]:
        aps, r1 = [], []
        for p, d in zip(predictions, labels, strict=True):
            gt = [w for w in d["relevant_windows"] if over < w[1] - w[0] <= up_to]
            windows = p["pred_relevant_windows"]
            if gt:
                aps.append([slow_detection_ap(windows, gt, t) for t in thresholds])
                first = max((slow_iou(windows[0], g) for g in gt), default=0) if windows else 0
                r1.append([first >= t for t in thresholds])
        keys = [f"{t:.2f}".rstrip("0") for t in thresholds]
        result[name] = {
            "MR-mAP": {k: percent([ap[i] for ap in aps]) for i, k in enumerate(keys)} | {"average": percent(aps)},
            "MR-R1": {k: percent([hit[i] for hit in r1]) for i, k in enumerate(keys)}}
    return result


def slow_highlight_detection(predictions, labels):
    """Compute the metrics of highlight detection, one query and annotator at a time."""
    result = {}
    for level, least in dict(Fair=2, Good=3, VeryGood=4).items():
        aps, hits = [], []
        for p, d in zip(predictions, labels, strict=True):
            clips = max(int(d["duration"] / 2), 1)
            gt = np.zeros((clips, 3))
            if d["relevant_clip_ids"]:
                gt[d["relevant_clip_ids"]] = d["saliency_scores"]
            scores = (p["pred_saliency_scores"] + [-np.inf] * clips)[:clips]
            aps += [slow_clip_ap(scores, (gt[:, a] >= least).tolist()) for a in range(3)]
            hits.append((gt[scores.index(max(scores))] >= least).any())
        result[f"HL-min-{level}"] = {"HL-mAP": percent(aps), "HL-Hit1": percent(hits)}
    return result


def synthetic_pairs(seed, n=30):
    """Return predictions with equal scores and various lengths, and labels with equal ratings and several windows."""
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


@st.composite
def queries(draw):
    """Draw a label and a prediction from few clips and few scores, so that many of them are equal."""
    clips = draw(st.integers(1, 25))
    times = st.lists(st.integers(0, clips), min_size=2, max_size=2, unique=True).map(lambda t: sorted(2 * x for x in t))
    windows = draw(st.lists(times, max_size=4))
    ids = draw(st.lists(st.integers(0, clips - 1), unique=True))
    label = dict(duration=2 * clips + draw(st.sampled_from([0, 1.5])), relevant_windows=windows, relevant_clip_ids=ids,
                 saliency_scores=[draw(st.lists(st.integers(0, 4), min_size=3, max_size=3)) for _ in ids])
    scores = draw(st.lists(st.integers(0, 3), max_size=clips + 2))   # May be shorter or longer than the video.
    found = [[*window, draw(st.integers(-2, 2))] for window in draw(st.lists(times, max_size=12))]
    return label, dict(pred_saliency_scores=scores, pred_relevant_windows=found)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(queries(), min_size=1, max_size=6))
def test_metrics_equal_the_slow_reference(pairs):
    labels = [dict(qid=i, **label) for i, (label, _) in enumerate(pairs)]
    predictions = [dict(qid=i, **prediction) for i, (_, prediction) in enumerate(pairs)]
    result = eval_qvhighlights(predictions[::-1], labels)
    result.pop("brief")
    assert result == slow_moment_retrieval(predictions, labels) | slow_highlight_detection(predictions, labels)


def test_slow_reference_equals_the_public_evaluator():
    predictions, labels = qvhighlights_pairs()
    slow = slow_moment_retrieval(predictions, labels) | slow_highlight_detection(predictions, labels)
    assert {k: v for k, v in read_golden("evaluators")["qvhighlights"].items() if k != "brief"} == slow


def test_of_labels_with_equal_iou_the_last_is_matched():
    """The public evaluator does the same; here it leaves no label for the second prediction."""
    label = dict(qid=1, duration=8, relevant_windows=[[0, 4], [4, 8]])
    prediction = dict(qid=1, pred_relevant_windows=[[0, 8, 0.9], [4, 8, 0.8]])
    assert eval_qvhighlights([prediction], [label])["brief"]["MR-full-mAP@0.5"] == 50


def test_order_of_entries_does_not_matter():
    predictions, labels = synthetic_pairs(7)
    assert eval_qvhighlights(predictions[::-1], labels) == eval_qvhighlights(predictions, labels[::-1])


def test_query_without_windows_is_excluded_from_mr_and_counts_as_zero_in_hl():
    predictions, labels = synthetic_pairs(3)
    empty = dict(qid="none", duration=20, relevant_windows=[], relevant_clip_ids=[], saliency_scores=[])
    prediction = dict(qid="none", pred_saliency_scores=[1] * 10, pred_relevant_windows=[[0, 10, 1]])
    without = eval_qvhighlights(predictions, labels)
    with_it = eval_qvhighlights([*predictions, prediction], [*labels, empty])
    assert with_it["full"] == without["full"]
    assert with_it["HL-min-Fair"]["HL-mAP"] == pytest.approx(without["HL-min-Fair"]["HL-mAP"] * 30 / 31, abs=0.01)


def test_labels_without_any_window_are_evaluated():
    label = dict(qid=1, duration=20, relevant_windows=[], relevant_clip_ids=[], saliency_scores=[])
    prediction = dict(qid=1, pred_saliency_scores=[1] * 10, pred_relevant_windows=[])
    assert set(eval_qvhighlights([prediction], [label])["brief"].values()) == {0.0}


def test_missing_clips_have_the_lowest_score_and_surplus_clips_are_ignored():
    label = dict(qid=1, duration=8, relevant_clip_ids=[3], saliency_scores=[[4, 4, 4]])
    assert eval_qvhighlights([dict(qid=1, pred_saliency_scores=[1, 2, 3])], [label])["brief"] == {
        f"HL-min-{level}-{m}": v for level in ("Fair", "Good", "VeryGood") for m, v in (("mAP", 25.0), ("Hit1", 0.0))}
    surplus = eval_qvhighlights([dict(qid=1, pred_saliency_scores=[1, 2, 3, 4, 99])], [label])
    assert surplus["brief"]["HL-min-Fair-mAP"] == 100


@pytest.mark.parametrize("qids, message", [
    ([0, 1], "there are labels but no predictions of qid 2"),
    ([0, 1, 2, 2], "the predictions have duplicates of qid 2"),
    ([0, 1, 2, 7], "there are predictions but no labels of qid 7"),
])
def test_qids_that_do_not_match_are_an_error(qids, message):
    predictions, labels = synthetic_pairs(0, n=3)
    with pytest.raises(InputError, match=message):
        eval_qvhighlights([{**predictions[0], "qid": q} for q in qids], labels)


@pytest.mark.parametrize("key, value, message", [
    ("pred_relevant_windows", [[2, 6]],
     "pred_relevant_windows must be a list of lists of 3 finite numbers, not .*2, 6"),
    ("pred_relevant_windows", [[2, float("nan"), 1]], "finite numbers, not .*nan"),
    ("pred_relevant_windows", [2, 6, 1], "list of lists of 3"),
    ("pred_relevant_windows", None, "finite numbers, not None"),
    ("pred_saliency_scores", [float("nan")] * 4, "pred_saliency_scores must be a list of finite numbers"),
    ("pred_saliency_scores", ["1", "2"], "must be a list of finite numbers, not .*'1', '2'"),
    ("pred_saliency_scores", [[1], [2, 3]], "must be a list of finite numbers"),
    ("relevant_clip_ids", [0, 4], "relevant_clip_ids must name one of its 4 clips"),
    ("saliency_scores", [[4], [4, 3]], "saliency_scores must be a list of equally long lists"),
    ("duration", "8", "duration must be a number above 0, not '8'"),
    ("duration", float("inf"), "duration must be a number above 0, not inf"),
])
def test_invalid_values_are_reported_with_their_qid(key, value, message):
    label = dict(qid=7, duration=8, relevant_windows=[[2, 6]], relevant_clip_ids=[1, 2], saliency_scores=[[4] * 3] * 2)
    prediction = dict(qid=7, pred_relevant_windows=[[2, 6, 1]], pred_saliency_scores=[0, 1, 1, 0])
    (prediction if key.startswith("pred") else label)[key] = value
    with pytest.raises(InputError, match=f"of qid 7: .*{message}"):
        eval_qvhighlights([prediction], [label])


def test_keys_that_only_some_entries_have_are_an_error():
    predictions, labels = synthetic_pairs(0, n=3)
    del predictions[1]["pred_saliency_scores"]
    with pytest.raises(InputError, match="predictions of qid 1 have no pred_saliency_scores, but others have it"):
        eval_qvhighlights(predictions, labels)
    with pytest.raises(InputError, match="prediction 1: qid None is not a number or text"):
        eval_qvhighlights([{}], labels)
    one = dict(qid=5, duration=80, relevant_windows=[[0, 2]], relevant_clip_ids=[0], saliency_scores=[[4]])
    with pytest.raises(InputError, match=r"have \[1, 3\] annotators"):
        eval_qvhighlights([*synthetic_pairs(0, n=3)[0], predictions[0] | dict(qid=5)], [*labels, one])


@pytest.mark.parametrize("change", [
    str, float, np.int64, lambda qid: str(qid) if qid % 2 else qid], ids=["text", "float", "numpy", "mixed"])
def test_qids_of_different_types_match(change):
    predictions, labels = synthetic_pairs(3)
    expected = eval_qvhighlights(predictions, labels)
    changed = [{**prediction, "qid": change(prediction["qid"])} for prediction in predictions[::-1]]
    assert eval_qvhighlights(changed, labels) == expected
    assert eval_qvhighlights(predictions, [{**label, "qid": change(label["qid"])} for label in labels]) == expected


@pytest.mark.parametrize("qid, message", [
    ("0", "the predictions have duplicates of qid 0; keep one of each"),
    (0.0, "the predictions have duplicates of qid 0; keep one of each"),
    (0.5, "prediction 4: qid 0.5 is not a number or text"),
    (True, "prediction 4: qid True is not a number or text")])
def test_duplicates_of_another_type_and_invalid_qids_are_errors(qid, message):
    predictions, labels = synthetic_pairs(0, n=3)
    with pytest.raises(InputError, match=message):
        eval_qvhighlights([*predictions, {**predictions[0], "qid": qid}], labels)


@pytest.mark.parametrize("kept, lost", [("pred_relevant_windows", "HL"), ("pred_saliency_scores", "MR")])
def test_predictions_of_one_task_yield_the_metrics_of_that_task(kept, lost):
    predictions, labels = synthetic_pairs(2)
    both = eval_qvhighlights(predictions, labels)["brief"]
    one_task = eval_qvhighlights([{k: p[k] for k in ("qid", kept)} for p in predictions], labels)["brief"]
    assert one_task == {k: v for k, v in both.items() if not k.startswith(lost)} != {}


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(InputError, match="nothing to evaluate"):
        eval_qvhighlights([dict(qid=1)], [dict(qid=1, duration=8)])


def test_metrics_do_not_import_torch():
    code = ("import sys; sys.modules['torch'] = sys.modules['nncore'] = None; "
            "import datasets.eval, datasets.annotations.qvhighlights")
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0
