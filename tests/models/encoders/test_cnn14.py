"""Cnn14 reads weights in the format of PANNs and equals the embedding of their network."""

import pytest
import torch

from common.errors import InputError
from models.encoders import Cnn14
from models.encoders.import_without_init import import_without_init


@pytest.fixture(scope="module")
def network():
    """Return a random network whose batch norms have statistics as after training."""
    torch.manual_seed(11)
    network = import_without_init("panns_inference", "models", "panns-inference").Cnn14(
        sample_rate=32000, window_size=1024, hop_size=320, mel_bins=64, fmin=50, fmax=14000,
        classes_num=527).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return network


@pytest.mark.slow
def test_the_embedding_equals_that_of_the_published_network(network, tmp_path):
    path = tmp_path / "Cnn14.pth"
    torch.save({"iteration": 600000, "model": network.state_dict()}, path)
    torch.manual_seed(12)   # Without the weights of the file, the encoder would have other random weights.
    encoder = Cnn14(weights=path)
    path.unlink()           # It has 320 MB.
    clips = torch.randn(2, 64000, generator=torch.Generator().manual_seed(0)) * 0.1
    with torch.inference_mode():
        embedding, expected = encoder(clips), network(clips)["embedding"]
    assert embedding.shape == (2, encoder.dims) == (2, 2048)
    assert (embedding - expected).abs().max() < 1e-5 * expected.std()
    assert expected.std() > 1e-3
    assert encoder.name == "panns_cnn14"
    assert encoder.rate_hz == 32000
    assert encoder.clip_len_s == 2


def test_weights_in_another_format_are_refused(tmp_path):
    path = tmp_path / "c.pth"
    torch.save({"fc1.bias": torch.zeros(2048)}, path)
    with pytest.raises(InputError, match=r'c\.pth: has no "model"'):
        Cnn14(weights=path)


@pytest.mark.slow
def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "c.pth"
    torch.save({"model": {"fc1.bias": torch.zeros(2048), "fc1.weigth": torch.zeros(2)}}, path)
    with pytest.raises(InputError, match=r"c\.pth: weights of another network: .* is missing; .* and \d+ mo"):
        Cnn14(weights=path)
