"""Networks follow their weights: on a GPU that torch imagines, so that tensors on two devices meet as an error."""

import numpy as np
import pytest
import torch
from nncore.nn import MODELS
from torch._subclasses.fake_tensor import FakeTensorMode

import models  # noqa: F401  registers them
from common.build import build
from common.config import load_config
from models import device
from models.device import best_device, device_of
from models.encoders import CLIPImage, EfficientNetConSE, LogMelStatistics
from models.encoders.base import AudioEncoder, VisualEncoder
from pipelines.scoring.importance import load_importance_model
from tests.models.conftest import random_clip


def moved(module):
    """The module with imagined weights on a GPU; everything else stays as `Module.to` would leave it."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                part._parameters[name] = torch.nn.Parameter(torch.empty_like(weight, device="cuda"), requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = torch.empty_like(buffer, device="cuda")
    return module


def test_a_module_without_weights_is_on_the_cpu():
    assert device_of(torch.nn.Identity()).type == "cpu" and device_of(torch.nn.Linear(1, 1, device="meta")).type == "meta"


def test_the_gpu_is_taken_where_there_is_one(monkeypatch):
    assert best_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(device.torch.cuda, "is_available", lambda: True)
    assert best_device() == torch.device("cuda")


class Elsewhere(torch.nn.Module):
    """Its weights lie on another device; what it gives can be read all the same."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, device="meta"))

    def forward(self, batch):
        assert batch.device.type == "meta"
        return torch.ones(len(batch), 3, dtype=torch.float64)


def test_batches_are_brought_to_where_the_network_is():
    class Eyes(Elsewhere, VisualEncoder):
        def forward(self, images):
            return dict(part=super().forward(images))

    class Ears(Elsewhere, AudioEncoder):
        pass

    assert (Eyes().encode(torch.zeros(2, 3, 4, 4))["part"] == np.ones((2, 3), np.float32)).all()
    heard = Ears().encode(torch.zeros(2, 64))
    assert heard.dtype == np.float32 and (heard == 1).all()


def refuses(network, *given):
    """Whether the imagined GPU tells of a batch that was left on the CPU, as a real one would."""
    with pytest.raises(Exception, match="device"):
        network(*given)
    return True


@pytest.mark.parametrize("build, shape", [(EfficientNetConSE, (2, 3, 224, 224)), (LogMelStatistics, (2, 64000))])
def test_the_embedded_encoders_compute_on_a_gpu(build, shape):
    encoder = build().eval()
    with FakeTensorMode(allow_non_fake_inputs=True):
        given = moved(encoder)(torch.zeros(shape, device="cuda"))
        assert {values.device.type for values in (given.values() if isinstance(given, dict) else [given])} == {"cuda"}
        assert refuses(encoder, torch.zeros(shape))


def test_clip_computes_on_a_gpu(tmp_path):
    torch.save(random_clip().state_dict(), tmp_path / "clip.pt")
    encoder = CLIPImage(weights=tmp_path / "clip.pt").eval()
    with FakeTensorMode(allow_non_fake_inputs=True):
        given, = moved(encoder)(torch.zeros(2, 3, 64, 64, device="cuda")).values()
        assert given.device.type == "cuda" and given.dtype == torch.float32
        assert refuses(encoder, torch.zeros(2, 3, 64, 64))


@pytest.mark.parametrize("sentences", [0, 2])
def test_the_shipped_head_computes_on_a_gpu(sentences):
    head = load_importance_model()
    with FakeTensorMode(allow_non_fake_inputs=True):
        data = dict(video=torch.zeros(1, 9, 1664, device="cuda"), saliency=torch.ones(1, 9, device="cuda"))
        if sentences:
            data["query"] = torch.zeros(1, sentences, 384, device="cuda")
        out = moved(head)(data, mode="test")["_out"]["saliency"]
        assert out.shape == (1, 9) and out.device.type == "cpu"
        assert refuses(head, dict(video=torch.zeros(1, 9, 1664), saliency=torch.ones(1, 9)), "test")


def test_umt_computes_on_a_gpu():
    """Its parts, since the whole counts what exists, which an imagined GPU cannot."""
    model = build(load_config("configs/sample/umt_sample.py").model, MODELS).eval()
    with FakeTensorMode(allow_non_fake_inputs=True):
        data = dict(video=torch.zeros(1, 9, 1664), audio=torch.zeros(1, 9, 256), query=torch.zeros(1, 4, 384), saliency=torch.ones(1, 9))
        there = {key: rows.to("cuda") for key, rows in data.items()}
        mask = there["saliency"] >= 0
        clips = moved(model).encode(there, mask)
        layers, output = model.query_dec(model.query_gen(clips, there["query"]), clips, mask=mask), dict(_out={})
        for head in model.pred_head:
            output = head(layers, there, output, "test")
        assert {layer.device.type for layer in layers} == {"cuda"} and output["_out"]["saliency"].shape == (1, 9)
        assert {output["_out"][key].device.type for key in ("saliency", "boundary")} == {"cpu"}
        assert refuses(model.encode, data, data["saliency"] >= 0)
