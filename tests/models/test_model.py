"""UMT: padding, empty labels, targets compared with naive ones, and invalid configs."""

import math

import pytest
import torch
from nncore.nn import MODELS

import models  # noqa: F401
from common.build import build
from common.errors import InputError
from models.blocks import Attention, BoundaryHead, Standardize, TemporalContext

POS = dict(type="PositionEmbedding", learnable=True)


def small_umt(**changes):
    torch.manual_seed(0)
    cfg = dict(
        type="UMT",
        video_enc=dict(type="UniModalEncoder", dims=[6, 16], pos_cfg=POS, enc_cfg=dict(type="EncoderLayer")),
        audio_enc=dict(type="UniModalEncoder", dims=[5, 16], pos_cfg=POS, enc_cfg=dict(type="EncoderLayer")),
        cross_enc=dict(type="CrossModalEncoder", dims=16, pos_cfg=POS, enc_cfg=dict(type="BottleneckTransformer")),
        query_gen=dict(type="QueryGenerator", dims=[7, 16], enc_cfg=dict(type="Attention")),
        query_dec=dict(type="QueryDecoder", dims=16, pos_cfg=POS, dec_cfg=[dict(type="DecoderLayer")] * 2),
        pred_head=[dict(type="SaliencyHead", dims=[16, 1]), dict(type="BoundaryHead", dims=[16, 1])])
    return build({**cfg, **changes}, MODELS, location="model").eval()


def batch(lengths, tokens, seed=0):
    """Return random data; the items have the given numbers of clips and of query tokens."""
    g = torch.Generator().manual_seed(seed)
    B, T, L = len(lengths), max(lengths), max(tokens)
    data = dict(video=torch.zeros(B, T, 6), audio=torch.zeros(B, T, 5), saliency=torch.full((B, T), -1.0),
                query=torch.full((B, L, 7), math.inf), boundary=torch.full((B, 2, 2), -1.0))
    for b, (n, w) in enumerate(zip(lengths, tokens, strict=True)):
        data["video"][b, :n] = torch.randn(n, 6, generator=g)
        data["audio"][b, :n] = torch.randn(n, 5, generator=g)
        data["saliency"][b, :n] = torch.rand(n, generator=g)
        data["query"][b, :w] = torch.randn(w, 7, generator=g)
        data["boundary"][b, 0] = torch.tensor([2.0, 8.0])
    return data


def test_padding_changes_no_prediction():
    model = small_umt()
    data = batch([9, 12, 5], [3, 1, 6])
    out = model(data, "test")["_out"]["saliency"]
    for b, (n, w) in enumerate([(9, 3), (12, 1), (5, 6)]):
        alone = dict(video=data["video"][b:b + 1, :n], audio=data["audio"][b:b + 1, :n],
                     saliency=data["saliency"][b:b + 1, :n], query=data["query"][b:b + 1, :w])
        torch.testing.assert_close(model(alone, "test")["_out"]["saliency"][0], out[b, :n], atol=1e-6, rtol=0)
    assert torch.all(out[2, 5:] == 0)


def test_queries_change_the_prediction_and_are_optional():
    model = small_umt()
    data = batch([8], [3])
    other = {**data, "query": data["query"] + 1}
    without = {k: v for k, v in data.items() if k != "query"}
    a, b, c = (model(d, "test")["_out"]["saliency"] for d in (data, other, without))
    assert (a - b).abs().max() > 1e-4
    assert (a - c).abs().max() > 1e-4
    assert torch.isfinite(c).all()


def test_a_row_without_valid_keys_attends_to_all_keys():
    torch.manual_seed(0)
    att = Attention(8, heads=2, p=0)
    x = torch.randn(2, 4, 8)
    out = att(x, mask=torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]]))
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out[1], att(x[1:])[0])


def test_attention_equals_a_naive_one():
    torch.manual_seed(1)
    att = Attention(8, heads=2, p=0)
    q, k, mask = torch.randn(1, 3, 8), torch.randn(1, 5, 8), torch.tensor([[1, 0, 1, 1, 0]])
    Q, K, V = att.q(q)[0], att.k(k)[0], att.v(k)[0]
    rows = []
    for h in (slice(0, 4), slice(4, 8)):
        scores = (Q[:, h] @ K[:, h].T / 2).masked_fill(mask == 0, -math.inf)
        rows.append(scores.softmax(-1) @ V[:, h])
    torch.testing.assert_close(att(q, k, mask=mask)[0], att.m(torch.cat(rows, dim=1)))


def naive_targets(windows, T, unit=2, rf=0.2, sf=0.2):
    center, length, offset, weight = ([0.0] * T for _ in range(4))
    for s, e in windows:
        first, last = s / unit, (e - unit) / unit
        c, n = min((first + last) / 2, T - 0.5), last - first
        radius = int(n * rf)
        for t in range(T):
            if abs(t - int(c)) <= radius:
                center[t] = max(center[t], math.exp(-((t - int(c)) ** 2) / (2 * ((radius + 1) * sf) ** 2)))
        length[int(c)], offset[int(c)], weight[int(c)] = n, c - int(c), 1
    return center, length, offset, weight


def test_targets_equal_naive_ones():
    head = BoundaryHead([4, 1])
    windows = [[(10, 40), (60, 74)], [(20, 96)], [], [(0, 2), (140, 150), (148, 150)]]
    boundary = torch.full((4, 3, 2), -1.0)
    for b, ws in enumerate(windows):
        for i, w in enumerate(ws):
            boundary[b, i] = torch.tensor(w, dtype=torch.float)
    *got, count = head.targets(boundary, 75)
    assert count == 6
    for b, ws in enumerate(windows):
        for name, a, e in zip("center length offset weight".split(), got, naive_targets(ws, 75), strict=True):
            torch.testing.assert_close(a[b], torch.tensor(e), msg=lambda m, n=name, b=b: f"{n} of item {b}: {m}")


def test_decode_inverts_the_targets():
    head = BoundaryHead([4, 1])
    boundary = torch.tensor([[[10.0, 40], [60, 74]]])
    center, length, offset, _, _ = head.targets(boundary, 75)
    moments = head.decode(center, length, offset)[0, :2, :2]
    assert sorted(moments.tolist()) == [[10, 40], [60, 74]]


def test_a_batch_without_windows_has_finite_gradients():
    model = small_umt().train()
    data = batch([6, 4], [2, 2])
    data["boundary"][:] = -1
    output = model(data, "train")
    loss = sum(v for k, v in output.items() if "loss" in k)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_bfloat16_is_close_to_float32():
    model = small_umt()
    data = batch([9, 12], [3, 4])
    exact = model(data, "val")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(data, "val")
    assert rounded["_out"]["saliency"].dtype == torch.float32
    torch.testing.assert_close(rounded["_out"]["saliency"], exact["_out"]["saliency"], atol=0.03, rtol=0)


@pytest.mark.parametrize("changes, message", [
    pytest.param(dict(video_enc=dict(type="UniModalEncodr", dims=[6, 16])), "did you mean 'UniModalEncoder'",
                 id="unknown_type"),
    pytest.param(dict(video_enc=dict(type="UniModalEncoder", dim=[6, 16])), "no argument 'dim'; did you mean 'dims'",
                 id="unknown_argument"),
    pytest.param(dict(video_enc=dict(dims=[6, 16])), "model.video_enc: no 'type'", id="no_type"),
    pytest.param(dict(query_dec=dict(type="QueryDecoder", dims=16, pos_cfg=dict(type="PositionEmbedding"))),
                 "learnable", id="missing_argument"),
])
def test_an_invalid_config_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        small_umt(**changes)


def test_standardize_accumulates_the_statistics_of_all_valid_clips():
    torch.manual_seed(0)
    layer = Standardize(3).train()
    data = [torch.randn(2, 7, 3) * torch.tensor([1.0, 100, 0]) + 5 for _ in range(4)]
    mask = torch.ones(2, 7)
    mask[1, 4:] = 0
    for x in data:
        layer(x, mask)
    rows = torch.cat([x[mask > 0] for x in data]).double()
    layer.eval()
    out = layer(data[0], mask)
    expected = (data[0].double() - rows.mean(0)) / rows.std(0, correction=0).clamp(min=1e-4)
    torch.testing.assert_close(out[0].double(), expected[0], atol=1e-4, rtol=1e-4)
    assert torch.all(out[1, 4:] == 0)


def test_temporal_context_depends_on_neighbors_and_not_on_padding():
    torch.manual_seed(0)
    layer = TemporalContext(4, layers=2, kernel=3).eval()
    x, mask = torch.randn(1, 12, 4), torch.ones(1, 12)
    mask[0, 9:] = 0
    out = layer(x, mask)
    torch.testing.assert_close(out[:, :9], layer(x[:, :9], mask[:, :9]))
    shifted = x.clone()
    shifted[0, 4, 0] += 1
    changed = (layer(shifted, mask) - out).abs().sum(-1)[0] > 1e-6
    assert torch.nonzero(changed).squeeze(-1).tolist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("query_dims, expected", [
    pytest.param([7, 16], True, id="query_generator"),
    pytest.param(None, False, id="query_generator_without_dims"),
])
def test_a_umt_that_was_trained_with_queries_accepts_and_requires_them(query_dims, expected):
    enc_cfg = dict(type="Attention") if query_dims else None
    model = build(dict(
        type="UMT", video_enc=dict(type="UniModalEncoder", dims=[5, 16], enc_cfg=dict(type="EncoderLayer")),
        query_gen=dict(type="QueryGenerator", dims=query_dims, enc_cfg=enc_cfg),
        query_dec=dict(type="QueryDecoder", dims=16, dec_cfg=dict(type="DecoderLayer"))), MODELS)
    assert model.accepts_text is expected
    assert model.requires_text is expected


def test_a_umt_without_query_generator_accepts_no_text():
    model = build(dict(type="UMT", video_enc=dict(type="UniModalEncoder", dims=[5, 16])), MODELS)
    assert model.accepts_text is False
    assert model.requires_text is False
