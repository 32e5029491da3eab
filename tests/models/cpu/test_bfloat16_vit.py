"""BFloat16ViT equals OpenAI's image encoder up to the rounding of bfloat16."""

import copy

import pytest
import torch

from models.cpu.bfloat16_vit import BFloat16ViT
from models.device import cpu_has_bfloat16
from models.encoders import CLIPImage


@pytest.fixture(scope="module")
def images():
    return torch.randn(6, 3, 64, 64, generator=torch.Generator().manual_seed(2))


@torch.inference_mode()
def test_the_embeddings_equal_openais_up_to_rounding(clip_network, images):
    embeddings, expected = BFloat16ViT(clip_network.visual)(images), clip_network.visual(images)
    assert embeddings.shape == expected.shape
    assert embeddings.dtype == torch.bfloat16
    assert torch.cosine_similarity(embeddings.float(), expected).min() > 0.9995
    distance = (embeddings.float() - expected).norm(dim=1) / expected.norm(dim=1)
    assert 1e-4 < distance.max() < 0.03


@torch.inference_mode()
def test_in_float32_the_embeddings_equal_openais(clip_network, images):
    vit = BFloat16ViT(clip_network.visual, torch.float32)
    torch.testing.assert_close(vit(images), clip_network.visual(images), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_the_batch_size_does_not_change_the_embeddings(clip_network, images):
    vit = BFloat16ViT(clip_network.visual)
    alone = torch.cat([vit(images[i:i + 1]) for i in range(len(images))]).float()
    assert torch.cosine_similarity(vit(images).float(), alone).min() > 0.9999


def test_the_network_stays_unchanged(clip_network):
    before = copy.deepcopy(clip_network.visual.state_dict())
    BFloat16ViT(clip_network.visual)
    for name, weight in clip_network.visual.state_dict().items():
        assert weight.dtype == torch.float32, name
        assert torch.equal(weight, before[name]), name


@pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU has no bfloat16, so auto is float32")
def test_precision_auto_uses_it_where_the_cpu_has_bfloat16(clip_file):
    assert isinstance(CLIPImage(weights=clip_file).bfloat16_vit, BFloat16ViT)
    assert CLIPImage(weights=clip_file, precision="float32").bfloat16_vit is None
