"""CLIPItModelScope equals the published code on seeded weights, and selects queries deterministically."""

import numpy as np
import pytest
import torch
from nncore.nn import MODELS

import models  # noqa: F401
from common.build import build
from common.config import load_config
from models.checkpoint import load_checkpoint
from tests.golden.inputs import checksum, draw_weight, modelscope_inputs, read_golden
from tests.paths import ROOT

SMALL = dict(type="CLIPItModelScope", dims=8, layers=1, hidden=16, heads=2, head_dims=4, text_heads=2)


@pytest.fixture
def small():
    torch.manual_seed(0)
    return build(SMALL, MODELS).eval()


def scores(model, video, query=None, mask=None):
    saliency = torch.ones(video.shape[:2]) if mask is None else mask
    with torch.no_grad():
        return model(dict(video=video, query=query, saliency=saliency), mode="test")["_out"]["saliency"]


def test_the_scores_equal_the_published_ones(tmp_path):
    golden = read_golden("clip_it_modelscope")
    model = build(load_config(ROOT / "configs/tvsum/clip_it_modelscope.py").model, MODELS).eval()
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    assert checksum({key: shape for key, shape in shapes.items() if "pos_table" not in key}) == golden["checksum"]
    state = {f"model.{key}": table(*shape[1:]) if "pos_table" in key else
             torch.zeros(shape) if key.startswith("decoder.") else torch.from_numpy(draw_weight(key, shape))
             for key, shape in shapes.items()}   # The decoder never runs.
    torch.save(state, tmp_path / "clip_it.pth")
    load_checkpoint(model, tmp_path / "clip_it.pth")
    assert len(golden["cases"]) == 2
    for case in golden["cases"]:
        frames, text = map(torch.from_numpy, modelscope_inputs(case["stream"], case["T"]))
        # The scores of a video differ by 0.002.
        torch.testing.assert_close(scores(model, frames, text)[0], torch.tensor(case["scores"]), atol=3e-6, rtol=0)


def table(rows, dims):
    """Compute sinusoidal position embeddings."""
    angle = np.arange(rows)[:, None] / 10000 ** (2 * (np.arange(dims) // 2) / dims)
    return torch.tensor(np.where(np.arange(dims) % 2, np.cos(angle), np.sin(angle))[None]).float()


def test_the_decoder_is_loaded_and_never_run(small):
    video, query = torch.randn(1, 6, 8), torch.randn(1, 3, 8)
    before = scores(small, video, query)
    assert any(key.startswith("decoder.") for key in small.state_dict())
    for parameter in small.decoder.parameters():
        parameter.data.fill_(torch.nan)
    assert torch.equal(scores(small, video, query), before)


@pytest.mark.parametrize("n", [1, 3, 7, 20])
def test_the_order_of_queries_and_their_padding_change_nothing(small, n):
    video, query = torch.randn(1, 6, 8), torch.randn(1, n, 8)
    first = scores(small, video, query)
    assert torch.equal(scores(small, video, query), first)
    assert torch.allclose(scores(small, video, query[:, torch.randperm(n)]), first, atol=1e-6)
    assert not torch.allclose(scores(small, video, torch.randn(1, n, 8)), first, atol=1e-6)
    padded = torch.cat([query, torch.full((1, 2, 8), torch.inf)], dim=1)
    assert torch.allclose(scores(small, video, padded), first, atol=1e-6)


def test_padded_frames_change_nothing_without_queries(small):
    video = torch.randn(1, 6, 8)
    alone = scores(small, video)
    longer, mask = torch.cat([video, torch.randn(1, 3, 8)], dim=1), torch.ones(1, 9)
    mask[:, 6:] = -1
    padded = scores(small, longer, mask=mask)
    assert torch.allclose(padded[:, :6], alone, atol=1e-6)
    assert not padded[:, 6:].any()


def test_videos_longer_than_the_positions_are_scored_in_windows():
    torch.manual_seed(0)
    model = build(dict(SMALL, positions=8), MODELS).eval()
    video = torch.randn(1, 30, 8)
    windowed = scores(model, video)
    assert windowed.shape == (1, 30)
    assert torch.isfinite(windowed).all()
    first_window = scores(model, video[:, :8])
    assert torch.allclose(first_window[0, :4], windowed[0, :4], atol=1e-6)   # Its first half overlaps with no other.


def test_only_unused_parameters_have_no_gradient(small):
    loss = small.train()(dict(video=torch.randn(2, 5, 8), query=torch.randn(2, 4, 8), saliency=torch.rand(2, 5)),
                         mode="train")["saliency_loss"]
    loss.backward()
    without = {name for name, p in small.named_parameters() if p.grad is None}
    assert without
    assert all(name.startswith(("decoder.", "layer_norm_")) for name in without)
