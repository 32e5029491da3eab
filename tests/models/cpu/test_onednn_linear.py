import pytest
import torch
import torch.nn as nn

from models.cpu import onednn_linear as linear
from models.cpu.onednn_linear import Linear, use_onednn_linear

needs_onednn = pytest.mark.skipif(linear.ONEDNN is None, reason="this torch has no oneDNN")


@needs_onednn
@pytest.mark.parametrize("shape", [(64, 24), (2, 40, 24), (3, 5, 7, 24)])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_torchs(shape, bias, monkeypatch):
    torch.manual_seed(0)
    layer, x, weights = Linear(24, 17, bias=bias), torch.randn(shape, requires_grad=True), torch.randn(*shape[:-1], 17)
    calls = []
    product = linear._product
    monkeypatch.setattr(linear, "_product", lambda *args: (calls.append(1), product(*args))[1])
    inputs = [x, *layer.parameters()]
    ours = layer(x)
    mine = torch.autograd.grad((ours * weights).sum(), inputs)
    assert len(calls) == 3
    expected = nn.functional.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    for one, other in zip(mine, torch.autograd.grad((expected * weights).sum(), inputs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@needs_onednn
def test_it_is_full_float32():
    torch.manual_seed(0)
    layer, x = Linear(512, 256), torch.randn(300, 512)
    exact = x.double() @ layer.weight.double().t() + layer.bias.double()
    assert (layer(x) - exact).abs().max() < 1e-5   # bfloat16 would be off by 1e-2


@needs_onednn
def test_gradients_of_what_needs_none_are_not_made(monkeypatch):
    calls = []
    product = linear._product
    monkeypatch.setattr(linear, "_product", lambda *args: (calls.append(1), product(*args))[1])
    layer = Linear(24, 17)
    layer(torch.randn(80, 24)).sum().backward()
    assert len(calls) == 2   # forward and for the weight
    with torch.no_grad():
        assert layer(torch.randn(80, 24)).requires_grad is False


def test_other_dtypes_few_rows_and_autocast_are_torchs():
    layer = Linear(24, 17)
    few = torch.randn(3, 24)
    assert torch.equal(layer(few), nn.functional.linear(few, layer.weight, layer.bias))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(80, 24)).dtype == torch.bfloat16
    assert Linear(24, 17).double()(torch.randn(80, 24).double()).dtype == torch.float64


def test_only_plain_layers_are_changed_and_names_stay():
    class Own(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4)), Own(4, 4))
    keys = list(model.state_dict())
    use_onednn_linear(model)
    assert [type(m) for m in (model[0], model[1][0], model[2])] == [Linear, Linear, Own] and list(model.state_dict()) == keys
