"""Small random CLIP networks in the official file formats."""

import warnings

import pytest
import torch

from models.encoders.import_without_init import import_without_init

SIZE_PX, TOKENS = 64, 77


def random_clip(seed: int = 11, embed_dim: int = 48, text_width: int = 64):
    """Return a CLIP network of two layers in evaluation mode, in which no weight is zero or constant."""
    model = import_without_init("clip", "model", "openai-clip")
    network = model.CLIP(embed_dim=embed_dim, image_resolution=SIZE_PX, vision_layers=2, vision_width=64,
                         vision_patch_size=16, context_length=TOKENS, vocab_size=49408, transformer_width=text_width,
                         transformer_heads=text_width // 64, transformer_layers=2).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    return network


class _Archive(torch.nn.Module):
    """CLIP's weights and the three numbers that OpenAI's archives contain, under the official names."""

    def __init__(self, network):
        super().__init__()
        for name, child in network.named_children():
            self.add_module(name, child)
        for name in ("positional_embedding", "text_projection", "logit_scale"):
            self.register_parameter(name, getattr(network, name))
        for name, value in (("input_resolution", SIZE_PX), ("context_length", TOKENS), ("vocab_size", 49408)):
            self.register_buffer(name, torch.tensor(value))

    def forward(self, x: torch.Tensor):
        return self.visual.ln_post(x)


@pytest.fixture(scope="session")
def clip_network():
    return random_clip()


@pytest.fixture(scope="session")
def clip_file(clip_network, tmp_path_factory):
    """Save the network as a state dict."""
    path = tmp_path_factory.mktemp("clip") / "clip.pt"
    torch.save(clip_network.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def clip_archive(tmp_path_factory):
    """Save the same network as a TorchScript archive in float16, like OpenAI's files."""
    path = tmp_path_factory.mktemp("clip") / "archive.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(_Archive(random_clip()), torch.zeros(1, 64))
        torch.jit.save(traced.half(), path)
    return path
