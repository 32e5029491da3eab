"""UMT equals the published code on seeded weights and inputs, which ../shared/golden describes."""

import json
import zlib

import numpy as np
import pytest
import torch
from nncore.nn import MODELS

import models  # noqa: F401
from common.build import build
from common.config import load_config
from models.checkpoint import load_checkpoint
from tests.paths import GOLDEN as GOLDEN_FOLDER
from tests.paths import ROOT

GOLDEN = GOLDEN_FOLDER / "umt.json"
SEED = 11
CONFIGS = {
    "qvhighlights_base": "configs/qvhighlights/umt_base_200e_qvhighlights.py",
    "tvsum_small": "configs/tvsum/umt_small_500e_tvsum_bk.py",
    "youtube_small": "configs/youtube/umt_small_100e_youtube_dog.py",
}
pytestmark = pytest.mark.skipif(not GOLDEN.is_file(), reason="../shared/golden does not exist")


def golden_weights(keys):
    def draw(key, shape):
        value = np.random.default_rng([SEED, zlib.crc32(key.encode())]).normal(0, 0.05, shape)
        return torch.from_numpy(value.astype(np.float32) + (1 if "norm" in key and key.endswith("weight") else 0))
    return {key: draw(key, shape) for key, shape in keys.items()}


def golden_inputs(name):
    width = 2816 if name == "qvhighlights_base" else 2048
    video, audio = torch.zeros(2, 75, width), torch.zeros(2, 75, 2048)
    query, saliency = torch.full((2, 12, 512), float("inf")), torch.full((2, 75), -1.0)
    for b, (n, tokens) in enumerate([(75, 12), (60, 7)]):
        r = np.random.default_rng([SEED, 100 + b])
        video[b, :n] = torch.from_numpy(r.normal(0, 1, (n, width)))
        audio[b, :n] = torch.from_numpy(abs(r.normal(0, 1, (n, 2048))))
        saliency[b, :n] = torch.from_numpy(r.random(n).round(3))
        query[b, :tokens] = torch.from_numpy(r.normal(0, 0.5, (tokens, 512)))
    data = dict(video=video, audio=audio, saliency=saliency)
    if name != "youtube_small":
        data["query"] = query
    if name == "qvhighlights_base":
        data["boundary"] = torch.tensor([[[10.0, 40], [60, 74]], [[20, 96], [-1, -1]]])
    return data


@pytest.fixture(params=CONFIGS)
def case(request, tmp_path):
    """Build the model of a config, and load the golden weights under the published names."""
    expected = json.loads(GOLDEN.read_text())[request.param]
    model = build(load_config(ROOT / CONFIGS[request.param]).model, MODELS, location="model").eval()
    torch.save(dict(state_dict=golden_weights(expected["keys"]), meta={}), tmp_path / "umt.pth")
    load_checkpoint(model, tmp_path / "umt.pth")
    return model, golden_inputs(request.param), expected


def test_the_state_dict_has_the_published_names_and_shapes(case):
    model, _, expected = case
    assert {k: list(v.shape) for k, v in model.state_dict().items()} == expected["keys"]


def test_the_forward_pass_equals_the_published_one(case):
    model, data, expected = case
    with torch.no_grad():
        output = model(data, mode="val")
    torch.testing.assert_close(output["_out"]["saliency"], torch.tensor(expected["saliency"]), atol=1e-4, rtol=0)
    losses = {k: float(v) for k, v in output.items() if "loss" in k}
    assert losses == pytest.approx(expected["losses"], abs=1e-4)
    if "boundary_top20" in expected:
        boundary = output["_out"]["boundary"][:, :20]
        torch.testing.assert_close(boundary, torch.tensor(expected["boundary_top20"]), atol=1e-4, rtol=1e-5)


def test_the_forward_pass_does_not_modify_the_data(case):
    model, data, _ = case
    before = {k: v.clone() for k, v in data.items()}
    with torch.no_grad():
        first, second = model(data, mode="val"), model(data, mode="val")
    for key, value in before.items():
        assert torch.equal(data[key], value), f"{key} was modified in place"
    assert {k: float(v) for k, v in first.items() if "loss" in k} == {
        k: float(v) for k, v in second.items() if "loss" in k}
