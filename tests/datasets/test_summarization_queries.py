"""Test the sentence embeddings of queries, and the sample set's config for CLIP-It."""

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
def root_and_dataset(tmp_path):
    """Write the features and the label of one query; return their folder and the dataset."""
    r = np.random.default_rng(0)
    text = dict(last_hidden_state=np.zeros((3, 4)), pooler_output=np.arange(4.0))
    for folder, name, values in (("video", "a.npz", dict(features=r.normal(size=(10, 6)))),
                                 ("text", "qid7.npz", text)):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / name, **values)
    label = dict(qid=7, query="a dog", vid="a", duration=20, relevant_windows=[[2, 6]], relevant_clip_ids=[1, 2],
                 saliency_scores=[[4, 4, 4], [2, 2, 2]])
    (tmp_path / "l.jsonl").write_text(json.dumps(label) + "\n")
    datasets.register()
    return tmp_path, build(dict(type="SummarizationQueries", label_path=str(tmp_path / "l.jsonl"),
                                video_path=str(tmp_path / "video"), query_path=str(tmp_path / "text")), DATASETS)


def test_the_query_is_the_sentence_embedding_and_not_its_tokens(root_and_dataset):
    _, dataset = root_and_dataset
    item = dataset[0]
    assert item["query"].data.tolist() == [[0, 1, 2, 3]]
    assert item["query"].pad_value == float("inf")
    assert item["saliency"].data.tolist() == [0, 1, 0.5, 0, 0, 0, 0, 0, 0, 0]


def test_text_features_without_a_sentence_embedding_are_named(root_and_dataset):
    root, dataset = root_and_dataset
    for values, message in ((dict(last_hidden_state=np.zeros((3, 4))), "no 'pooler_output' in it"),
                            (dict(pooler_output=np.zeros((3, 4))),
                             r"pooler_output has shape \(3, 4\), not \(width,\)")):
        np.savez(root / "text" / "qid7.npz", **values)
        with pytest.raises(InputError, match=message):
            dataset[0]


def test_the_config_of_the_sample_set_matches_its_encoders():
    cfg = load_config(ROOT / "configs/sample/clip_it_sample.py")
    assert cfg.data.train.type == "SummarizationQueries"
    assert cfg.encoders.visual.type == "EfficientNetConSE"
    assert cfg.model.row_s == 2
    assert sum(cfg.data.train.video_dims) == cfg.model.video_dims
    # Every read reorders the clips, so features must not be cached.
    assert not cfg.model.cache
