"""The cache of encoded videos: hits, misses, keys, and damaged or unwritable entries."""

import dataclasses
import os
import shutil

import numpy as np
import pytest
import torch

from common.errors import InputError
from models.encoders.base import Encoders
from pipelines.features import cache
from pipelines.features.cache import cache_key, encode_cached
from pipelines.media.probe import probe
from pipelines.summarizer import Summarizer
from tests.pipelines.fakes import ColorTextEncoder, ColorVisualEncoder, LoudnessEncoder, color_encoders, write_video


@pytest.fixture
def path(tmp_path):
    return write_video(tmp_path / "a.mp4", ["red"] * 4 + ["blue"] * 4, loud_s=[1])


@pytest.fixture
def encoded(monkeypatch):
    """Record the names of the files that are encoded and not read from the cache."""
    names, encode = [], cache.encode_video
    monkeypatch.setattr(cache, "encode_video", lambda path, *rest, **more: (
        names.append(path.name), encode(path, *rest, **more))[1])
    return names


def test_a_cached_video_is_equal_and_not_encoded_again(path, tmp_path, encoded, capsys):
    encoders, folder = color_encoders(with_audio=True), tmp_path / "deep" / "cache"
    first = encode_cached(path, encoders, folder)
    assert "a.mp4: cached as" in capsys.readouterr().err
    second = Summarizer(encoders).encode(path, progress=True, cache_dir=folder)
    assert encoded == ["a.mp4"]
    assert capsys.readouterr().err.count("already encoded") == 1
    np.testing.assert_array_equal(second.visual["color"], first.visual["color"])
    np.testing.assert_array_equal(second.audio, first.audio)
    assert dataclasses.replace(second, visual={}, audio=None, encoding_s=0) == dataclasses.replace(
        first, visual={}, audio=None, encoding_s=0)


def test_a_moved_file_is_recognized_by_its_content(path, tmp_path, encoded):
    encode_cached(path, color_encoders(), tmp_path / "c", progress=False)
    moved = tmp_path / "other name.mp4"
    path.rename(moved)
    assert encode_cached(moved, color_encoders(), tmp_path / "c", progress=False).info.path == moved
    assert encoded == ["a.mp4"]


def test_other_content_under_the_same_name_is_encoded(path, tmp_path, encoded):
    encode_cached(path, color_encoders(), tmp_path / "c", progress=False)
    write_video(path, ["green"] * 4)
    again = encode_cached(path, color_encoders(), tmp_path / "c", progress=False)
    assert len(encoded) == 2
    assert again.n_clips == 2


def test_a_given_info_is_used(path, tmp_path):
    info = dataclasses.replace(probe(path), timecode="01:02:03:04")
    video = encode_cached(path, color_encoders(), tmp_path / "c", progress=False, info=info)
    assert video.info == info


class WeightedVisualEncoder(ColorVisualEncoder):
    """A visual encoder with a parameter and a buffer, which are part of the cache key."""

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([weight]))
        self.register_buffer("offset", torch.zeros(2), persistent=False)


def test_the_key_depends_on_everything_that_changes_the_features(path, monkeypatch):
    def key(visual, sampling="exact", audio=None):
        return cache_key(path, Encoders(visual, ColorTextEncoder(), audio), sampling)

    two_frames = WeightedVisualEncoder()
    two_frames.frames_per_clip = 2
    shifted = WeightedVisualEncoder()
    shifted.offset += 1
    keys = [key(WeightedVisualEncoder()), key(WeightedVisualEncoder(1.5)), key(ColorVisualEncoder()), key(two_frames),
            key(shifted), key(WeightedVisualEncoder(), "keyframes"),
            key(WeightedVisualEncoder(), audio=LoudnessEncoder())]
    assert keys[0] == key(WeightedVisualEncoder().eval())
    monkeypatch.setattr(cache, "FEATURE_VERSION", 99)
    assert len({*keys, key(WeightedVisualEncoder())}) == len(keys) + 1


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text", "empty"])
def test_a_damaged_entry_is_replaced(path, tmp_path, encoded, capsys, damage):
    folder = tmp_path / "c"
    first = encode_cached(path, color_encoders(), folder)
    entry, = folder.iterdir()
    data = bytearray(entry.read_bytes())
    at = data.find(first.visual["color"].tobytes())
    assert at > 0
    data[at] ^= 1
    entry.write_bytes({"truncated": data[:-40], "flipped": data, "text": b"hello", "empty": b""}[damage])
    again = encode_cached(path, color_encoders(), folder)
    np.testing.assert_array_equal(again.visual["color"], first.visual["color"])
    assert len(encoded) == 2
    assert f"encoded again, since the cache entry {entry} was damaged" in capsys.readouterr().err
    encode_cached(path, color_encoders(), folder)
    assert len(encoded) == 2
    assert list(folder.iterdir()) == [entry]


def test_a_full_disk_loses_the_entry_only(path, tmp_path, monkeypatch, capsys):
    def full(*_args, **_keys):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert encode_cached(path, color_encoders(), tmp_path / "c").n_clips == 4
    assert "not cached in" in capsys.readouterr().err
    assert list((tmp_path / "c").iterdir()) == []


def test_a_file_that_changes_during_encoding_is_not_cached(path, tmp_path, monkeypatch, capsys):
    encode = cache.encode_video
    monkeypatch.setattr(cache, "encode_video", lambda path, *rest, **more: (
        encode(path, *rest, **more), os.utime(path, ns=(1, 1)))[0])
    encode_cached(path, color_encoders(), tmp_path / "c")
    assert "the file changed during encoding" in capsys.readouterr().err
    assert not list((tmp_path / "c").iterdir())


@pytest.mark.parametrize(("name", "message"), [
    pytest.param("none.mp4", "no such file", id="missing"),
    pytest.param("folder", "is a folder", id="folder"),
    pytest.param("text.mp4", "is not a readable video", id="text")])
def test_files_that_cannot_be_encoded(path, tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(InputError, match=message):
        encode_cached(tmp_path / name, color_encoders(), tmp_path / "c", progress=False)
    shutil.copy(path, tmp_path / "file")
    with pytest.raises(InputError, match="cannot write to this folder"):
        encode_cached(path, color_encoders(), tmp_path / "file", progress=False)
