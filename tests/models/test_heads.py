"""The heads of UMT: which layers predict and are trained, and the decoding of moments."""

import pytest
import torch

from models.blocks.boundary_head import BoundaryHead
from models.blocks.position_embedding import PositionEmbedding, sinusoids
from models.blocks.saliency_head import SaliencyHead, contains_layer


@pytest.fixture
def layers():
    return [torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(i)) for i in range(3)]


@pytest.fixture
def data():
    saliency = torch.rand(2, 6, generator=torch.Generator().manual_seed(5))
    saliency[1, 4:] = -1
    return dict(saliency=saliency, boundary=torch.tensor([[[0.0, 6], [8, 12]], [[2, 8], [-1, -1]]]))


@pytest.mark.parametrize(("indices", "expected"), [
    ((-1,), [False, False, True]), ((0,), [True, False, False]), ((0, -2), [True, True, False]), ((2, -1), [False, False, True]),
])
def test_layers_are_counted_from_either_end(indices, expected):
    assert [contains_layer(indices, i, 3) for i in range(3)] == expected


@pytest.mark.parametrize(("options", "predicting", "trained"), [
    pytest.param({}, [2], [2], id="last-layer"),
    pytest.param(dict(pred_indices=[0, -1]), [0, 2], [0, 2], id="two-layers"),
    pytest.param(dict(pred_indices=[1], loss_indices=[0, 1, 2]), [1], [0, 1, 2], id="different-layers"),
    pytest.param(dict(loss_indices=[0]), [2], [0], id="another-layer-is-trained"),
])
def test_saliency_is_averaged_over_the_predicting_layers(layers, data, options, predicting, trained):
    torch.manual_seed(0)
    head = SaliencyHead([4, 1], **options)
    output = head(layers, data, dict(_avg_factor=2, _out={}), "train")
    assert sorted(key for key in output if "loss" in key) == [f"d{i}.saliency_loss" for i in trained]
    mask = data["saliency"] >= 0
    expected = sum(head.saliency_pred(layers[i]).squeeze(-1).sigmoid() for i in predicting) / len(predicting) * mask
    torch.testing.assert_close(output["_out"]["saliency"], expected)
    assert not output["_out"]["saliency"].requires_grad
    for i in trained:
        alone = head.saliency_loss(head.saliency_pred(layers[i]).squeeze(-1), data["saliency"], weight=mask.float())
        torch.testing.assert_close(output[f"d{i}.saliency_loss"], alone)


def test_test_mode_computes_no_losses(layers, data):
    for head in (SaliencyHead([4, 1]), BoundaryHead([4, 1])):
        output = head(layers, data, dict(_avg_factor=2, _out={}), "test")
        assert list(output) == ["_avg_factor", "_out"]
        assert any("loss" in key for key in head(layers, data, dict(_avg_factor=2, _out={}), "val"))


@pytest.mark.parametrize(("options", "predicting", "trained"), [
    pytest.param({}, [2], [2], id="last-layer"),
    pytest.param(dict(pred_indices=[0, 2], loss_indices=[1]), [0, 2], [1], id="different-layers"),
])
def test_moments_of_the_predicting_layers_are_concatenated(layers, data, options, predicting, trained):
    torch.manual_seed(0)
    head = BoundaryHead([4, 1], **options)
    output = head(layers, data, dict(_out={}), "train")
    assert sorted(key for key in output if "loss" in key) == sorted(
        f"d{i}.{kind}_loss" for i in trained for kind in ("center", "window", "offset"))
    mask = (data["saliency"] >= 0).float()
    expected = []
    for i in predicting:
        center, window, offset = (linear(layers[i]).squeeze(-1)
                                  for linear in (head.center_pred, head.window_pred, head.offset_pred))
        expected.append(head.decode(center.sigmoid() * mask, window, offset, mask))
    torch.testing.assert_close(output["_out"]["boundary"], torch.cat(expected, dim=1))
    without = head(layers, {"saliency": data["saliency"]}, dict(_out={}), "train")
    assert not [key for key in without if "loss" in key]


def slow_decode(center, window, offset, n_valid, kernel, unit, maximum):
    """Decode the moments of one item, clip by clip."""
    T, side = len(center), (kernel - 1) // 2
    peaks = [c if c == max(center[max(0, t - side):t + side + 1]) else 0 for t, c in enumerate(center)]
    moments = []
    for t in sorted(range(n_valid), key=lambda t: -peaks[t]):
        middle, half = t + max(0, offset[t]), max(0, window[t]) / 2
        start, end = (min(max(x, 0), T - 1) for x in (middle - half, middle + half))
        moments.append([start * unit, end * unit + unit, peaks[t]])
    return (moments + [[0, 0, 0]] * T)[:min(maximum, T)]


@pytest.mark.parametrize(("kernel", "unit", "maximum"), [(1, 2, 100), (3, 2, 100), (5, 1, 4), (1, 2.5, 1)])
def test_decoding_equals_a_slow_implementation(kernel, unit, maximum):
    g = torch.Generator().manual_seed(kernel)
    lengths, T = (12, 7), 12
    mask = torch.arange(T) < torch.tensor(lengths)[:, None]
    center = torch.rand(2, T, generator=g) * mask
    window, offset = 8 * torch.rand(2, T, generator=g) - 1, 2 * torch.rand(2, T, generator=g) - 1
    head = BoundaryHead([4, 1], kernel=kernel, unit=unit, max_num_moments=maximum)
    found = head.decode(center, window, offset, mask.float())
    for b, n in enumerate(lengths):
        expected = slow_decode(center[b].tolist(), window[b].tolist(), offset[b].tolist(), n, kernel, unit, maximum)
        torch.testing.assert_close(found[b], torch.tensor(expected))
    torch.testing.assert_close(head.decode(center[:1], window[:1], offset[:1]), found[:1])


def test_sinusoids_equal_their_definition():
    table = sinusoids(50, 7)
    for t in range(50):
        for i in range(7):
            angle = torch.tensor(t / 10000 ** (2 * (i // 2) / 7), dtype=torch.float64)
            expected = angle.cos() if i % 2 else angle.sin()
            assert table[t, i].item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("learnable", [True, False])
def test_position_embeddings_are_the_first_rows_of_the_table(learnable):
    torch.manual_seed(0)
    layer = PositionEmbedding(8, learnable, max_len=20).eval()
    assert isinstance(layer.pe, torch.nn.Parameter) is learnable
    found = layer(torch.zeros(3, 20, 8))
    assert found.shape == (3, 20, 8)
    for item in found:
        assert torch.equal(item, layer.pe[0])
    assert torch.equal(layer(torch.zeros(1, 4, 8))[0], layer.pe[0, :4])
    if learnable:   # A standard deviation of 1 / sqrt(8).
        assert PositionEmbedding(8, True).pe.std().item() == pytest.approx(8**-0.5, rel=0.03)
    else:
        assert torch.equal(layer.pe[0], sinusoids(20, 8))
    with pytest.raises(ValueError, match="a sequence of 21 items, but this model has positions for 20"):
        layer(torch.zeros(1, 21, 8))


def test_position_embeddings_are_dropped_in_training_only():
    layer = PositionEmbedding(8, True, p=0.25).train()
    torch.manual_seed(0)
    found = layer(torch.zeros(2, 2000, 8))
    assert (found == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    kept = found != 0
    torch.testing.assert_close(found[kept], (layer.pe[:, :2000] / 0.75).expand(2, -1, -1)[kept])
