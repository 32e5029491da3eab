"""CLIP networks are loaded from the official file formats, once per file."""

import re

import pytest
import torch

from common.errors import InputError
from models.encoders.clip_network import load_clip, short_name
from models.encoders.weights import CLIP


def test_a_state_dict_keeps_its_float32_weights(clip_network, clip_file):
    loaded = load_clip(weights=clip_file).state_dict()
    expected = clip_network.state_dict()
    assert loaded.keys() == expected.keys()
    for key, value in expected.items():
        assert loaded[key].dtype == torch.float32, key
        assert torch.equal(loaded[key], value), key


def test_an_archive_gives_the_same_network_rounded_to_float16(clip_network, clip_archive):
    loaded = load_clip(weights=clip_archive)
    for key, value in clip_network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value.half().float()), key
    assert loaded.visual.input_resolution == 64
    assert loaded.context_length == 77
    assert not loaded.training


def test_each_file_is_loaded_once(clip_file, clip_archive):
    assert load_clip(weights=clip_file) is load_clip("ViT-B/16", clip_file)
    assert load_clip(weights=clip_file) is not load_clip(weights=clip_archive)


def test_a_changed_file_is_loaded_again(clip_network, tmp_path):
    path = tmp_path / "clip.pt"
    torch.save(clip_network.state_dict(), path)
    first = load_clip(weights=path)
    changed = {k: v + 1 if k == "text_projection" else v for k, v in clip_network.state_dict().items()}
    torch.save(changed, path)
    assert torch.equal(load_clip(weights=path).text_projection, first.text_projection + 1)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"other\.pt: not a CLIP network's weights \(KeyError"):
        load_clip(weights=tmp_path / "other.pt")


def test_incomplete_weights_are_refused(tmp_path, clip_network):
    incomplete = {k: v for k, v in clip_network.state_dict().items() if k != "logit_scale"}
    torch.save(incomplete, tmp_path / "incomplete.pt")
    with pytest.raises(InputError, match=r"(?s)incomplete\.pt: not a CLIP.*logit_scale"):
        load_clip(weights=tmp_path / "incomplete.pt")


def test_a_damaged_file_is_refused(tmp_path, clip_archive):
    (tmp_path / "cut.pt").write_bytes(clip_archive.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"cut\.pt: "):
        load_clip(weights=tmp_path / "cut.pt")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.pt: no such weight file"):
        load_clip(weights=tmp_path / "none.pt")


def test_an_unknown_architecture_is_refused():
    with pytest.raises(InputError, match=r"no CLIP is called 'ViT-B32'; did you mean 'ViT-B/32'"):
        load_clip("ViT-B32")


def test_short_names_are_unique_and_valid_in_paths():
    assert short_name("ViT-B/32") == "b32"
    assert short_name("ViT-L/14@336px") == "l14_336px"
    names = {short_name(arch) for arch in CLIP}
    assert len(names) == len(CLIP) == 9
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)
