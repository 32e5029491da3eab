"""CLIP-It: sets of queries, padding, windows, time in seconds, and learning from features and queries."""

import pytest
import torch
from nncore.nn import MODELS

import models  # noqa: F401
from common.build import build
from common.errors import InputError
from models.blocks.frame_context import CHANNELS, FrameContext, moving_average

V, D = 10, 4   # Widths of frames and queries.


def make(**options):
    """Build a small model in evaluation mode; noise on every weight keeps initial zeros from hiding an input."""
    torch.manual_seed(0)
    model = build(dict(dict(type="CLIPIt", video_dims=V, text_dims=D, shared=D, dims=8), **options), MODELS).eval()
    for parameter in model.parameters():
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


def test_the_order_of_queries_and_their_padding_change_nothing(video, query):
    model = make()
    first = scores(model, video, query)
    assert torch.equal(scores(model, video, query), first)
    assert torch.allclose(scores(model, video, query[:, [3, 0, 4, 1, 2]]), first, atol=1e-5)
    padded = torch.cat([torch.full((2, 2, D), torch.inf), query], dim=1)
    assert torch.allclose(scores(model, video, padded), first, atol=1e-5)
    assert (scores(model, video, -query) - first).abs().max() > 1e-3


def test_each_query_is_a_separate_key(video, query):
    """Frames weight two queries differently, so the effect of additional queries is not the same for all frames."""
    model = make(shared=0, layers=0)
    member = model.members[0]
    with torch.no_grad():
        frames = model.context(video, torch.ones(2, 40, dtype=torch.bool), 1.0)[0]
        x = member.frames(frames)
        change = member.attention(x, member.words(query)) - member.attention(x, member.words(query[:, :1]))
    assert change.std(dim=1).max() > 1e-3


def test_no_query_equals_padding_alone(video):
    model = make()
    without = scores(model, video)
    assert torch.isfinite(without).all()
    assert without.std() > 0
    assert torch.allclose(scores(model, video, torch.full((2, 3, D), torch.inf)), without, atol=1e-6)
    assert torch.allclose(scores(model, video, torch.zeros(2, 0, D)), without, atol=1e-6)


def test_padded_frames_change_nothing(video, query):
    model = make(members=2)
    unpadded = scores(model, video, query)
    longer = torch.cat([video, torch.zeros(2, 9, V)], dim=1)
    mask = torch.cat([torch.ones(2, 40), torch.full((2, 9), -1.0)], dim=1)
    padded = scores(model, longer, query, mask)
    assert torch.allclose(padded[:, :40], unpadded, atol=1e-5)
    assert not padded[:, 40:].any()
    one = scores(model, video[:1], query[:1])
    assert torch.allclose(one, unpadded[:1], atol=1e-5)


@pytest.mark.parametrize("propagation", [0, 0.75])
def test_a_single_frame_is_scored(query, propagation):
    assert torch.isfinite(scores(make(propagation=propagation), torch.randn(2, 1, V), query)).all()


def test_propagation_equals_a_naive_sum_over_pairs(video, query):
    plain, propagating = make(), make(propagation=0.75)
    mask = torch.ones(2, 40)
    mask[1, 31:] = -1   # Padded frames do not take part.
    before, after = (scores(model, video, query, mask).logit() for model in (plain, propagating))
    for b, T in enumerate((40, 31)):
        features = plain.context(video[b:b + 1, :T], torch.ones(1, T, dtype=torch.bool), 1.0)[0][0]
        own = (before[b, :T] - before[b, :T].mean()) / before[b, :T].std(unbiased=False)
        propagated = torch.stack([sum(features[t] @ features[u] * own[u] for u in range(T)) for t in range(T)])
        propagated = (propagated - propagated.mean()) / propagated.std(unbiased=False)
        torch.testing.assert_close(after[b, :T], 0.25 * own + 0.75 * propagated, atol=1e-3, rtol=1e-3)


def test_propagation_does_not_change_the_loss(video, query):
    data = dict(video=video, query=query, saliency=torch.rand(2, 40))
    losses = []
    for model in (make().train(), make(propagation=0.75).train()):
        torch.manual_seed(4)
        losses.append(model(data, mode="train")["saliency_loss"].item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("p_text", [0, 0.2, 1])
def test_text_dropout_hides_all_queries_of_a_share_of_the_videos(p_text):
    model = make(p_text=p_text).train()
    query = torch.randn(2000, 3, D)
    query[:, 2] = torch.inf   # Padding.
    torch.manual_seed(6)
    queries, is_query = model._center_queries(query, torch.zeros(2000, 1, V))
    hidden = ~is_query.any(dim=1)
    assert hidden.float().mean().item() == pytest.approx(p_text, abs=0.03)
    assert is_query[~hidden].unique(dim=0).tolist() == ([[True, True, False]] if p_text < 1 else [])
    assert not queries[hidden].any()
    assert queries[~hidden, :2].norm(dim=-1).allclose(torch.ones(()))


def test_no_query_is_hidden_outside_training(query, video):
    _, is_query = make(p_text=1).eval()._center_queries(query, video)
    assert is_query.all()


def test_hidden_queries_have_the_loss_of_no_queries(video, query):
    data = dict(video=video, query=query, saliency=torch.rand(2, 40, generator=torch.Generator().manual_seed(3)))
    losses = []
    for hidden, given in ((1, query), (0, None), (0, query)):
        model = make(p=0, noise=0, p_text=hidden).train()
        losses.append(model({**data, "query": given}, mode="train")["saliency_loss"].item())
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert abs(losses[0] - losses[2]) > 1e-3


@pytest.mark.parametrize("noise", [0, 0.125, 0.5])
def test_training_adds_noise_to_scaled_features(noise):
    """The noise is measured by the linear score: its deviation is noise * sqrt(V), times the norm of the weights."""
    member = make(noise=noise, shared=0, layers=0).members[0]
    with torch.no_grad():
        for parameter in member.head.parameters():
            parameter.zero_()
        member.linear_channels.weight.zero_(), member.linear_channels.bias.zero_(), member.linear.bias.zero_()
        member.linear.weight.copy_(torch.arange(1.0, V + 1))
        frames, mask = torch.ones(1, 4000, V), torch.ones(1, 4000, dtype=torch.bool)
        rest = torch.zeros(1, 4000, CHANNELS), torch.zeros(1, 0, D), torch.zeros(1, 0, dtype=torch.bool), mask
        torch.manual_seed(6)
        trained, evaluated = member.train()(frames, *rest), member.eval()(frames, *rest)
    without_noise = V * (V + 1) / 2
    assert evaluated.unique().tolist() == [without_noise]
    assert trained.mean().item() == pytest.approx(without_noise, abs=0.1 + 2 * noise)
    norm = member.linear.weight.norm().item()
    assert trained.std().item() == pytest.approx(noise * V**0.5 * norm, rel=0.04, abs=1e-5)


def test_deprecated_names_of_options_work():
    model = make(alike=0.75, keep=True)
    assert model.propagation == 0.75
    assert model.cache is True


def test_parts_of_a_batch_have_the_mean_loss_and_the_scale_of_the_batch(video, query, monkeypatch):
    """Simulate three processes; the last one has no item, which is represented by an item without rows."""
    import models.clip_it as module
    videos, queries = torch.cat([video, video[:1].flip(1)]), torch.cat([query, -query[:1]])
    saliency = torch.rand(3, 40, generator=torch.Generator().manual_seed(3))
    single = make(p=0, noise=0, p_text=0).train()
    expected = single(dict(video=videos, query=queries, saliency=saliency), mode="train")["saliency_loss"]
    assert expected > 0.1
    assert single.energy > 0
    monkeypatch.setattr(module, "world_size", lambda: 3)
    monkeypatch.setattr(module, "world_mean", lambda items, device: 3 / 3)
    totals, partial_sums = iter([single.energy.float(), single.count] * 3), []

    def world_sum(value):
        partial_sums.append(value.item())
        return next(totals)

    monkeypatch.setattr(module, "world_sum", world_sum)
    items, losses = [], []
    empty = torch.full((1, 40), -1.0)
    for part, labels in ((videos[:2], saliency[:2]), (videos[2:], saliency[2:]), (videos[:1], empty)):
        part_queries = queries[:2] if len(part) == 2 else queries[2:]
        model = make(p=0, noise=0, p_text=0).train()
        out = model(dict(video=part, query=part_queries, saliency=labels), mode="train")
        items.append(out["_avg_factor"])
        losses.append(out["saliency_loss"])
    assert items == [2, 1, 0]
    assert losses[2] == 0
    assert sum(partial_sums[::2]) == pytest.approx(single.energy.item(), rel=1e-5)
    assert sum(partial_sums[1::2]) == single.count
    assert torch.allclose(sum(losses) / 3, expected, atol=1e-5)


def test_windows_equal_the_complete_video_if_frames_do_not_attend_to_each_other(video, query):
    complete, windowed = make(window=1000), make(window=16)
    with torch.no_grad():
        for model in (complete, windowed):
            for layer in model.members[0].layers:
                layer.att.m.weight.zero_()
    assert torch.allclose(scores(complete, video, query), scores(windowed, video, query), atol=1e-5)


def test_windows_limit_the_attention(video, query):
    windowed, complete = (scores(make(window=window), video, query) for window in (16, 1000))
    assert (windowed - complete).abs().max() > 1e-4


def test_windows_are_averaged_with_triangular_weights():
    T, size = 23, 8
    member = make(window=size).members[0]
    rows = torch.randn(2, T, 3)
    mask = torch.ones(2, T, dtype=torch.bool)
    assert torch.allclose(member._apply_in_windows(lambda x, mask: x, rows, mask), rows, atol=1e-6)

    def positions(x, mask):   # A layer that returns the position of each row in its window.
        return torch.arange(size, dtype=x.dtype).reshape(1, size, 1).expand_as(x)

    averaged = member._apply_in_windows(positions, rows, mask)
    for t in range(T):
        inside = [t - start for start in (0, 4, 8, 12, 15) if start <= t < start + size]
        weights = [min(position + 1, size - position) for position in inside]
        expected = sum(p * w for p, w in zip(inside, weights, strict=True)) / sum(weights)
        assert averaged[0, t, 0].item() == pytest.approx(expected)


def test_the_scale_of_features_and_the_mean_of_queries_do_not_matter_after_training(video, query):
    def trained(scale, shift):
        model = make(noise=0, p=0, p_text=0)
        data = dict(video=scale * video, query=query, saliency=torch.rand(2, 40), meta=None)
        model.train()(data, mode="train")
        model.eval().text_mean.data.add_(shift)
        return scores(model, scale * video, query + shift)

    first = trained(1, 0)
    assert torch.allclose(trained(100, 0), first, atol=1e-5)
    assert torch.allclose(trained(1, 3), first, atol=1e-4)


def test_scores_depend_on_time_and_not_on_the_number_of_rows():
    """Scores converge as rows get shorter, because all spans are in seconds.

    The error is of first order in the length of a row, so it falls to a quarter at each step; the test requires half.
    With a wrong `row_s`, the scores do not converge, and the error is several times larger.
    """
    model = make(layers=0)

    def score_at(row_s, given_row_s=None):
        time_s = (torch.arange(int(120 / row_s)) + 0.5) * row_s
        slow = torch.stack([torch.sin(time_s * (i + 1) / 60) for i in range(V)], dim=-1)[None]
        return scores(model, slow, row_s=given_row_s or row_s)[0]

    limit = score_at(0.0625)

    def error(row_s, given_row_s=None):
        expected = limit.reshape(-1, int(row_s / 0.0625)).mean(dim=1)
        return (score_at(row_s, given_row_s) - expected).abs().mean().item()

    errors = [error(row_s) for row_s in (4.0, 1.0, 0.25)]
    assert errors[1] < errors[0] / 2
    assert errors[2] < errors[1] / 2
    for row_s in (4.0, 2.0, 0.5, 0.25):
        assert 4 * error(row_s) < error(row_s, given_row_s=1.0)


def synthetic_videos(seed, number, objects=6, shots=8, rows=5):
    """Return videos of shots that each show one of six objects, which the last columns encode; the others are noise."""
    g = torch.Generator().manual_seed(seed)
    shown = torch.randint(0, objects, (number, shots), generator=g).repeat_interleave(rows, 1)
    noise = torch.randn(number, shots * rows, V, generator=g)
    noise[..., -objects:] = 0.3 * noise[..., -objects:] + torch.eye(objects)[shown]
    return shown, noise


def query_data(shown, video, queried):
    """Return data in which each query is the unit vector of an object, and its frames are salient."""
    return dict(video=video, query=torch.eye(6)[queried][:, None], saliency=(shown == queried[:, None]).float(),
                meta=None)


@pytest.fixture(scope="module")
def trained_by_queries():
    """Train without cosine similarities, so that only the attention can learn which frames match a query.

    If all queries were one key, the attention would add the same vector to every frame and could not learn this.
    """
    torch.manual_seed(0)
    model = build(dict(type="CLIPIt", video_dims=V, text_dims=6, dims=16, layers=0, noise=0.01, smooth_s=1, p=0,
                       p_text=0), MODELS)
    shown, video = synthetic_videos(1, 16)
    g = torch.Generator().manual_seed(5)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(250):
        queried = shown.gather(1, torch.randint(0, shown.size(1), (len(shown), 1), generator=g))[:, 0]
        loss = model(query_data(shown, video, queried), mode="train")["saliency_loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@pytest.mark.slow
def test_the_attention_learns_which_frames_match_a_query(trained_by_queries):
    shown, video = synthetic_videos(2, 12)   # None of them is in the training data.
    hits = dict(own=[], other=[])
    for target in range(6):
        contains_target = (shown == target).any(dim=1)
        for name, queried in dict(own=target, other=(target + 1) % 6).items():
            data = query_data(shown, video, torch.full((12,), queried))
            saliency = trained_by_queries(data, mode="test")["_out"]["saliency"]
            best = shown.gather(1, saliency.argmax(dim=1, keepdim=True))[:, 0]
            hits[name] += (best == target)[contains_target].tolist()
    own, other = (sum(row) / len(row) for row in (hits["own"], hits["other"]))
    assert len(hits["own"]) > 40
    assert own > 0.9
    assert own > 2 * other


@pytest.mark.slow
def test_frames_that_match_any_of_two_queries_score_highest(trained_by_queries):
    shown, video = synthetic_videos(2, 12)
    queries = torch.stack([torch.eye(6)[0], torch.eye(6)[1]]).expand(12, 2, 6)
    data = dict(video=video, query=queries, saliency=torch.ones(shown.shape))
    saliency = trained_by_queries(data, mode="test")["_out"]["saliency"]
    best = shown.gather(1, saliency.argmax(dim=1, keepdim=True))[:, 0]
    assert (best < 2)[(shown < 2).any(dim=1)].float().mean() > 0.9


@pytest.mark.slow
def test_the_model_learns_from_features_and_from_queries():
    torch.manual_seed(0)
    model = build(dict(type="CLIPIt", video_dims=V, text_dims=D, shared=D, dims=8, noise=0.01, smooth_s=1, p=0,
                       p_text=0, cache=True), MODELS)
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
    assert right < 0.1
    assert other > right + 0.2


def test_cached_features_equal_computed_ones(video, query):
    model = make(noise=0, p=0, p_text=0, cache=True).train()
    data = dict(video=video, query=query, saliency=torch.rand(2, 40), meta=[dict(vid="a"), dict(vid="b")])
    first = model(data, mode="val")["saliency_loss"]
    model.count.zero_(), model.energy.zero_()
    cached = model({**data, "video": torch.zeros_like(video)}, mode="val")["saliency_loss"]
    assert torch.allclose(cached, first, atol=1e-4)


def test_principal_components_keep_the_variance():
    model = make(axes=3)
    rows = torch.randn(200, V) * torch.tensor([5.0, 4, 3] + [0.01] * (V - 3)) + 7
    model.fit_axes([rows, rows + 100])
    centered = rows - rows.mean(dim=0)
    assert torch.allclose((centered @ model.axes) @ model.axes.T, centered, atol=0.1)
    assert model.members[0].frames.in_features == 3


def test_moving_averages_use_valid_frames_only():
    x, valid = torch.arange(6.0).reshape(1, 6, 1), torch.tensor([1.0, 1, 1, 1, 0, 0]).reshape(1, 6, 1)
    assert moving_average(x, valid, 3)[0, :, 0].tolist() == [0.5, 1, 2, 2.5, 0, 0]


def test_frame_context_has_features_and_channels():
    features, channels = FrameContext()(torch.randn(1, 30, V), torch.ones(1, 30, dtype=torch.bool), 1.0)
    assert features.shape == (1, 30, V)
    assert channels.shape == (1, 30, CHANNELS)


def test_a_misspelled_option_is_named():
    with pytest.raises(InputError, match="did you mean 'layers'"):
        build(dict(type="CLIPIt", video_dims=V, text_dims=D, layer=1), MODELS)


def test_shared_columns_must_have_the_width_of_the_queries():
    with pytest.raises(ValueError, match="shared=3 columns"):
        build(dict(type="CLIPIt", video_dims=V, text_dims=D, shared=3), MODELS)
