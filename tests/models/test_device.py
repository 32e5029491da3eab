"""Networks run on the device of their weights.

The GPU is simulated by torch's fake tensors, for which an operation on tensors of two devices is an error.
"""

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


def on_fake_gpu(module):
    """Move the weights to a simulated GPU in place, as `Module.to` would; return the module."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                fake = torch.empty_like(weight, device="cuda")
                part._parameters[name] = torch.nn.Parameter(fake, requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = torch.empty_like(buffer, device="cuda")
    return module


def test_a_module_without_weights_is_on_the_cpu():
    assert device_of(torch.nn.Identity()).type == "cpu"
    assert device_of(torch.nn.Linear(1, 1, device="meta")).type == "meta"


def test_a_gpu_is_used_if_there_is_one(monkeypatch):
    assert best_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(device.torch.cuda, "is_available", lambda: True)
    assert best_device() == torch.device("cuda")


class OnMetaDevice(torch.nn.Module):
    """A network whose weights are on torch's meta device; its outputs are real."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, device="meta"))

    def forward(self, batch):
        assert batch.device.type == "meta"
        return torch.ones(len(batch), 3, dtype=torch.float64)


def test_batches_are_moved_to_the_device_of_the_network():
    class Visual(OnMetaDevice, VisualEncoder):
        def forward(self, images):
            return dict(part=super().forward(images))

    class Audio(OnMetaDevice, AudioEncoder):
        pass

    assert (Visual().encode(torch.zeros(2, 3, 4, 4))["part"] == np.ones((2, 3), np.float32)).all()
    features = Audio().encode(torch.zeros(2, 64))
    assert features.dtype == np.float32
    assert (features == 1).all()


def assert_fails_on_cpu_inputs(network, *inputs):
    """Check that the simulated GPU refuses inputs on the CPU, as a real one would."""
    with pytest.raises(Exception, match="device"):
        network(*inputs)


@pytest.mark.parametrize("build, shape", [(EfficientNetConSE, (2, 3, 224, 224)), (LogMelStatistics, (2, 64000))])
def test_the_default_encoders_run_on_a_gpu(build, shape):
    encoder = build().eval()
    with FakeTensorMode(allow_non_fake_inputs=True):
        features = on_fake_gpu(encoder)(torch.zeros(shape, device="cuda"))
        outputs = features.values() if isinstance(features, dict) else [features]
        assert {values.device.type for values in outputs} == {"cuda"}
        assert_fails_on_cpu_inputs(encoder, torch.zeros(shape))


def test_clip_runs_on_a_gpu(tmp_path):
    torch.save(random_clip().state_dict(), tmp_path / "clip.pt")
    encoder = CLIPImage(weights=tmp_path / "clip.pt").eval()
    with FakeTensorMode(allow_non_fake_inputs=True):
        features, = on_fake_gpu(encoder)(torch.zeros(2, 3, 64, 64, device="cuda")).values()
        assert features.device.type == "cuda"
        assert features.dtype == torch.float32
        assert_fails_on_cpu_inputs(encoder, torch.zeros(2, 3, 64, 64))


@pytest.mark.parametrize("num_queries", [0, 2])
def test_the_importance_model_runs_on_a_gpu(num_queries):
    model = load_importance_model()
    with FakeTensorMode(allow_non_fake_inputs=True):
        data = dict(video=torch.zeros(1, 9, 1664, device="cuda"), saliency=torch.ones(1, 9, device="cuda"))
        if num_queries:
            data["query"] = torch.zeros(1, num_queries, 384, device="cuda")
        out = on_fake_gpu(model)(data, mode="test")["_out"]["saliency"]
        assert out.shape == (1, 9)
        assert out.device.type == "cpu"
        assert_fails_on_cpu_inputs(model, dict(video=torch.zeros(1, 9, 1664), saliency=torch.ones(1, 9)), "test")


def test_umt_runs_on_a_gpu():
    """Run the parts separately: the complete model counts valid clips, which fake tensors cannot."""
    model = build(load_config("configs/sample/umt_sample.py").model, MODELS).eval()
    with FakeTensorMode(allow_non_fake_inputs=True):
        data = dict(video=torch.zeros(1, 9, 1664), audio=torch.zeros(1, 9, 256), query=torch.zeros(1, 4, 384),
                    saliency=torch.ones(1, 9))
        on_gpu = {key: rows.to("cuda") for key, rows in data.items()}
        mask = on_gpu["saliency"] >= 0
        clips = on_fake_gpu(model).encode(on_gpu, mask)
        layers, output = model.query_dec(model.query_gen(clips, on_gpu["query"]), clips, mask=mask), dict(_out={})
        for head in model.pred_head:
            output = head(layers, on_gpu, output, "test")
        assert {layer.device.type for layer in layers} == {"cuda"}
        assert output["_out"]["saliency"].shape == (1, 9)
        assert {output["_out"][key].device.type for key in ("saliency", "boundary")} == {"cpu"}
        assert_fails_on_cpu_inputs(model.encode, data, data["saliency"] >= 0)
