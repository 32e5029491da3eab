"""OneDNNLinear has the values and gradients of torch's linear layer."""

import pytest
import torch
import torch.nn as nn

from models.cpu import onednn_linear
from models.cpu.onednn_linear import OneDNNLinear, use_onednn_linear

needs_onednn = pytest.mark.skipif(onednn_linear.ONEDNN_LINEAR is None, reason="this build of torch has no oneDNN")


@pytest.fixture
def products(monkeypatch):
    """Record the calls of oneDNN's product."""
    calls = []
    product = onednn_linear.onednn_product
    monkeypatch.setattr(onednn_linear, "onednn_product", lambda *args: (calls.append(args), product(*args))[1])
    return calls


@needs_onednn
@pytest.mark.parametrize("shape", [(64, 24), (2, 40, 24), (3, 5, 7, 24)])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_equal_torchs(shape, bias, products):
    torch.manual_seed(0)
    layer, x = OneDNNLinear(24, 17, bias=bias), torch.randn(shape, requires_grad=True)
    weights = torch.randn(*shape[:-1], 17)
    inputs = [x, *layer.parameters()]
    out = layer(x)
    gradients = torch.autograd.grad((out * weights).sum(), inputs)
    assert len(products) == 3
    expected = nn.functional.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    for gradient, other in zip(gradients, torch.autograd.grad((expected * weights).sum(), inputs), strict=True):
        torch.testing.assert_close(gradient, other, atol=1e-4, rtol=1e-4)


@needs_onednn
def test_the_precision_is_float32():
    torch.manual_seed(0)
    layer, x = OneDNNLinear(512, 256), torch.randn(300, 512)
    exact = x.double() @ layer.weight.double().t() + layer.bias.double()
    assert (layer(x) - exact).abs().max() < 1e-5   # In bfloat16, the error would be 1e-2.


@needs_onednn
def test_unneeded_gradients_are_not_computed(products):
    layer = OneDNNLinear(24, 17)
    layer(torch.randn(80, 24)).sum().backward()
    assert len(products) == 2   # One forward, and one for the weight.
    with torch.no_grad():
        assert layer(torch.randn(80, 24)).requires_grad is False


def test_few_rows_use_torchs_layer():
    layer = OneDNNLinear(24, 17)
    few = torch.randn(3, 24)
    assert torch.equal(layer(few), nn.functional.linear(few, layer.weight, layer.bias))


def test_autocast_and_other_dtypes_use_torchs_layer():
    with torch.autocast("cpu", torch.bfloat16):
        assert OneDNNLinear(24, 17)(torch.randn(80, 24)).dtype == torch.bfloat16
    assert OneDNNLinear(24, 17).double()(torch.randn(80, 24).double()).dtype == torch.float64


def test_only_plain_layers_are_converted_and_parameter_names_stay():
    class Subclass(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4)), Subclass(4, 4))
    keys = list(model.state_dict())
    use_onednn_linear(model)
    assert [type(m) for m in (model[0], model[1][0], model[2])] == [OneDNNLinear, OneDNNLinear, Subclass]
    assert list(model.state_dict()) == keys
