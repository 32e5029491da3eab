"""Padding: the other items of a batch do not change an item's predictions, whatever their lengths."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nncore.nn import MODELS
from nncore.parallel import NNDataParallel

import models  # noqa: F401  Registers the models.
from common.build import build
from datasets import QVHighlights
from training.loaders import make_loader

POS = dict(type="PositionEmbedding", learnable=True, max_len=40)


@cache
def model(kernel: int, mask_padding: bool = True):
    """Return a small model with random weights whose predicted windows are long enough to exceed the video."""
    torch.manual_seed(0)
    network = build(dict(
        type="UMT", mask_padding=mask_padding,
        video_enc=dict(type="UniModalEncoder", dims=[6, 16], standardize=True, pos_cfg=POS,
                       enc_cfg=dict(type="EncoderLayer")),
        audio_enc=dict(type="UniModalEncoder", dims=[5, 16], pos_cfg=POS, enc_cfg=dict(type="EncoderLayer")),
        cross_enc=dict(type="CrossModalEncoder", dims=16, pos_cfg=POS, enc_cfg=dict(type="BottleneckTransformer")),
        query_gen=dict(type="QueryGenerator", dims=[7, 16], enc_cfg=dict(type="Attention")),
        query_dec=dict(type="QueryDecoder", dims=16, pos_cfg=POS, dec_cfg=[dict(type="DecoderLayer")] * 2),
        pred_head=[dict(type="SaliencyHead", dims=[16, 1]), dict(
            type="BoundaryHead", dims=[16, 1], kernel=kernel, max_num_moments=6,
            context_cfg=dict(type="TemporalContext", layers=1))]), MODELS).eval()
    network.video_enc.standardize.update(2 * torch.randn(100, 6))
    with torch.no_grad():
        list(network.pred_head[1].window_pred.parameters())[-1].fill_(6)   # The bias, which makes windows long.
    return NNDataParallel(network)


class InMemoryVideos(QVHighlights):
    """A dataset of random features.

    Args:
        videos: (duration in seconds, feature rows beyond the expected number, query tokens) of each video.
    """

    def __init__(self, videos):
        self.labels = [dict(qid=i, query="synthetic", vid=str(i), duration=duration_s, relevant_windows=[[0, 1]])
                       for i, (duration_s, _, _) in enumerate(videos)]
        self.clip_len_s, self.reorder, self.videos = 2, False, videos

    def _streams(self, label):
        rows = max(1, self.expected_clips(label) + self.videos[label["qid"]][1])
        r = np.random.default_rng(label["qid"])
        return (torch.from_numpy(r.normal(0, 2, (rows, width))).float() for width in (6, 5))

    def _query(self, label):
        r = np.random.default_rng([label["qid"], 1])
        return torch.from_numpy(r.normal(0, 2, (self.videos[label["qid"]][2], 7))).float()


def predictions(videos, network, **options):
    """Return the predictions by query id for a loader with these options."""
    loader = make_loader(InMemoryVideos(videos), options, seed=0)
    with torch.no_grad():
        found = loader.dataset.predictions([network(batch, mode="test")["_out"] for batch in loader])
    return {line["qid"]: line for line in found}


def assert_same_predictions(found, expected):
    assert found.keys() == expected.keys()
    for qid, line in expected.items():
        other = found[qid]
        assert [line[key] for key in ("qid", "query", "vid")] == [other[key] for key in ("qid", "query", "vid")]
        assert other["pred_saliency_scores"] == pytest.approx(line["pred_saliency_scores"], abs=2e-4)
        windows, others = (np.array(x["pred_relevant_windows"]) for x in (line, other))
        assert len(windows) == len(others) <= 6
        assert others[:, 2] == pytest.approx(windows[:, 2], abs=2e-4)
        distances = np.abs(windows[:, None] - others).max(axis=-1)   # In any order, since scores may be nearly equal.
        assert distances.min(axis=1).max() < 5e-3
        assert distances.min(axis=0).max() < 5e-3


VIDEOS = st.lists(st.tuples(st.floats(0.5, 60), st.integers(-2, 2), st.integers(1, 6)), min_size=2, max_size=6)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(VIDEOS, st.integers(2, 6), st.sampled_from([1, 3]), st.booleans())
def test_batching_changes_no_prediction(videos, size, kernel, same_length):
    network = model(kernel)
    assert_same_predictions(predictions(videos, network, batch_size=size, same_length=same_length),
                            predictions(videos, network))


def test_a_model_without_masks_needs_batches_of_one_length():
    """Show that the test above can fail, and that `same_length` prevents it."""
    videos, network = [(20, 0, 3), (60, 0, 5), (20, 0, 2), (41, 0, 2)], model(1, mask_padding=False)
    assert_same_predictions(predictions(videos, network, batch_size=4, same_length=True), predictions(videos, network))
    with pytest.raises(AssertionError):
        assert_same_predictions(predictions(videos, network, batch_size=4), predictions(videos, network))
