"""CLIPImage equals OpenAI's preprocessing and `encode_image`."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

from common.errors import InputError
from models.device import cpu_has_bfloat16
from models.encoders import CLIPImage
from models.encoders.clip_image import MEAN, STD

OFFICIAL = Compose([Resize(64, interpolation=InterpolationMode.BICUBIC), CenterCrop(64), ToTensor(),
                    Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))])


@pytest.fixture(scope="module")
def encoder(clip_file):
    return CLIPImage(weights=clip_file, precision="float32").eval()


@pytest.mark.parametrize("size", [(90, 160), (161, 97), (64, 64), (63, 500), (1, 1), (300, 65)])
def test_preprocessing_equals_openais(encoder, size):
    frame = np.random.default_rng(size).integers(0, 256, (*size, 3)).astype(np.uint8)
    torch.testing.assert_close(encoder.preprocess(frame), OFFICIAL(Image.fromarray(frame)), atol=1e-6, rtol=0)


def test_color_channels_are_in_rgb_order(encoder):
    frame = np.full((70, 90, 3), (255, 0, 51), dtype=np.uint8)
    expected = (np.array([1, 0, 0.2]) - MEAN) / STD
    np.testing.assert_allclose(encoder.preprocess(frame)[:, 5, 5], expected, atol=1e-6)


def test_embeddings_equal_encode_image(encoder, clip_network):
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features, expected = encoder(images), clip_network.encode_image(images)
    assert list(features) == ["clip_b32"]
    assert encoder.parts == dict(clip_b32=48)
    torch.testing.assert_close(features["clip_b32"], expected, atol=1e-5, rtol=0)
    assert not torch.allclose(expected.norm(dim=1), torch.ones(3), atol=0.1)   # They are not scaled to unit norm.


@pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU has no bfloat16, so auto is float32")
def test_auto_precision_is_bfloat16_and_close(encoder, clip_file):
    images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        exact, fast = encoder(images)["clip_b32"], CLIPImage(weights=clip_file).eval()(images)["clip_b32"]
    assert fast.dtype == torch.float32
    distance = (fast - exact).norm(dim=1) / exact.norm(dim=1)
    assert 1e-4 < distance.max() < 0.05


def test_similarity_is_the_cosine(encoder):
    clips, sentences = np.array([[3, 4], [0, 2], [-1, 0]], float), np.array([[1, 0], [5, 5]], float)
    expected = [[c @ s / np.linalg.norm(c) / np.linalg.norm(s) for s in sentences] for c in clips]
    np.testing.assert_allclose(encoder.similarity(clips, sentences), expected, atol=1e-6)


def test_texts_of_another_width_are_refused(encoder):
    with pytest.raises(InputError, match="CLIPImage compares texts 2 wide, but these are 3 wide"):
        encoder.similarity(np.zeros((3, 2)), np.zeros((1, 3)))


def test_an_unknown_precision_is_refused(clip_file):
    with pytest.raises(InputError, match="precision='floaat32'; did you mean 'float32'"):
        CLIPImage(weights=clip_file, precision="floaat32")


def test_a_clip_without_duration_is_refused(clip_file):
    with pytest.raises(InputError, match=r"clip_len_s=0, frames_per_clip=1; use a length above 0"):
        CLIPImage(weights=clip_file, clip_len_s=0)
