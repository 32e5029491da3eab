"""Checkpoints: what is read, and what is refused with which words."""

import os

import pytest
import torch
import torch.nn as nn
from safetensors.torch import save_file

from common.errors import InputError
from models.checkpoint import load_checkpoint


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))


def other_weights(model):
    return {k: torch.full_like(v, 0.5) for k, v in model.state_dict().items()}


@pytest.mark.parametrize("wrap", [
    lambda s: s,
    lambda s: dict(state_dict=s, meta=dict(epoch=3)),
    lambda s: {f"module.{k}": v for k, v in s.items()},
    lambda s: dict(state_dict={f"model.{k}": v for k, v in s.items()}),
])
def test_every_published_wrapping_loads(model, tmp_path, wrap):
    torch.save(wrap(other_weights(model)), tmp_path / "c.pth")
    meta = load_checkpoint(model, tmp_path / "c.pth")
    assert all(torch.all(v == 0.5) for v in model.state_dict().values())
    assert meta in ({}, dict(epoch=3))


def test_safetensors_load(model, tmp_path):
    save_file(other_weights(model), tmp_path / "c.safetensors")
    load_checkpoint(model, tmp_path / "c.safetensors")
    assert all(torch.all(v == 0.5) for v in model.state_dict().values())


def test_another_architecture_is_refused_and_nothing_changes(model, tmp_path):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = other_weights(model)
    state["0.weight"] = torch.zeros(2, 4)
    state["2.weight"] = state.pop("1.bias")
    torch.save(state, tmp_path / "c.pth")
    with pytest.raises(InputError) as err:
        load_checkpoint(model, tmp_path / "c.pth")
    for part in ("1 missing (1.bias)", "1 unexpected (2.weight)", "0.weight (2, 4), the model has (2, 3)", "c.pth"):
        assert part in str(err.value)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


class RunsCode:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_that_runs_code_is_refused_unrun(model, tmp_path):
    torch.save(dict(state_dict=RunsCode(str(tmp_path / "made"))), tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"c.pth: refused, because it contains Python objects besides tensors"):
        load_checkpoint(model, tmp_path / "c.pth")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content, message", [
    (None, "no such checkpoint"),
    (b"text", "not a readable checkpoint"),
    (b"", "not a readable checkpoint"),
])
def test_a_file_that_is_no_checkpoint_is_named(model, tmp_path, content, message):
    if content is not None:
        (tmp_path / "c.pth").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_checkpoint(model, tmp_path / "c.pth")


def test_a_file_without_weights_is_named(model, tmp_path):
    torch.save(dict(epoch=3), tmp_path / "c.pth")
    with pytest.raises(InputError, match="holds no state dict of tensors"):
        load_checkpoint(model, tmp_path / "c.pth")
