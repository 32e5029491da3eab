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
from pipelines.summarizer import Summarizer
from tests.pipelines.fakes import ColorTextEncoder, ColorVisualEncoder, LoudnessEncoder, color_encoders, write_video


@pytest.fixture
def path(tmp_path):
    return write_video(tmp_path / "a.mp4", ["red"] * 4 + ["blue"] * 4, loud_s=[1])


@pytest.fixture
def runs(monkeypatch):
    """The files that were truly encoded."""
    encoded, encode = [], cache.encode_video
    monkeypatch.setattr(cache, "encode_video", lambda path, *rest, **more: (
        encoded.append(path.name), encode(path, *rest, **more))[1])
    return encoded


def test_asked_again_it_is_the_same_and_not_encoded(path, tmp_path, runs, capsys):
    encoders, folder = color_encoders(with_audio=True), tmp_path / "deep" / "cache"
    first = encode_cached(path, encoders, folder)
    assert "a.mp4: kept as" in capsys.readouterr().err
    second = Summarizer(encoders).encode(path, progress=True, cache_dir=folder)
    assert runs == ["a.mp4"]
    assert capsys.readouterr().err.count("encoded before") == 1
    np.testing.assert_array_equal(second.visual["color"], first.visual["color"])
    np.testing.assert_array_equal(second.audio, first.audio)
    assert dataclasses.replace(second, visual={}, audio=None, encoding_s=0) == dataclasses.replace(
        first, visual={}, audio=None, encoding_s=0)


def test_a_moved_file_is_known_by_its_content(path, tmp_path, runs):
    encode_cached(path, color_encoders(), tmp_path / "c", progress=False)
    moved = tmp_path / "other name.mp4"
    path.rename(moved)
    assert encode_cached(moved, color_encoders(), tmp_path / "c", progress=False).info.path == moved
    assert runs == ["a.mp4"]


def test_other_content_under_the_same_name_is_encoded(path, tmp_path, runs):
    encode_cached(path, color_encoders(), tmp_path / "c", progress=False)
    write_video(path, ["green"] * 4)
    again = encode_cached(path, color_encoders(), tmp_path / "c", progress=False)
    assert len(runs) == 2 and again.n_clips == 2


class TaughtEyes(ColorVisualEncoder):
    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([weight]))
        self.register_buffer("offset", torch.zeros(2), persistent=False)


def test_the_key_changes_with_whatever_changes_the_features(path, monkeypatch):
    def key(eyes, sampling="exact", ears=None):
        return cache_key(path, Encoders(eyes, ColorTextEncoder(), ears), sampling)

    two = TaughtEyes()
    two.frames_per_clip = 2
    shifted = TaughtEyes()
    shifted.offset += 1
    keys = [key(TaughtEyes()), key(TaughtEyes(1.5)), key(ColorVisualEncoder()), key(two), key(shifted),
            key(TaughtEyes(), "keyframes"), key(TaughtEyes(), ears=LoudnessEncoder())]
    assert keys[0] == key(TaughtEyes().eval())
    monkeypatch.setattr(cache, "FEATURE_VERSION", 99)
    assert len({*keys, key(TaughtEyes())}) == len(keys) + 1


@pytest.mark.parametrize("damage", ["cut off", "flipped", "text", "empty"])
def test_a_damaged_entry_is_made_again(path, tmp_path, runs, capsys, damage):
    folder = tmp_path / "c"
    first = encode_cached(path, color_encoders(), folder)
    entry, = folder.iterdir()
    data = bytearray(entry.read_bytes())
    at = data.find(first.visual["color"].tobytes())
    assert at > 0
    data[at] ^= 1
    entry.write_bytes({"cut off": data[:-40], "flipped": data, "text": b"hello", "empty": b""}[damage])
    again = encode_cached(path, color_encoders(), folder)
    np.testing.assert_array_equal(again.visual["color"], first.visual["color"])
    assert len(runs) == 2 and "was damaged, encoded anew" in capsys.readouterr().err
    encode_cached(path, color_encoders(), folder)
    assert len(runs) == 2 and list(folder.iterdir()) == [entry]


def test_a_full_disk_costs_the_entry_only(path, tmp_path, monkeypatch, capsys):
    def full(*_args, **_keys):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert encode_cached(path, color_encoders(), tmp_path / "c").n_clips == 4
    assert "not kept in" in capsys.readouterr().err
    assert list((tmp_path / "c").iterdir()) == []


def test_what_changes_meanwhile_is_not_kept(path, tmp_path, monkeypatch, capsys):
    encode = cache.encode_video
    monkeypatch.setattr(cache, "encode_video", lambda path, *rest, **more: (
        encode(path, *rest, **more), os.utime(path, ns=(1, 1)))[0])
    encode_cached(path, color_encoders(), tmp_path / "c")
    assert "changed meanwhile" in capsys.readouterr().err and not list((tmp_path / "c").iterdir())


@pytest.mark.parametrize("name, message", [("none.mp4", "no such file"), ("folder", "a folder"),
                                           ("text.mp4", "not a video")])
def test_what_cannot_be_encoded_is_named(path, tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(InputError, match=message):
        encode_cached(tmp_path / name, color_encoders(), tmp_path / "c", progress=False)
    shutil.copy(path, tmp_path / "file")
    with pytest.raises(InputError, match="cannot write to this folder"):
        encode_cached(path, color_encoders(), tmp_path / "file", progress=False)
