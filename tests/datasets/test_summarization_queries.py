"""A query as one sentence: what is read of its text features, and the sample set's config for CLIP-It."""

import json

import numpy as np
import pytest
from nncore.dataset import DATASETS

import datasets
from common.build import build
from common.config import load_config
from common.errors import InputError
from tests.paths import ROOT


@pytest.fixture
def made(tmp_path):
    r = np.random.default_rng(0)
    for folder, name, values in (("video", "a.npz", dict(features=r.normal(size=(10, 6)))),
                                 ("text", "qid7.npz", dict(last_hidden_state=np.zeros((3, 4)), pooler_output=np.arange(4.0)))):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / name, **values)
    label = dict(qid=7, query="a dog", vid="a", duration=20, relevant_windows=[[2, 6]], relevant_clip_ids=[1, 2], saliency_scores=[[4, 4, 4], [2, 2, 2]])
    (tmp_path / "l.jsonl").write_text(json.dumps(label) + "\n")
    datasets.register()
    return tmp_path, build(dict(type="SummarizationQueries", label_path=str(tmp_path / "l.jsonl"), video_path=str(tmp_path / "video"),
                                query_path=str(tmp_path / "text")), DATASETS)


def test_the_query_is_the_sentence_and_not_its_words(made):
    item = made[1][0]
    assert item["query"].data.tolist() == [[0, 1, 2, 3]]
    assert item["query"].pad_value == float("inf")
    assert item["saliency"].data.tolist() == [0, 1, 0.5, 0, 0, 0, 0, 0, 0, 0]


def test_text_features_that_hold_no_sentence_are_named(made):
    root, dataset = made
    for values, message in ((dict(last_hidden_state=np.zeros((3, 4))), "no 'pooler_output' in it"),
                            (dict(pooler_output=np.zeros((3, 4))), r"pooler_output has shape \(3, 4\), not \(width,\)")):
        np.savez(root / "text" / "qid7.npz", **values)
        with pytest.raises(InputError, match=message):
            dataset[0]


def test_the_samples_config_fits_its_encoders():
    cfg = load_config(ROOT / "configs/sample/clip_it_sample.py")
    assert (cfg.data.train.type, cfg.encoders.visual.type, cfg.model.row_s) == ("SummarizationQueries", "EfficientNetConSE", 2)
    assert sum(cfg.data.train.video_dims) == cfg.model.video_dims
    # Every read reorders the clips, so features must not be cached.
    assert not cfg.model.cache
