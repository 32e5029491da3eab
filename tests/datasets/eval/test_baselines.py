"""Random and oracle baselines of the QVHighlights metrics."""

import json

import numpy as np
import pytest

from datasets.eval.baselines import oracle_baseline, random_baseline
from tests.paths import SHARED

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is missing")


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_baselines_of_synthetic_labels():
    labels = [dict(qid=q, duration=20, relevant_windows=[[4, 12]], relevant_clip_ids=[2, 3, 4, 5],
                   saliency_scores=[[4, 4, 4]] * 4) for q in range(400)]
    oracle = oracle_baseline(labels)
    assert oracle["MR-full-mAP"] == oracle["MR-full-R1@0.7"] == oracle["HL-min-VeryGood-mAP"] == 100
    random = random_baseline(labels, seeds=5)
    assert random["HL-min-VeryGood-Hit1"] == pytest.approx(40, abs=4)   # Four of ten clips are positive.
    assert random_baseline(labels, seeds=5) == random
    bare = [{k: d[k] for k in ("qid", "duration", "relevant_windows")} for d in labels]
    assert oracle_baseline(bare) == {k: v for k, v in oracle.items() if k.startswith("MR")}
    assert set(random_baseline(bare, seeds=1)) == set(oracle_baseline(bare))


@needs_shared
def test_baselines_of_the_validation_split_follow_from_its_labels():
    labels = read_jsonl(SHARED / "data" / "qvhighlights" / "highlight_val_release.jsonl")
    oracle, random = oracle_baseline(labels), random_baseline(labels, seeds=4)
    reachable = np.mean([min(len(d["relevant_windows"]), 10) / len(d["relevant_windows"]) for d in labels])
    assert oracle["MR-full-mAP"] == pytest.approx(100 * reachable, abs=0.0051)
    # The published values of the oracle.
    assert (oracle["HL-min-VeryGood-mAP"], oracle["HL-min-VeryGood-Hit1"]) == pytest.approx((60.6, 96.4), abs=1)
    for level, least in dict(Fair=2, Good=3, VeryGood=4).items():
        share = np.mean([sum(max(row) >= least for row in d["saliency_scores"]) / (d["duration"] // 2) for d in labels])
        assert random[f"HL-min-{level}-Hit1"] == pytest.approx(100 * share, abs=1.2)
    assert random["HL-min-VeryGood-mAP"] == pytest.approx(15.3, abs=0.3)
