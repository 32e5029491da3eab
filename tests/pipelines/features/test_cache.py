"""The cache of encoded videos: hits, misses, keys, and damaged or unwritable entries."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import torch

from common.errors import InputError
from models.encoders.base import Encoders
from pipelines.features import cache, encoded_video, identity
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
    monkeypatch.setattr(identity, "FEATURE_VERSION", 99)
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


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Encode a video into a cache; return the video, the arrays of its entry, and the name of the entry."""
    folder = tmp_path_factory.mktemp("made")
    path = write_video(folder / "a.mp4", ["red"] * 4 + ["blue"] * 4, loud_s=[1])
    encode_cached(path, color_encoders(with_audio=True), folder / "c", progress=False)
    entry, = (folder / "c").iterdir()
    with np.load(entry) as data:
        return path, {name: data[name] for name in data.files}, entry.name


def changed_head(arrays, *keys, value):
    head = json.loads(str(arrays["head"]))
    part = head
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    return dict(head=np.array(json.dumps(head)))


BROKEN = dict(
    nan=lambda a: {"visual/color": np.full((4, 3), np.nan, np.float32)},
    infinite_audio=lambda a: dict(audio=np.full((4, 1), np.inf, np.float32)),
    fewer_rows=lambda a: {"visual/color": a["visual/color"][:3]},
    more_rows=lambda a: {"visual/color": np.zeros((5, 3), np.float32)},
    narrow=lambda a: {"visual/color": a["visual/color"][:, :2]},
    three_axes=lambda a: {"visual/color": a["visual/color"][None]},
    no_axes=lambda a: {"visual/color": np.float32(1)},
    float64=lambda a: {"visual/color": a["visual/color"].astype(float)},
    text=lambda a: {"visual/color": np.full((4, 3), "x")},
    integers=lambda a: dict(audio=np.zeros((4, 1), int)),
    wide_audio=lambda a: dict(audio=np.zeros((4, 2), np.float32)),
    other_values=lambda a: {"visual/color": a["visual/color"] + 1},
    other_part=lambda a: {"visual/color": None, "visual/shape": a["visual/color"]},
    no_visual=lambda a: {"visual/color": None},
    no_head=lambda a: dict(head=None),
    head_is_a_number=lambda a: dict(head=np.array(3)),
    head_is_a_list=lambda a: dict(head=np.array("[]")),
    head_is_no_json=lambda a: dict(head=np.array("{")),
    objects=lambda a: dict(head=np.array([{"code": 1}], dtype=object)),
    fewer_thumbnails=lambda a: dict(thumbnail_sizes=a["thumbnail_sizes"][:2],
                                    thumbnails=a["thumbnails"][:a["thumbnail_sizes"][:2].sum()]),
    no_thumbnails=lambda a: dict(thumbnail_sizes=np.zeros(0, int), thumbnails=np.zeros(0, np.uint8)),
    cut_thumbnails=lambda a: dict(thumbnails=a["thumbnails"][:-9]),
    blank_thumbnails=lambda a: dict(thumbnails=np.zeros_like(a["thumbnails"])),
    thumbnail_sizes_are_text=lambda a: dict(thumbnail_sizes=np.array(["a"] * 4)),
    no_thumbnail_sizes=lambda a: dict(thumbnail_sizes=None),
    other_key=lambda a: dict(cache_key=np.array("0" * 32)),
    no_key=lambda a: dict(cache_key=None),
    zero_duration=lambda a: changed_head(a, "info", "duration_s", value={"fraction": "0"}),
    division_by_zero=lambda a: changed_head(a, "info", "duration_s", value={"fraction": "1/0"}),
    longer=lambda a: changed_head(a, "info", "duration_s", value={"fraction": "80"}),
    width_is_text=lambda a: changed_head(a, "info", "width", value="64"),
    no_frames=lambda a: changed_head(a, "info", "n_frames", value=0),
    gap_is_text=lambda a: changed_head(a, "info", "holes_s", value=[["a", "b"]]),
    unknown_info=lambda a: changed_head(a, "info", "color", value=1),
    clip_length_zero=lambda a: changed_head(a, "clip_len_s", value=0),
    clip_length_is_text=lambda a: changed_head(a, "clip_len_s", value="2"),
    sampling=lambda a: changed_head(a, "sampling", value="none"),
    encoders_is_text=lambda a: changed_head(a, "encoders", value="x"))


@pytest.mark.parametrize("kind, with_checksum", [
    *((kind, False) for kind in BROKEN if kind != "other_values"),   # Only the checksum can reveal these.
    ("other_values", True), ("nan", True), ("no_key", True)])
def test_a_readable_entry_with_invalid_content_is_replaced(made, tmp_path, encoded, capsys, kind, with_checksum):
    path, arrays, name = made
    entry = tmp_path / "c" / name
    entry.parent.mkdir()
    spoiled = {**arrays, **BROKEN[kind](arrays), **({} if with_checksum else {"checksum": None})}
    np.savez(entry, **{key: value for key, value in spoiled.items() if value is not None})
    video = encode_cached(path, color_encoders(with_audio=True), tmp_path / "c")
    assert encoded == ["a.mp4"]
    assert f"encoded again, since the cache entry {entry} was damaged" in capsys.readouterr().err
    np.testing.assert_array_equal(video.visual["color"], arrays["visual/color"])
    with np.load(entry) as data:
        np.testing.assert_array_equal(data["audio"], arrays["audio"])
    encode_cached(path, color_encoders(with_audio=True), tmp_path / "c", progress=False)
    assert encoded == ["a.mp4"]


def test_an_entry_of_another_video_is_not_used(path, tmp_path, encoded):
    other = write_video(tmp_path / "b.mp4", ["green"] * 8, loud_s=[1])
    for video in (path, other):
        encode_cached(video, color_encoders(), tmp_path / "c", progress=False)
    one, two = sorted((tmp_path / "c").iterdir())
    shutil.copy(one, two)
    colors = [encode_cached(video, color_encoders(), tmp_path / "c", progress=False).visual["color"][0].argmax()
              for video in (path, other)]
    assert colors == [0, 1]
    assert len(encoded) == 3


def test_a_folder_in_place_of_an_entry(path, made, tmp_path, encoded, capsys):
    entry = tmp_path / "c" / made[2]
    (entry / "mine").mkdir(parents=True)
    assert encode_cached(made[0], color_encoders(with_audio=True), tmp_path / "c").n_clips == 4
    assert f"not cached in {tmp_path / 'c'} ({entry.name} is a folder)" in capsys.readouterr().err
    assert (entry / "mine").is_dir()


def test_a_link_to_nothing_in_place_of_an_entry(made, tmp_path, encoded):
    entry = tmp_path / "c" / made[2]
    entry.parent.mkdir()
    entry.symlink_to(tmp_path / "none")
    for _ in range(2):
        encode_cached(made[0], color_encoders(with_audio=True), tmp_path / "c", progress=False)
    assert encoded == ["a.mp4"]


def test_a_read_only_folder(path, tmp_path, encoded, monkeypatch, capsys):
    """Simulate it, because the superuser may write into any folder."""
    first = encode_cached(path, color_encoders(), tmp_path / "c", progress=False)

    def refuse(path, *_args):
        raise InputError(path, "cannot write to this folder (Permission denied)")

    monkeypatch.setattr(cache, "make_folder", refuse)
    monkeypatch.setattr(encoded_video, "atomic_path", refuse)
    again = encode_cached(path, color_encoders(), tmp_path / "c")
    np.testing.assert_array_equal(again.visual["color"], first.visual["color"])
    assert "already encoded, read from" in capsys.readouterr().err
    write_video(path, ["green"] * 4)
    assert encode_cached(path, color_encoders(), tmp_path / "c").n_clips == 2
    assert "cannot write to this folder (Permission denied)" in capsys.readouterr().err
    assert encoded == ["a.mp4", "a.mp4"]
    with pytest.raises(InputError, match="cannot write to this folder"):
        encode_cached(path, color_encoders(), tmp_path / "none")


def test_an_entry_without_read_permission(path, tmp_path, encoded, monkeypatch, capsys):
    encode_cached(path, color_encoders(), tmp_path / "c", progress=False)
    load = np.load
    monkeypatch.setattr(np, "load", lambda *_args, **_keys: (_ for _ in ()).throw(PermissionError(13, "denied")))
    assert encode_cached(path, color_encoders(), tmp_path / "c").n_clips == 4
    assert "was damaged" in capsys.readouterr().err
    monkeypatch.setattr(np, "load", load)
    encode_cached(path, color_encoders(), tmp_path / "c", progress=False)
    assert len(encoded) == 2


def test_a_file_of_the_same_size_and_modification_time_has_another_key(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    times = (tmp_path / "a").stat()
    first = identity.content_key(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"two")
    os.utime(tmp_path / "a", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert identity.content_key(tmp_path / "a") != first


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
