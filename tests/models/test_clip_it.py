"""CLIP-It: sentences as a set, padding, windows, time in seconds, and that it learns from features and words."""

import pytest
import torch
from nncore.nn import MODELS

import models  # noqa: F401
from common.build import build
from common.errors import InputError
from models.blocks.frame_context import CHANNELS, FrameContext, moving_average

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
    for alike in (0, 0.75):
        assert torch.isfinite(scores(make(alike=alike), torch.randn(2, 1, V), query)).all()


def test_frames_that_look_alike_share_their_scores(video, query):
    """Against the sum over pairs, written out; padded frames have no part, and the loss sees none of it."""
    plain, sharing = make(), make(alike=0.75)
    mask = torch.ones(2, 40)
    mask[1, 31:] = -1
    before, after = (scores(model, video, query, mask).logit() for model in (plain, sharing))
    for b, T in enumerate((40, 31)):
        features = plain.context(video[b:b + 1, :T], torch.ones(1, T, dtype=torch.bool), 1.0)[0][0]
        own = (before[b, :T] - before[b, :T].mean()) / before[b, :T].std(unbiased=False)
        passed = torch.stack([sum(features[t] @ features[u] * own[u] for u in range(T)) for t in range(T)])
        passed = (passed - passed.mean()) / passed.std(unbiased=False)
        torch.testing.assert_close(after[b, :T], 0.25 * own + 0.75 * passed, atol=1e-3, rtol=1e-3)
    data = dict(video=video, query=query, saliency=torch.rand(2, 40))
    losses = []
    for model in (plain.train(), sharing.train()):
        torch.manual_seed(4)
        losses.append(model(data, mode="train")["saliency_loss"].item())
    assert losses[0] == losses[1]


def test_parts_of_a_batch_have_its_mean_loss_and_its_scale(video, query, monkeypatch):
    """As several processes have them; one whose part is empty gets an item without rows."""
    import models.clip_it as module
    films, asked = torch.cat([video, video[:1].flip(1)]), torch.cat([query, -query[:1]])
    saliency = torch.rand(3, 40, generator=torch.Generator().manual_seed(3))
    whole = make(p=0, noise=0, p_text=0).train()
    expected = whole(dict(video=films, query=asked, saliency=saliency), mode="train")["saliency_loss"]
    assert expected > 0.1 and whole.energy > 0
    monkeypatch.setattr(module, "world_size", lambda: 3)
    monkeypatch.setattr(module, "world_mean", lambda items, device: 3 / 3)
    totals, given = iter([whole.energy.float(), whole.count] * 3), []

    def world_sum(value):
        given.append(value.item())
        return next(totals)

    monkeypatch.setattr(module, "world_sum", world_sum)
    found = []
    for part, exists in ((films[:2], saliency[:2]), (films[2:], saliency[2:]), (films[:1], torch.full((1, 40), -1.0))):
        words = asked[:2] if len(part) == 2 else asked[2:]
        out = make(p=0, noise=0, p_text=0).train()(dict(video=part, query=words, saliency=exists), mode="train")
        found.append((out["_avg_factor"], out["saliency_loss"]))
    assert [number for number, _ in found] == [2, 1, 0] and found[2][1] == 0
    assert sum(given[::2]) == pytest.approx(whole.energy.item(), rel=1e-5) and sum(given[1::2]) == whole.count
    assert torch.allclose(sum(loss for _, loss in found) / 3, expected, atol=1e-5)


def test_windows_equal_the_whole_where_attention_is_local(video, query):
    whole, windows = make(window=1000), make(window=16)
    with torch.no_grad():
        for model in (whole, windows):
            for layer in model.members[0].layers:
                layer.att.m.weight.zero_()   # frames do not see each other any more
    assert torch.allclose(scores(whole, video, query), scores(windows, video, query), atol=1e-5)
    seen = make(window=16)
    assert (scores(seen, video, query) - scores(make(window=1000), video, query)).abs().max() > 1e-4


def test_a_row_is_the_mean_over_windows_weighted_towards_their_middles():
    """A layer that says where in its window a row stands, and one that changes nothing."""
    T, size = 23, 8
    member = make(window=size).members[0]
    rows = torch.randn(2, T, 3)
    mask = torch.ones(2, T, dtype=torch.bool)
    assert torch.allclose(member._apply_in_windows(lambda x, mask: x, rows, mask), rows, atol=1e-6)
    found = member._apply_in_windows(lambda x, mask: torch.arange(size, dtype=x.dtype).reshape(1, size, 1).expand_as(x), rows, mask)
    for t in range(T):
        inside = [(t - start, min(t - start + 1, size - (t - start))) for start in (0, 4, 8, 12, 15) if start <= t < start + size]
        assert found[0, t, 0].item() == pytest.approx(sum(place * weight for place, weight in inside) / sum(w for _, w in inside))


def test_the_scale_of_features_and_where_sentences_lie_is_learned(video, query):
    """Features a hundred times as large, or sentences all moved by one vector, score alike after training saw them."""
    def trained(scale, shift):
        model = make(noise=0, p=0, p_text=0)
        model.train()(dict(video=scale * video, query=query, saliency=torch.rand(2, 40), meta=None), mode="train")
        model.eval().text_mean.data.add_(shift)
        return scores(model, scale * video, query + shift)

    first = trained(1, 0)
    assert torch.allclose(trained(100, 0), first, atol=1e-5) and torch.allclose(trained(1, 3), first, atol=1e-4)


def test_scores_are_of_time_and_not_of_rows():
    """Everything is in seconds: as rows get shorter, scores come nearer to those of very short rows.

    To the first order the error falls with the length of a row; at least by half is asked for where it falls to a
    quarter. With lengths that are told wrongly it does not fall, and is several times greater.
    """
    model = make(layers=0)

    def at(row_s, told_s=None):
        time_s = (torch.arange(int(120 / row_s)) + 0.5) * row_s
        slow = torch.stack([torch.sin(time_s * (i + 1) / 60) for i in range(V)], dim=-1)[None]
        return scores(model, slow, row_s=told_s or row_s)[0]

    limit = at(0.0625)

    def error(row_s, told_s=None):
        return (at(row_s, told_s) - limit.reshape(-1, int(row_s / 0.0625)).mean(dim=1)).abs().mean().item()

    errors = [error(row_s) for row_s in (4.0, 1.0, 0.25)]
    assert errors[1] < errors[0] / 2 and errors[2] < errors[1] / 2
    for row_s in (4.0, 2.0, 0.5, 0.25):
        assert 4 * error(row_s) < error(row_s, told_s=1.0)


def films(seed, number, things=6, shots=8, rows=5):
    """Videos of shots that show one of six things each, in columns of their own beside noise; names are unit vectors."""
    g = torch.Generator().manual_seed(seed)
    shown = torch.randint(0, things, (number, shots), generator=g).repeat_interleave(rows, 1)
    noise = torch.randn(number, shots * rows, V, generator=g)
    noise[..., -things:] = 0.3 * noise[..., -things:] + torch.eye(things)[shown]
    return shown, noise


def asked_about(shown, video, asked):
    return dict(video=video, query=torch.eye(6)[asked][:, None], saliency=(shown == asked[:, None]).float(), meta=None)


def test_attention_alone_raises_the_frames_that_are_asked_for():
    """No cosine is given: what a sentence means for a frame is learned by the attention, as it cannot be where
    all sentences are one key, which adds the same to every frame."""
    torch.manual_seed(0)
    model = build(dict(type="CLIPIt", video_dims=V, text_dims=6, dims=16, layers=0, noise=0.01, smooth_s=1, p=0, p_text=0), MODELS)
    shown, video = films(1, 16)
    g = torch.Generator().manual_seed(5)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(250):
        asked = shown.gather(1, torch.randint(0, shown.size(1), (len(shown), 1), generator=g))[:, 0]
        loss = model(asked_about(shown, video, asked), mode="train")["saliency_loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    shown, video = films(2, 12)   # never seen
    hits = dict(own=[], other=[])
    for thing in range(6):
        there = (shown == thing).any(dim=1)
        for name, said in dict(own=thing, other=(thing + 1) % 6).items():
            found = model(asked_about(shown, video, torch.full((12,), said)), mode="test")["_out"]["saliency"]
            hits[name] += (shown.gather(1, found.argmax(dim=1, keepdim=True))[:, 0] == thing)[there].tolist()
    own, other = (sum(row) / len(row) for row in (hits["own"], hits["other"]))
    assert len(hits["own"]) > 40 and own > 0.9 and own > 2 * other
    two = torch.stack([torch.eye(6)[0], torch.eye(6)[1]]).expand(12, 2, 6)   # both are found when both are asked for
    both = model(dict(video=video, query=two, saliency=torch.ones(shown.shape)), mode="test")["_out"]["saliency"]
    best = shown.gather(1, both.argmax(dim=1, keepdim=True))[:, 0]
    assert (best < 2)[(shown < 2).any(dim=1)].float().mean() > 0.9


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
    assert moving_average(x, exists, 3)[0, :, 0].tolist() == [0.5, 1, 2, 2.5, 0, 0]
    features, channels = FrameContext()(torch.randn(1, 30, V), torch.ones(1, 30, dtype=torch.bool), 1.0)
    assert features.shape == (1, 30, V) and channels.shape == (1, 30, CHANNELS)


def test_misspelt_and_misfitting_options_are_named():
    with pytest.raises(InputError, match="did you mean 'layers'"):
        build(dict(type="CLIPIt", video_dims=V, text_dims=D, layer=1), MODELS)
    with pytest.raises(ValueError, match="shared=3 columns"):
        build(dict(type="CLIPIt", video_dims=V, text_dims=D, shared=3), MODELS)
