"""Test the shipped importance model with synthetic features, so that no video is decoded."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from common.errors import InputError
from pipelines.scoring.clip_it import run_clip_it
from pipelines.scoring.importance import CHECKPOINT, domain_familiarity, load_importance_model


class RandomTextEncoder:
    """A text encoder whose embeddings follow from the length of the text."""

    def embed(self, texts, report_progress=None):
        return np.stack([np.random.default_rng(len(t)).normal(size=384) for t in texts])


PARTS = dict(efficientnet_lite0=1280, conse=384)
ENCODERS = SimpleNamespace(visual=SimpleNamespace(parts=PARTS), text=RandomTextEncoder())


def video(rows, parts=PARTS):
    r = np.random.default_rng(3)
    features = {part: np.cumsum(r.normal(0, 0.1, (rows, width)), axis=0).astype(np.float32)
                for part, width in parts.items()}
    return SimpleNamespace(visual=features, clip_len_s=2, info=SimpleNamespace(path="v.mp4"))


@pytest.fixture(scope="module")
def model():
    assert CHECKPOINT.stat().st_size < 8e6
    return load_importance_model()


@pytest.mark.parametrize("rows", [1, 2, 75, 3000])
def test_scores_of_any_length_are_reproducible(model, rows):
    scores = run_clip_it(model, video(rows), ENCODERS)
    assert scores.shape == (rows,)
    assert ((scores > 0) & (scores < 1)).all()
    assert rows < 3 or scores.std() > 0.05
    assert np.array_equal(run_clip_it(model, video(rows), ENCODERS), scores)


def test_scores_depend_on_the_sentences_but_not_on_their_order(model):
    without_text = run_clip_it(model, video(90), ENCODERS)
    with_text = run_clip_it(model, video(90), ENCODERS, ["a dog", "two bikes", "the train"])
    for order in (["the train", "a dog", "two bikes"], ["two bikes", "the train", "a dog"]):
        assert np.array_equal(run_clip_it(model, video(90), ENCODERS, order), with_text)
    assert np.abs(with_text - without_text).max() > 0.01


def test_the_model_reads_the_features_in_the_order_of_the_encoder(model):
    """Pass the row length, the parts in the encoder's order, and all sentences; return the model's scores unchanged."""
    class Spy(torch.nn.Module):
        video_dims, text_dims = model.video_dims, model.text_dims

        def __call__(self, data, mode):
            self.data, self.mode = data, mode
            return dict(_out=dict(saliency=torch.arange(9.0)[None] / 9))

    spy, encoded = Spy(), video(9)
    reordered = SimpleNamespace(**{**vars(encoded), "visual": dict(reversed(encoded.visual.items())), "clip_len_s": 4})
    scores = run_clip_it(spy, reordered, ENCODERS, ["a dog", "two bikes"])
    assert np.array_equal(scores, (torch.arange(9.0) / 9).double().numpy())
    assert spy.mode == "test"
    expected = np.concatenate([encoded.visual[part] for part in PARTS], axis=1)
    assert torch.equal(spy.data["video"][0], torch.from_numpy(expected))
    assert spy.data["row_s"] == 4
    assert spy.data["query"].shape == (1, 2, 384)
    assert (spy.data["saliency"] >= 0).all()
    run_clip_it(spy, encoded, ENCODERS)
    assert spy.data["row_s"] == 2
    assert "query" not in spy.data


def test_positions_are_times_and_not_row_numbers(model):
    """Score the same video in rows of 1 s and of 2 s alike, and differently with a wrong row length."""
    encoded = video(240)
    averaged = {part: (rows[::2] + rows[1::2]) / 2 for part, rows in encoded.visual.items()}
    fine = run_clip_it(model, SimpleNamespace(**{**vars(encoded), "clip_len_s": 1}), ENCODERS)
    coarse, wrong = (run_clip_it(model, SimpleNamespace(**{**vars(encoded), "visual": averaged, "clip_len_s": s}),
                                 ENCODERS) for s in (2, 1))
    expected = (fine[::2] + fine[1::2]) / 2
    assert np.abs(coarse - expected).mean() < np.abs(wrong - expected).mean()


def test_features_of_other_encoders_are_named(model):
    other = video(9, dict(clip_image=512))
    message = r"v.mp4: its visual features have 512 dimensions \(clip_image\), but the model expects 1664"
    with pytest.raises(InputError, match=message):
        run_clip_it(model, other, SimpleNamespace(visual=SimpleNamespace(parts=dict(clip_image=512)), text=RandomTextEncoder()))


def test_sentences_of_another_encoder_are_named(model):
    with pytest.raises(InputError, match="the sentence embeddings have 5 dimensions, but the model expects 384"):
        run_clip_it(model, video(9), ENCODERS, np.ones((2, 5)))


def test_the_weights_were_trained(model):
    assert model.count > 0
    assert torch.isfinite(model.axes).all()
    assert model.axes.abs().sum() > 0


@pytest.mark.parametrize(("self_like", "expected"), [(0.5, 1), (0.79, 1), (0.81, 0.5), (0.83, 0), (0.95, 0)])
def test_familiarity_falls_with_the_similarity_of_the_frames(self_like, expected):
    rows = np.zeros((4, 9))
    # The first dimension is the direction of the mean.
    rows[:, 0] = self_like
    rows[[0, 1], 1], rows[[2, 3], 2] = [1, -1], [1, -1]
    rows[:, 1:] *= (1 - self_like**2)**0.5
    assert domain_familiarity(7 * rows) == pytest.approx(expected)
