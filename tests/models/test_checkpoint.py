"""Checkpoints are loaded completely or rejected with an error that names the reason."""

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


@pytest.mark.parametrize("wrap, expected_meta", [
    pytest.param(lambda s: s, {}, id="state_dict"),
    pytest.param(lambda s: dict(state_dict=s, meta=dict(epoch=3)), dict(epoch=3), id="nncore"),
    pytest.param(lambda s: {f"module.{k}": v for k, v in s.items()}, {}, id="data_parallel"),
    pytest.param(lambda s: dict(state_dict={f"model.{k}": v for k, v in s.items()}), {}, id="modelscope"),
])
def test_every_published_format_is_loaded(model, tmp_path, wrap, expected_meta):
    torch.save(wrap(other_weights(model)), tmp_path / "c.pth")
    meta = load_checkpoint(model, tmp_path / "c.pth")
    assert all(torch.all(v == 0.5) for v in model.state_dict().values())
    assert meta == expected_meta


def test_safetensors_are_loaded(model, tmp_path):
    save_file(other_weights(model), tmp_path / "c.safetensors")
    load_checkpoint(model, tmp_path / "c.safetensors")
    assert all(torch.all(v == 0.5) for v in model.state_dict().values())


def test_a_checkpoint_of_another_architecture_is_refused_and_the_model_stays_unchanged(model, tmp_path):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = other_weights(model)
    state["0.weight"] = torch.zeros(2, 4)
    state["2.weight"] = state.pop("1.bias")
    torch.save(state, tmp_path / "c.pth")
    with pytest.raises(InputError) as err:
        load_checkpoint(model, tmp_path / "c.pth")
    assert str(err.value) == (
        f"{tmp_path / 'c.pth'}: does not fit the Sequential of the config: "
        "1 missing (1.bias); 1 unexpected (2.weight); "
        "1 with a different shape (0.weight (2, 4), the model has (2, 3)); "
        "specify the config that it was trained with")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


class CreatesFolder:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_checkpoint_that_would_run_code_is_refused(model, tmp_path):
    torch.save(dict(state_dict=CreatesFolder(str(tmp_path / "created"))), tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"c.pth: rejected, because it contains Python objects besides tensors"):
        load_checkpoint(model, tmp_path / "c.pth")
    assert not (tmp_path / "created").exists()


@pytest.mark.parametrize("content, message", [
    pytest.param(None, "no such checkpoint", id="missing"),
    pytest.param(b"text", "not a readable checkpoint", id="text"),
    pytest.param(b"", "not a readable checkpoint", id="empty"),
])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_not_a_checkpoint_is_refused(model, tmp_path, content, message, suffix):
    path = tmp_path / f"c{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_checkpoint(model, path)


def test_a_file_without_weights_is_refused(model, tmp_path):
    torch.save(dict(epoch=3), tmp_path / "c.pth")
    with pytest.raises(InputError, match="holds no state dict of tensors"):
        load_checkpoint(model, tmp_path / "c.pth")
