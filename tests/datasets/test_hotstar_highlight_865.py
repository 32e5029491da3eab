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


def metrics_of_constant_scores(dataset, scores):
    """Return the metrics of a model that gives all parts of a clip the same score."""
    boundary = torch.tensor([[[0.0, 150.0, 1.0]]])
    return dataset.evaluate([dict(meta=[label], saliency=torch.full((1, 75), float(score)), boundary=boundary)
                             for label, score in zip(dataset.labels, scores, strict=True)])


def test_metrics_and_baselines_distinguish_good_and_bad_models(tmp_path):
    dataset = rated_set(tmp_path, rated_clips(12, 30))
    baselines, ratings = dataset.baselines(), np.array([label["rating"] for label in dataset.labels])
    good, bad = metrics_of_constant_scores(dataset, ratings), metrics_of_constant_scores(dataset, -ratings)
    for key in ("AP", "ROC-AUC", "HD-mAP-by-video", "HD-HIT@1-by-video"):
        assert good[key] == baselines["oracle"][key] == 100.0
        assert bad[key] + 5 < baselines["random"][key] < 70, key
    assert good["HD-videos"] + good["HD-videos-left-out"] == 12
    # There are no HL metrics, because all parts of a rated clip have the same rating.
    assert not [key for name in (good, *baselines.values()) for key in name if key.startswith("HL-")]


def test_labels_of_rated_clips_name_their_source_video(tmp_path):
    label = make_label(rated_clips(2)[0], 1, "t")
    assert label["video"] == "v0"
    del label["video"]
    (tmp_path / "l.jsonl").write_text(json.dumps(label))
    write_features(tmp_path / f"{label['vid']}.npz", 75, 4, "features")
    write_features(tmp_path / "qid1.npz", 3, 5, "last_hidden_state")
    errors = HotstarHighlight865(str(tmp_path / "l.jsonl"), str(tmp_path), str(tmp_path)).check()
    assert len(errors) == 1
    assert "line 1: no 'video'" in str(errors[0])
    assert "create the labels with tools/process_feature_and_label.py" in str(errors[0])
