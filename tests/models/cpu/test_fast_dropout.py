"""FastDropout has the statistics and gradients of dropout."""

import numpy as np
import pytest
import torch

from models.blocks.attention import Attention
from models.cpu.fast_dropout import FastDropout, FusedReluDropout, fast_dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_dropped_share_and_the_expectation_are_right(p):
    torch.manual_seed(0)
    out = fast_dropout(torch.ones(1_000_003), p)
    deviation = (p * (1 - p) / out.numel())**0.5
    assert abs((out == 0).double().mean() - p) < 4 * deviation
    kept = out[out != 0]
    assert kept.min() == kept.max()
    assert kept[0].item() == pytest.approx(1 / (1 - p), rel=1e-4)


def test_neighbors_are_dropped_independently():
    """Four neighbors share a draw of 64 bits, so the correlations within and across draws are checked."""
    torch.manual_seed(0)
    dropped = (fast_dropout(torch.ones(400_000), 0.3) == 0).double().numpy().reshape(-1, 4)
    np.testing.assert_allclose(np.corrcoef(dropped.T), np.eye(4), atol=0.015)   # Standard error 0.003.
    np.testing.assert_allclose(np.corrcoef(dropped[:-1, 3], dropped[1:, 0])[0, 1], 0, atol=0.015)
    np.testing.assert_allclose(dropped.mean(axis=0), 0.3, atol=0.006)


def test_gradients_pass_where_values_pass():
    torch.manual_seed(0)
    x = torch.randn(7, 11, requires_grad=True)
    out = fast_dropout(x, 0.4)
    out.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), (out / x).detach().numpy(), rtol=1e-5)
    assert 0 < (x.grad == 0).sum() < x.numel()


def test_the_seed_determines_the_masks_and_calls_differ():
    torch.manual_seed(3)
    first, second = fast_dropout(torch.ones(1000), 0.5), fast_dropout(torch.ones(1000), 0.5)
    torch.manual_seed(3)
    assert torch.equal(fast_dropout(torch.ones(1000), 0.5), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (5, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_shape_and_dtype_stay(shape, dtype):
    x = torch.ones(shape, dtype=dtype)
    x = x.t() if len(shape) == 2 else x   # Transposed, it is not contiguous.
    out = fast_dropout(x, 0.5)
    assert out.dtype == dtype
    assert out.shape == x.shape
    assert set(out.flatten().tolist()) <= {0.0, 2.0}


def test_the_fused_layer_equals_relu_and_dropout():
    x = torch.randn(64, 100, requires_grad=True)
    torch.manual_seed(5)
    fused = FusedReluDropout(0.3)(x)
    torch.manual_seed(5)
    expected = fast_dropout(x.relu(), 0.3)
    torch.testing.assert_close(fused, expected)
    weights = torch.randn_like(x)
    gradient, expected_gradient = (torch.autograd.grad((out * weights).sum(), x)[0] for out in (fused, expected))
    torch.testing.assert_close(gradient, expected_gradient)


def test_the_fused_layer_is_a_relu_without_dropout():
    x = torch.randn(64, 100, requires_grad=True)
    assert torch.equal(FusedReluDropout(0.3).eval()(x), x.relu())
    assert torch.equal(FusedReluDropout(0.0)(x), x.relu())


def test_nothing_is_dropped_outside_of_training_or_at_rate_0():
    x = torch.randn(100)
    assert FastDropout(0.5).eval()(x) is x
    assert FastDropout(0.0)(x) is x
    assert fast_dropout(x, 1e-6) is x   # Rounded to 0.
    assert (FastDropout(0.5)(x) == 0).any()


def test_attention_in_training_equals_inference_except_for_dropout(monkeypatch):
    torch.manual_seed(0)
    attention, q, k = Attention(16, heads=4, p=0.3), torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0], [0] * 7])   # The second row allows no key.
    expected = attention.eval()(q, k, mask=mask)
    calls = []
    for module in ("blocks.attention", "cpu.fast_dropout"):
        monkeypatch.setattr(f"models.{module}.fast_dropout", lambda x, p: (calls.append((x.shape, p)), x)[1])
    torch.testing.assert_close(attention.train()(q, k, mask=mask), expected)
    torch.testing.assert_close(attention(q), attention.eval()(q))
    assert calls[:2] == [((2, 4, 5, 7), 0.3), ((2, 5, 16), 0.3)]   # The attention map, then the output.
