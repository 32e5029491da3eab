"""The shipped head: of features alone, so that no video need be decoded."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from common.errors import InputError
from pipelines.scoring.clip_it import run_clip_it
from pipelines.scoring.importance import CHECKPOINT, domain_familiarity, load_importance_model


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
    return load_importance_model()


@pytest.mark.parametrize("rows", [1, 2, 75, 3000])
def test_any_length_is_scored_alike_in_every_call(model, rows):
    scores = run_clip_it(model, video(rows), ENCODERS)
    assert scores.shape == (rows,)
    assert ((scores > 0) & (scores < 1)).all()
    assert rows < 3 or scores.std() > 0.05
    assert np.array_equal(run_clip_it(model, video(rows), ENCODERS), scores)


def test_sentences_count_and_their_order_does_not(model):
    silent = run_clip_it(model, video(90), ENCODERS)
    said = run_clip_it(model, video(90), ENCODERS, ["a dog", "two bikes", "the train"])
    for order in (["the train", "a dog", "two bikes"], ["two bikes", "the train", "a dog"]):
        assert np.array_equal(run_clip_it(model, video(90), ENCODERS, order), said)
    assert np.abs(said - silent).max() > 0.01


def test_the_model_reads_what_the_encoders_made_in_their_order(model):
    """Rows of 2 s, the parts as the encoder names them, every sentence; the scores come back as they are."""
    class Spy(torch.nn.Module):
        video_dims, text_dims = model.video_dims, model.text_dims

        def __call__(self, data, mode):
            self.data, self.mode = data, mode
            return dict(_out=dict(saliency=torch.arange(9.0)[None] / 9))

    spy, seen = Spy(), video(9)
    turned = SimpleNamespace(**{**vars(seen), "visual": dict(reversed(seen.visual.items())), "clip_len_s": 4})
    scores = run_clip_it(spy, turned, ENCODERS, ["a dog", "two bikes"])
    assert np.array_equal(scores, (torch.arange(9.0) / 9).double().numpy())
    assert spy.mode == "test"
    assert torch.equal(spy.data["video"][0], torch.from_numpy(np.concatenate([seen.visual[part] for part in PARTS], axis=1)))
    assert spy.data["row_s"] == 4
    assert spy.data["query"].shape == (1, 2, 384)
    assert (spy.data["saliency"] >= 0).all()
    run_clip_it(spy, seen, ENCODERS)
    assert spy.data["row_s"] == 2
    assert "query" not in spy.data


def test_the_order_of_rows_matters_only_by_time(model):
    """The same film at rows of 1 s and of 2 s is scored alike, and otherwise when it is told wrongly."""
    slow = video(240)
    half = {part: (rows[::2] + rows[1::2]) / 2 for part, rows in slow.visual.items()}
    fine = run_clip_it(model, SimpleNamespace(**{**vars(slow), "clip_len_s": 1}), ENCODERS)
    coarse, wrong = (run_clip_it(model, SimpleNamespace(**{**vars(slow), "visual": half, "clip_len_s": s}), ENCODERS) for s in (2, 1))
    between = (fine[::2] + fine[1::2]) / 2
    assert np.abs(coarse - between).mean() < np.abs(wrong - between).mean()


def test_features_of_other_encoders_are_named(model):
    other = video(9, dict(clip_image=512))
    with pytest.raises(InputError, match=r"v.mp4: its visual features have 512 dimensions \(clip_image\), but the model expects 1664"):
        run_clip_it(model, other, SimpleNamespace(visual=SimpleNamespace(parts=dict(clip_image=512)), text=Words()))


def test_sentences_of_another_encoder_are_named(model):
    with pytest.raises(InputError, match="the sentence embeddings have 5 dimensions, but the model expects 384"):
        run_clip_it(model, video(9), ENCODERS, np.ones((2, 5)))


def test_the_weights_were_trained(model):
    assert model.count > 0
    assert torch.isfinite(model.axes).all()
    assert model.axes.abs().sum() > 0


@pytest.mark.parametrize(("self_like", "expected"), [(0.5, 1), (0.79, 1), (0.81, 0.5), (0.83, 0), (0.95, 0)])
def test_a_video_that_looks_alike_all_the_time_is_not_the_models_to_judge(self_like, expected):
    rows = np.zeros((4, 9))
    rows[:, 0] = self_like   # the mean's direction
    rows[[0, 1], 1], rows[[2, 3], 2] = [1, -1], [1, -1]
    rows[:, 1:] *= (1 - self_like**2)**0.5
    assert domain_familiarity(7 * rows) == pytest.approx(expected)
