"""Checkpoints are loaded completely or rejected with an error that names the reason."""

import io
import os
import re
import zipfile
from collections import OrderedDict

import numpy as np
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
    pytest.param(lambda s: {f"_orig_mod.{k}": v for k, v in s.items()}, {}, id="compiled"),
    pytest.param(lambda s: {f"_orig_mod.module.{k}": v for k, v in s.items()}, {}, id="compiled data_parallel"),
    pytest.param(lambda s: {f"module._orig_mod.{k}": v for k, v in s.items()}, {}, id="data_parallel of compiled"),
    pytest.param(lambda s: {f"model._orig_mod.module.{k}": v for k, v in s.items()}, {}, id="three wrappers"),
    pytest.param(lambda s: {k.replace("0.", "0._orig_mod."): v for k, v in s.items()}, {}, id="one compiled layer"),
    pytest.param(lambda s: dict(model=s, epoch=3, optimizer=dict(lr=0.1)), {}, id="model"),
    pytest.param(lambda s: dict(model={f"module.{k}": v for k, v in s.items()}), {}, id="model of data_parallel"),
    pytest.param(lambda s: dict(model_state_dict=s, loss=torch.tensor(0.1)), {}, id="model_state_dict"),
    pytest.param(lambda s: dict(model=dict(state_dict=s)), {}, id="nested"),
    pytest.param(lambda s: dict(net=s), {}, id="net"),
    pytest.param(lambda s: OrderedDict(s), {}, id="ordered"),
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


def archive(**members):
    """Return a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as content:
        for name, data in members.items():
            content.writestr(name, data)
    return file.getvalue()


def saved(save, *args):
    """Return what a function writes to a file."""
    file = io.BytesIO()
    save(*(file if arg is FILE else arg for arg in args))
    return file.getvalue()


FILE = object()
WEIGHTS = saved(torch.save, {"0.weight": torch.zeros(2, 3)}, FILE)
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 132735\n"


@pytest.mark.parametrize("content, message", [
    pytest.param(None, "no such checkpoint", id="missing"),
    pytest.param(b"", "not a checkpoint: it is empty; download or save it again", id="empty"),
    pytest.param(b"text", "not a checkpoint: it is a text file", id="text"),
    pytest.param(b"hello world.\n", "not a checkpoint: it is a text file", id="text with a period"),
    pytest.param("über\n".encode("latin-1"), "not a checkpoint: it is a text file", id="latin-1"),
    pytest.param("text".encode("utf-16"), "not a checkpoint: it is a text file", id="utf-16"),
    pytest.param(b'{"epoch": 3}', "not a checkpoint: it is a text file", id="JSON"),
    pytest.param(b"(dp0\nS'a'\np1\nI1\ns.", "not a checkpoint: it is a text file", id="pickle as text"),
    pytest.param(b"\n<!DOCTYPE html><html>Sign in</html>", "not a checkpoint: it is an HTML page; the download failed",
                 id="HTML"),
    pytest.param(b"<HTML><body>404</body>", "not a checkpoint: it is an HTML page", id="old HTML"),
    pytest.param(LFS, "not a checkpoint: it is a Git LFS pointer; run `git lfs pull`", id="Git LFS"),
    pytest.param(WEIGHTS[:-30], "not a checkpoint: it is an incomplete file; download or save it again",
                 id="truncated"),
    pytest.param(saved(np.savez, FILE, np.zeros(3)), "not a checkpoint: it is a NumPy archive (.npz)", id="npz"),
    pytest.param(saved(np.save, FILE, np.zeros(3)), "not a checkpoint: it is a NumPy array", id="npy"),
    pytest.param(archive(readme="x"), "not a checkpoint: it is a zip archive; extract it first", id="zip"),
    pytest.param(b"\x89HDF\r\n\x1a\n" + bytes(99), "not a checkpoint: it is an HDF5 file", id="HDF5"),
    pytest.param(b"\x1f\x8b\x08" + bytes(99), "not a checkpoint: it is a gzip archive; extract it first", id="gzip"),
    pytest.param(b"\x00\x00\x00\x20ftypisom" + bytes(99), "not a checkpoint: it is a video", id="video"),
    pytest.param(b"\x80\x02" + bytes(99), "not a readable checkpoint (UnpicklingError)", id="damaged pickle"),
    pytest.param(bytes(range(1, 200)), "not a readable checkpoint", id="noise"),
    pytest.param(saved(torch.jit.save, torch.jit.script(nn.Linear(2, 1)), FILE),
                 "not a checkpoint: it is a TorchScript program", id="TorchScript"),
])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_not_a_checkpoint_is_refused(model, tmp_path, content, message, suffix):
    path = tmp_path / f"c{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: {message}")):
        load_checkpoint(model, path)


def test_a_folder_is_refused_and_the_checkpoint_in_it_is_suggested(model, tmp_path):
    with pytest.raises(InputError, match="is a folder, not a checkpoint; specify a file in it$"):
        load_checkpoint(model, tmp_path)
    (tmp_path / "best.pth").write_bytes(WEIGHTS)
    with pytest.raises(InputError, match=re.escape(f"specify a file in it, e.g. {tmp_path}/best.pth")):
        load_checkpoint(model, tmp_path)


def test_safetensors_are_recognized_by_their_content(model, tmp_path):
    save_file(other_weights(model), tmp_path / "c.pth")
    load_checkpoint(model, tmp_path / "c.pth")
    assert all(torch.all(v == 0.5) for v in model.state_dict().values())
    torch.save(model.state_dict(), tmp_path / "c.safetensors")
    load_checkpoint(model, tmp_path / "c.safetensors")
    content = (tmp_path / "c.pth").read_bytes()
    (tmp_path / "c.pth").write_bytes(content[:-4])
    with pytest.raises(InputError, match="not a readable checkpoint .SafetensorError.; download or save it again"):
        load_checkpoint(model, tmp_path / "c.pth")


def test_checkpoints_of_old_versions_of_torch_are_loaded(model, tmp_path):
    torch.save(other_weights(model), tmp_path / "c.pth", _use_new_zipfile_serialization=False)
    load_checkpoint(model, tmp_path / "c.pth")
    assert all(torch.all(v == 0.5) for v in model.state_dict().values())


def test_a_file_without_weights_is_refused(model, tmp_path):
    torch.save(dict(epoch=3), tmp_path / "c.pth")
    with pytest.raises(InputError, match="holds no state dict of tensors, only epoch; specify a model checkpoint"):
        load_checkpoint(model, tmp_path / "c.pth")
