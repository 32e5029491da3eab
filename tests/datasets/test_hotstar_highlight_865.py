"""The dataset of rated clips: its metrics, its baselines and its labels."""

import json

import numpy as np
import torch

from datasets import HotstarHighlight865
from datasets.preparation.ratings import make_label

from .fakes import rated_clips, write_features


def rated_set(tmp_path, clips):
    with (tmp_path / "l.jsonl").open("w") as file:
        for qid, clip in enumerate(clips, 1):
            file.write(json.dumps(make_label(clip, qid, "t")) + "\n")
    return HotstarHighlight865(str(tmp_path / "l.jsonl"), str(tmp_path), str(tmp_path))


def told(dataset, scores):
    """The metrics of a model that scores all of a clip's parts alike."""
    return dataset.evaluate([dict(meta=[label], saliency=torch.full((1, 75), float(score)), boundary=torch.tensor([[[0.0, 150.0, 1.0]]]))
                             for label, score in zip(dataset.labels, scores, strict=True)])


def test_metrics_and_floors_tell_good_models_from_bad(tmp_path):
    dataset = rated_set(tmp_path, rated_clips(12, 30))
    baselines, ratings = dataset.baselines(), np.array([label["rating"] for label in dataset.labels])
    good, bad = told(dataset, ratings), told(dataset, -ratings)
    for key in ("AP", "ROC-AUC", "HD-mAP-by-video", "HD-HIT@1-by-video"):
        assert good[key] == baselines["oracle"][key] == 100.0
        assert bad[key] + 5 < baselines["random"][key] < 70, key
    assert good["HD-videos"] + good["HD-videos-left-out"] == 12
    assert not [key for name in (good, *baselines.values()) for key in name if key.startswith("HL-")]   # all parts of a clip are graded alike


def test_labels_of_rated_clips_name_their_source_video(tmp_path):
    label = make_label(rated_clips(2)[0], 1, "t")
    assert label["video"] == "v0"
    del label["video"]
    (tmp_path / "l.jsonl").write_text(json.dumps(label))
    write_features(tmp_path / f"{label['vid']}.npz", 75, 4, "features")
    write_features(tmp_path / "qid1.npz", 3, 5, "last_hidden_state")
    faults = HotstarHighlight865(str(tmp_path / "l.jsonl"), str(tmp_path), str(tmp_path)).check()
    assert len(faults) == 1
    assert "line 1: no 'video'" in str(faults[0])
    assert "create the labels with tools/process_feature_and_label.py" in str(faults[0])
