"""CLIP-It: sentences as a set, padding, windows, time in seconds, and that it learns from features and words."""

import pytest
import torch
from nncore.nn import MODELS

import models  # noqa: F401
from common.build import build
from common.errors import InputError
from models.blocks.frame_context import CHANNELS, FrameContext, around

V, D = 10, 4


def make(**options):
    torch.manual_seed(0)
    model = build(dict(dict(type="CLIPIt", video_dims=V, text_dims=D, shared=D, dims=8), **options), MODELS).eval()
    for parameter in model.parameters():   # what begins at zero would hide its inputs
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return model


def scores(model, video, query=None, mask=None, **data):
    saliency = torch.ones(video.shape[:2]) if mask is None else mask
    with torch.no_grad():
        return model(dict(video=video, query=query, saliency=saliency, **data), mode="test")["_out"]["saliency"]


@pytest.fixture(scope="module")
def video():
    return torch.randn(2, 40, V, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def query():
    return torch.randn(2, 5, D, generator=torch.Generator().manual_seed(2))


def test_the_order_of_sentences_and_their_padding_change_nothing(video, query):
    model = make()
    first = scores(model, video, query)
    assert torch.equal(scores(model, video, query), first)
    assert torch.allclose(scores(model, video, query[:, [3, 0, 4, 1, 2]]), first, atol=1e-5)
    padded = torch.cat([torch.full((2, 2, D), torch.inf), query], dim=1)
    assert torch.allclose(scores(model, video, padded), first, atol=1e-5)
    assert (scores(model, video, -query) - first).abs().max() > 1e-3


def test_each_sentence_is_a_key_of_its_own(video, query):
    """Frames weigh two sentences differently, so the difference that words make is not the same for all."""
    model = make(shared=0, layers=0)
    member = model.members[0]
    with torch.no_grad():
        frames = model.context(video, torch.ones(2, 40, dtype=torch.bool), 1.0)[0]
        x = member.frames(frames)
        change = member.attention(x, member.words(query)) - member.attention(x, member.words(query[:, :1]))
    assert change.std(dim=1).max() > 1e-3


def test_no_sentence_works_and_equals_padding_alone(video):
    model = make()
    silent = scores(model, video)
    assert torch.isfinite(silent).all() and silent.std() > 0
    assert torch.allclose(scores(model, video, torch.full((2, 3, D), torch.inf)), silent, atol=1e-6)
    assert torch.allclose(scores(model, video, torch.zeros(2, 0, D)), silent, atol=1e-6)


def test_padded_frames_change_nothing(video, query):
    model = make(members=2)
    alone = scores(model, video, query)
    longer = torch.cat([video, torch.zeros(2, 9, V)], dim=1)
    mask = torch.cat([torch.ones(2, 40), torch.full((2, 9), -1.0)], dim=1)
    found = scores(model, longer, query, mask)
    assert torch.allclose(found[:, :40], alone, atol=1e-5) and not found[:, 40:].any()
    one = scores(model, video[:1], query[:1])
    assert torch.allclose(one, alone[:1], atol=1e-5)


def test_one_frame_is_scored(query):
    assert torch.isfinite(scores(make(), torch.randn(2, 1, V), query)).all()


def test_windows_equal_the_whole_where_attention_is_local(video, query):
    whole, windows = make(window=1000), make(window=16)
    with torch.no_grad():
        for model in (whole, windows):
            for layer in model.members[0].layers:
                layer.att.m.weight.zero_()   # frames do not see each other any more
    assert torch.allclose(scores(whole, video, query), scores(windows, video, query), atol=1e-5)
    seen = make(window=16)
    assert (scores(seen, video, query) - scores(make(window=1000), video, query)).abs().max() > 1e-4


def test_half_as_many_rows_give_the_scores_in_between():
    """Everything is in seconds: rows of 2 s score as the rows of 1 s around them."""
    model = make(layers=0)
    time = torch.linspace(0, 6, 120)
    slow = torch.stack([torch.sin(time * (i + 1) / 3) for i in range(V)], dim=-1)[None]
    fine, coarse = scores(model, slow, row_s=1.0)[0], scores(model, (slow[:, ::2] + slow[:, 1::2]) / 2, row_s=2.0)[0]
    between = (fine[::2] + fine[1::2]) / 2
    assert torch.corrcoef(torch.stack([between, coarse]))[0, 1] > 0.97
    wrong = scores(model, (slow[:, ::2] + slow[:, 1::2]) / 2, row_s=1.0)[0]
    assert (coarse - between).abs().mean() < (wrong - between).abs().mean()


def test_learns_from_features_and_from_words():
    torch.manual_seed(0)
    model = build(dict(type="CLIPIt", video_dims=V, text_dims=D, shared=D, dims=8, noise=0.01, smooth_s=1, p=0,
                       p_text=0, keep=True), MODELS)
    video = torch.randn(12, 50, V)
    query = torch.nn.functional.normalize(torch.randn(12, 1, D), dim=-1)
    target = video[..., 0] + 2 * (video[..., -D:] * query).sum(dim=-1)
    data = dict(video=video, query=query, saliency=target.sigmoid(), meta=[dict(vid=i) for i in range(12)])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = model(data, mode="train")["saliency_loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    right = model(data, mode="val")["saliency_loss"].item()
    other = model({**data, "query": query.roll(1, dims=0)}, mode="val")["saliency_loss"].item()
    assert right < 0.1 and other > right + 0.2


def test_what_is_kept_is_what_would_be_computed(video, query):
    model = make(noise=0, p=0, p_text=0, keep=True).train()
    data = dict(video=video, query=query, saliency=torch.rand(2, 40), meta=[dict(vid="a"), dict(vid="b")])
    first = model(data, mode="val")["saliency_loss"]
    model.count.zero_(), model.energy.zero_()
    assert torch.allclose(model({**data, "video": torch.zeros_like(video)}, mode="val")["saliency_loss"], first, atol=1e-4)


def test_axes_keep_what_varies():
    model = make(axes=3)
    rows = torch.randn(200, V) * torch.tensor([5.0, 4, 3] + [0.01] * (V - 3)) + 7
    model.fit_axes([rows, rows + 100])
    centred = rows - rows.mean(dim=0)
    assert torch.allclose((centred @ model.axes) @ model.axes.T, centred, atol=0.1)
    assert model.members[0].frames.in_features == 3


def test_context_is_means_of_what_exists():
    x, exists = torch.arange(6.0).reshape(1, 6, 1), torch.tensor([1.0, 1, 1, 1, 0, 0]).reshape(1, 6, 1)
    assert around(x, exists, 3)[0, :, 0].tolist() == [0.5, 1, 2, 2.5, 0, 0]
    features, channels = FrameContext()(torch.randn(1, 30, V), torch.ones(1, 30, dtype=torch.bool), 1.0)
    assert features.shape == (1, 30, V) and channels.shape == (1, 30, CHANNELS)


def test_misspelt_and_misfitting_options_are_named():
    with pytest.raises(InputError, match="did you mean 'layers'"):
        build(dict(type="CLIPIt", video_dims=V, text_dims=D, layer=1), MODELS)
    with pytest.raises(ValueError, match="shared=3 columns"):
        build(dict(type="CLIPIt", video_dims=V, text_dims=D, shared=3), MODELS)
