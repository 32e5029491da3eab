"""The shipped head: of features alone, so that no video need be decoded."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from common.errors import InputError
from pipelines.importance import CHECKPOINT, importance, load_importance


class Words:
    def encode(self, texts):
        return [SimpleNamespace(pooler_output=np.random.default_rng(len(t)).normal(size=384)) for t in texts]


PARTS = dict(efficientnet_lite0=1280, conse=384)
ENCODERS = SimpleNamespace(visual=SimpleNamespace(parts=PARTS), text=Words())


def video(rows, parts=PARTS):
    r = np.random.default_rng(3)
    steps = {part: np.cumsum(r.normal(0, 0.1, (rows, width)), axis=0).astype(np.float32) for part, width in parts.items()}
    return SimpleNamespace(visual=steps, clip_len_s=2, info=SimpleNamespace(path="v.mp4"))


@pytest.fixture(scope="module")
def model():
    assert CHECKPOINT.stat().st_size < 8e6
    return load_importance()


@pytest.mark.parametrize("rows", [1, 2, 75, 3000])
def test_any_length_is_scored_alike_in_every_call(model, rows):
    scores = importance(model, video(rows), ENCODERS)
    assert scores.shape == (rows,) and ((scores > 0) & (scores < 1)).all()
    assert rows < 3 or scores.std() > 0.05
    assert np.array_equal(importance(model, video(rows), ENCODERS), scores)


def test_sentences_count_and_their_order_does_not(model):
    silent = importance(model, video(90), ENCODERS)
    said = importance(model, video(90), ENCODERS, ["a dog", "two bikes", "the train"])
    assert np.allclose(importance(model, video(90), ENCODERS, ["the train", "a dog", "two bikes"]), said, atol=1e-5)
    assert np.abs(said - silent).max() > 0.01


def test_features_of_other_encoders_are_named(model):
    other = video(9, dict(clip_image=512))
    with pytest.raises(InputError, match=r"v.mp4: its features are 512 wide \(clip_image\), but the model reads 1664"):
        importance(model, other, SimpleNamespace(visual=SimpleNamespace(parts=dict(clip_image=512)), text=Words()))


def test_the_weights_were_trained(model):
    assert model.count > 0 and torch.isfinite(model.axes).all() and model.axes.abs().sum() > 0
