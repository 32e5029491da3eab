"""models/encoders/half_vit.py: OpenAI's picture tower, to bfloat16's rounding."""

import copy

import pytest
import torch

from models.cpu.bfloat16_vit import BFloat16ViT
from models.encoders import CLIPImage
from models.encoders.base import cpu_has_bfloat16


@pytest.fixture(scope="module")
def images():
    return torch.randn(6, 3, 64, 64, generator=torch.Generator().manual_seed(2))


@torch.inference_mode()
def test_it_is_the_tower_to_rounding(clip_network, images):
    found, expected = BFloat16ViT(clip_network.visual)(images), clip_network.visual(images)
    assert found.shape == expected.shape and found.dtype == torch.bfloat16
    assert torch.cosine_similarity(found.float(), expected).min() > 0.9995
    distance = (found.float() - expected).norm(dim=1) / expected.norm(dim=1)
    assert 1e-4 < distance.max() < 0.03


@torch.inference_mode()
def test_what_is_rearranged_changes_nothing(clip_network, images):
    tower = BFloat16ViT(clip_network.visual, torch.float32)
    torch.testing.assert_close(tower(images), clip_network.visual(images), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_batch_is_its_pictures(clip_network, images):
    tower = BFloat16ViT(clip_network.visual)
    alone = torch.cat([tower(images[i:i + 1]) for i in range(len(images))]).float()
    assert torch.cosine_similarity(tower(images).float(), alone).min() > 0.9999


def test_the_network_is_left_as_it_is(clip_network):
    before = copy.deepcopy(clip_network.visual.state_dict())
    BFloat16ViT(clip_network.visual)
    for name, weight in clip_network.visual.state_dict().items():
        assert weight.dtype == torch.float32 and torch.equal(weight, before[name]), name


@pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU has no bfloat16, so auto is float32")
def test_it_serves_where_the_precision_is_auto(clip_file):
    assert isinstance(CLIPImage(weights=clip_file).rounded, BFloat16ViT)
    assert CLIPImage(weights=clip_file, precision="float32").rounded is None
