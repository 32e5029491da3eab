import numpy as np
import pytest
import torch

from models.blocks.attention import Attention
from models.cpu.fast_dropout import Dropout, ReluDropout, drop


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_drops_the_share_asked_for_and_keeps_the_expectation(p):
    torch.manual_seed(0)
    out = drop(torch.ones(1_000_003), p)
    deviation = (p * (1 - p) / out.numel())**0.5
    assert abs((out == 0).double().mean() - p) < 4 * deviation
    kept = out[out != 0]
    assert kept.min() == kept.max() and kept[0].item() == pytest.approx(1 / (1 - p), rel=1e-4)


def test_neighbours_are_dropped_independently():
    """Four neighbours share a draw of 64 bits."""
    torch.manual_seed(0)
    dropped = (drop(torch.ones(400_000), 0.3) == 0).double().numpy().reshape(-1, 4)
    np.testing.assert_allclose(np.corrcoef(dropped.T), np.eye(4), atol=0.015)   # deviation 0.003
    np.testing.assert_allclose(np.corrcoef(dropped[:-1, 3], dropped[1:, 0])[0, 1], 0, atol=0.015)
    np.testing.assert_allclose(dropped.mean(axis=0), 0.3, atol=0.006)


def test_gradients_pass_where_values_did():
    torch.manual_seed(0)
    x = torch.randn(7, 11, requires_grad=True)
    out = drop(x, 0.4)
    out.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), (out / x).detach().numpy(), rtol=1e-5)
    assert 0 < (x.grad == 0).sum() < x.numel()


def test_the_seed_decides_and_draws_differ():
    torch.manual_seed(3)
    first, second = drop(torch.ones(1000), 0.5), drop(torch.ones(1000), 0.5)
    torch.manual_seed(3)
    assert torch.equal(drop(torch.ones(1000), 0.5), first) and not torch.equal(first, second)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (5, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_keeps_shape_and_dtype_of_any_tensor(shape, dtype):
    x = torch.ones(shape, dtype=dtype)
    x = x.t() if len(shape) == 2 else x   # not contiguous
    out = drop(x, 0.5)
    assert out.dtype == dtype and out.shape == x.shape
    assert set(out.flatten().tolist()) <= {0.0, 2.0}


def test_relu_and_dropout_in_one_are_both_in_a_row():
    x = torch.randn(64, 100, requires_grad=True)
    torch.manual_seed(5)
    found = ReluDropout(0.3)(x)
    torch.manual_seed(5)
    expected = drop(x.relu(), 0.3)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(x)
    one, other = (torch.autograd.grad((out * weights).sum(), x)[0] for out in (found, expected))
    torch.testing.assert_close(one, other)
    assert torch.equal(ReluDropout(0.3).eval()(x), x.relu()) and torch.equal(ReluDropout(0.0)(x), x.relu())


def test_outside_of_training_and_at_rate_0_nothing_is_dropped():
    x = torch.randn(100)
    assert Dropout(0.5).eval()(x) is x and Dropout(0.0)(x) is x and drop(x, 1e-6) is x
    assert (Dropout(0.5)(x) == 0).any()


def test_attention_in_training_is_that_of_inference_but_for_dropout(monkeypatch):
    torch.manual_seed(0)
    attention, q, k = Attention(16, heads=4, p=0.3), torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0], [0] * 7])   # the second row allows nothing
    expected = attention.eval()(q, k, mask=mask)
    rates = []
    for module in ("blocks.attention", "cpu.dropout"):
        monkeypatch.setattr(f"models.{module}.drop", lambda x, p: (rates.append((x.shape, p)), x)[1])
    torch.testing.assert_close(attention.train()(q, k, mask=mask), expected)
    torch.testing.assert_close(attention(q), attention.eval()(q))
    assert rates[:2] == [((2, 4, 5, 7), 0.3), ((2, 5, 16), 0.3)]   # the map, then the output
