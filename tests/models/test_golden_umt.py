"""UMT equals the published code on seeded weights and inputs, which tests/golden/make.py describes."""

import pytest
import torch
from nncore.nn import MODELS

import models  # noqa: F401
from common.build import build
from common.config import load_config
from models.checkpoint import load_checkpoint
from tests.golden.inputs import UMT_CONFIGS, checksum, draw_weight, read_golden, umt_inputs
from tests.paths import ROOT


@pytest.fixture(scope="module", params=UMT_CONFIGS)
def case(request, tmp_path_factory):
    """Build the model of a config, and load the golden weights under the published names."""
    expected = read_golden("umt")[request.param]
    model = build(load_config(ROOT / UMT_CONFIGS[request.param]).model, MODELS, location="model").eval()
    state = {key: torch.from_numpy(draw_weight(key, value.shape)) for key, value in model.state_dict().items()}
    path = tmp_path_factory.mktemp("umt") / "umt.pth"
    torch.save(dict(state_dict=state, meta={}), path)
    load_checkpoint(model, path)
    data = {key: torch.from_numpy(value) for key, value in umt_inputs(request.param).items()}
    return model, data, expected


def test_the_state_dict_has_the_published_names_and_shapes(case):
    model, _, expected = case
    assert checksum({key: value.shape for key, value in model.state_dict().items()}) == expected["checksum"]


def test_the_forward_pass_equals_the_published_one(case):
    model, data, expected = case
    with torch.no_grad():
        output = model(data, mode="val")
    torch.testing.assert_close(output["_out"]["saliency"], torch.tensor(expected["saliency"]), atol=1e-4, rtol=0)
    losses = {k: float(v) for k, v in output.items() if "loss" in k}
    assert losses == pytest.approx(expected["losses"], abs=1e-4)
    if "boundary" in expected:
        boundary = output["_out"]["boundary"][:, :20]
        torch.testing.assert_close(boundary, torch.tensor(expected["boundary"]), atol=2e-4, rtol=1e-5)


def test_the_forward_pass_does_not_modify_the_data(case):
    model, data, _ = case
    before = {k: v.clone() for k, v in data.items()}
    with torch.no_grad():
        first, second = model(data, mode="val"), model(data, mode="val")
    for key, value in before.items():
        assert torch.equal(data[key], value), f"{key} was modified in place"
    assert {k: float(v) for k, v in first.items() if "loss" in k} == {
        k: float(v) for k, v in second.items() if "loss" in k}
