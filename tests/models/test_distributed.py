"""Several processes with parts of a batch compute what one process computes with the complete batch."""

from types import SimpleNamespace

import pytest
import torch

from models import distributed
from models.blocks import boundary_head, saliency_head, standardize
from models.blocks.boundary_head import BoundaryHead
from models.blocks.saliency_head import SaliencyHead
from models.blocks.standardize import Standardize


@pytest.fixture
def world(monkeypatch):
    """Pretend that there are three processes whose tensors are the given one, twice it, and three times it."""
    def all_reduce(tensor, op="sum"):
        tensor.mul_(6 if op == "sum" else 3)

    fake = SimpleNamespace(is_available=lambda: True, is_initialized=lambda: True, get_world_size=lambda: 3,
                           all_reduce=all_reduce, ReduceOp=SimpleNamespace(MAX="max"))
    monkeypatch.setattr(distributed, "dist", fake)


CPU = torch.device("cpu")


def test_reductions_over_processes(world):
    value = torch.tensor([1.0, 2], requires_grad=True)
    total = distributed.world_sum(value)
    assert total.tolist() == [6, 12]
    assert value.tolist() == [1, 2]
    assert not total.requires_grad
    assert distributed.world_size() == 3
    assert distributed.world_mean(5, CPU) == 10
    assert distributed.world_max(5, CPU) == 15


def test_a_single_process_is_unchanged():
    value = torch.tensor(2.0, requires_grad=True)
    assert distributed.world_sum(value) is value
    assert (distributed.world_size(), distributed.world_mean(5, CPU), distributed.world_max(5, CPU)) == (1, 5, 5)


@pytest.mark.parametrize(("available", "initialized"), [(False, True), (True, False)])
def test_without_an_initialized_group_there_is_one_process(world, monkeypatch, available, initialized):
    monkeypatch.setattr(distributed.dist, "is_available", lambda: available)
    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: initialized)
    assert distributed.world_size() == 1


def test_statistics_of_several_processes_equal_those_of_one(monkeypatch):
    """The second process has no rows in the first step."""
    g = torch.Generator().manual_seed(4)
    steps = [[torch.randn(n, 3, generator=g) * 5 + 2 for n in lengths] for lengths in ((4, 0), (3, 6), (1, 1))]
    single = Standardize(3)
    for parts in steps:
        single.update(torch.cat(parts))
    layers = [Standardize(3) for _ in range(2)]
    monkeypatch.setattr(standardize, "world_size", lambda: 2)
    for parts in steps:
        calls = [[], []]   # The values that each process adds, in the order of its calls.
        for layer, part, added in zip(layers, parts, calls, strict=True):
            monkeypatch.setattr(standardize, "world_sum", lambda value, added=added: added.append(value) or value + 1)
            before = {key: value.clone() for key, value in layer.state_dict().items()}
            layer.update(part)
            layer.load_state_dict(before)
        sums = [a + b for a, b in zip(*calls, strict=True)]
        for layer, part in zip(layers, parts, strict=True):
            totals = iter(sums)
            monkeypatch.setattr(standardize, "world_sum", lambda value, totals=totals: next(totals))
            layer.update(part)
    rows = torch.cat([row for parts in steps for row in parts]).double()
    for layer in (single, *layers):
        assert layer.count == 15
        torch.testing.assert_close(layer.mean, rows.mean(0), atol=1e-6, rtol=0)
        torch.testing.assert_close(layer.scatter / 15, rows.var(0, correction=0), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("mean_items", "divisor"), [(2.5, 2.5 * 9), (0, 9 / 4)])
def test_the_saliency_loss_is_divided_by_the_clips_of_all_processes(monkeypatch, mean_items, divisor):
    """The mean number of items per process, at least one among all processes, times the length of the longest."""
    monkeypatch.setattr(saliency_head, "world_size", lambda: 4)
    monkeypatch.setattr(saliency_head, "world_mean", lambda items, device: mean_items)
    monkeypatch.setattr(saliency_head, "world_max", lambda length, device: 9)
    torch.manual_seed(0)
    head = SaliencyHead([3, 1])
    x, data = [torch.randn(2, 5, 3)], dict(saliency=torch.rand(2, 5))
    losses = []
    for size in (4, 1):
        monkeypatch.setattr(saliency_head, "world_size", lambda size=size: size)
        output = head(x, data, dict(_avg_factor=2, _out={}), "train")
        losses.append(output["d0.saliency_loss"].item())
    assert losses[0] * divisor == pytest.approx(losses[1] * 10, rel=1e-5)   # One process divides by 2 * 5 clips.


@pytest.mark.parametrize(("mean_windows", "divisor"), [(2.5, 2.5), (0, 1 / 4)])
def test_the_boundary_losses_are_divided_by_the_windows_of_all_processes(monkeypatch, mean_windows, divisor):
    torch.manual_seed(0)
    head = BoundaryHead([3, 1])
    x = [torch.randn(1, 8, 3)]
    data = dict(saliency=torch.ones(1, 8), boundary=torch.tensor([[[0.0, 8], [4, 16], [-1, -1]]]))
    alone = head(x, data, dict(_out={}), "train")   # Two windows.
    monkeypatch.setattr(boundary_head, "world_size", lambda: 4)
    monkeypatch.setattr(boundary_head, "world_mean", lambda items, device: mean_windows)
    parallel = head(x, data, dict(_out={}), "train")
    for name in ("d0.center_loss", "d0.window_loss", "d0.offset_loss"):
        assert parallel[name].item() * divisor == pytest.approx(alone[name].item() * 2, rel=1e-5)
