"""Stored features are computed again exactly if their source, encoder, settings or values are not as expected."""

import json
import os
import re
import shutil

import numpy as np
import pytest
import torch

from common.errors import InputError
from models.encoders.base import Encoders
from pipelines.features import extract, identity
from pipelines.features.encode import encode_video
from pipelines.features.extract import VideoExtraction, extract_queries, extract_videos
from pipelines.features.provenance import DAMAGED, INCOMPLETE, NEW, UNKNOWN, Source, origin_of, write_stored
from tests.pipelines.fakes import ColorTextEncoder, ColorVisualEncoder, LoudnessEncoder, color_encoders, write_video


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Write two videos of 4 s with audio, and their features; return the folder."""
    folder = tmp_path_factory.mktemp("made")
    write_video(folder / "a.mp4", ["red"] * 2 + ["blue"] * 2, loud_s=[1])
    write_video(folder / "b.mp4", ["green"] * 4, loud_s=[3])
    extract_videos([folder / "a.mp4", folder / "b.mp4"], color_encoders(with_audio=True), folder / "f")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """Return a copy of the folder with videos and features."""
    shutil.copytree(made, tmp_path / "w")
    return tmp_path / "w"


def update(folder, encoders=None, **options):
    """Extract a.mp4 again; return the reason, None if its features were kept."""
    encoders = color_encoders(with_audio=True) if encoders is None else encoders
    written = VideoExtraction(encoders, folder / "f", **options).extract(folder / "a.mp4")
    return None if written is None else written.reason


def color(folder):
    return np.load(folder / "f/color/a.npz")["features"]


def assert_fresh(folder, path=None, sampling="exact"):
    """Assert that the stored features are those of the video, and that a second extraction keeps them."""
    encoders = color_encoders(with_audio=True)
    video = encode_video(path or folder / "a.mp4", encoders, progress=False, sampling=sampling)
    np.testing.assert_array_equal(color(folder), video.visual["color"].astype(np.float16))
    np.testing.assert_array_equal(np.load(folder / "f/loudness/a.npy"), video.audio.astype(np.float16))
    assert update(folder, sampling=sampling) is None


def test_the_files_stay_readable_for_other_programs(folder):
    with np.load(folder / "f/color/a.npz") as data:
        assert data.files == ["features", "provenance"]
        stored = json.loads(str(data["provenance"]))
    assert {key: stored[key] for key in ("format", "kind", "name", "encoder", "clip_len_s", "sampling", "dtype")} == dict(
        format=1, kind="video", name="a.mp4", encoder="ColorVisualEncoder", clip_len_s=2, sampling="exact",
        dtype="float16")
    assert stored["source"] == identity.content_key(folder / "a.mp4")
    assert np.load(folder / "f/loudness/a.npy").shape == (2, 1)
    assert sorted(path.name for path in (folder / "f/loudness").glob("*.*")) == [".provenance", "a.npy", "b.npy"]


def test_a_video_that_was_replaced_by_one_of_the_same_length(folder):
    write_video(folder / "a.mp4", ["green"] * 4, loud_s=[0, 1, 2])
    assert update(folder) == "the video has changed"
    assert_fresh(folder)


def test_a_video_of_the_same_size_and_modification_time(folder):
    times = (folder / "a.mp4").stat()
    old, other = (folder / "a.mp4").read_bytes(), (folder / "b.mp4").read_bytes()
    for data in (old, other):   # A box of the type `free` at the end of an MP4 file is ignored.
        missing = max(len(old), len(other)) + 8 - len(data)
        (folder / "a.mp4").write_bytes(data + missing.to_bytes(4, "big") + b"free" + bytes(missing - 8))
        os.utime(folder / "a.mp4", ns=(times.st_atime_ns, times.st_mtime_ns))
        assert update(folder) == "the video has changed"
    assert_fresh(folder, folder / "b.mp4")


def test_a_moved_or_touched_video_keeps_its_features(folder):
    before = (folder / "f/color/a.npz").stat().st_mtime_ns
    os.utime(folder / "a.mp4", ns=(1, 1))
    assert update(folder) is None
    shutil.copy(folder / "a.mp4", folder / "c.mp4")
    (folder / "c.mp4").replace(folder / "a.mp4")
    assert update(folder) is None
    assert (folder / "f/color/a.npz").stat().st_mtime_ns == before


def test_an_unchanged_video_is_not_read(folder, monkeypatch):
    write_video(folder / "a.mp4", ["grey"] * 4, loud_s=[])
    assert update(folder) == "the video has changed"
    monkeypatch.setattr(identity, "checksum", lambda path: 1 / 0)
    assert update(folder) is None


def test_another_sampling(folder):
    assert update(folder, sampling="keyframes") == "their sampling was exact, not keyframes"
    assert_fresh(folder, sampling="keyframes")
    audio_before = (folder / "f/loudness/a.npy").stat().st_mtime_ns
    assert update(folder) == "their sampling was keyframes, not exact"
    assert (folder / "f/loudness/a.npy").stat().st_mtime_ns == audio_before   # Audio has no frames.
    assert_fresh(folder)


def test_another_data_type(folder):
    assert update(folder, dtype="float32") == "their data type was float16, not float32"
    assert color(folder).dtype == np.load(folder / "f/loudness/a.npy").dtype == np.float32


class WeightedVisualEncoder(ColorVisualEncoder):
    """A visual encoder with a parameter."""

    def __init__(self, weight=1.0, kind="auto"):
        super().__init__()
        self.precision = kind
        self.weight = torch.nn.Parameter(torch.tensor([weight]), requires_grad=False)

    def forward(self, images):
        return dict(color=images.mean(dim=(2, 3)) * self.weight)


def test_other_weights_settings_or_types_of_encoders(folder):
    def encoders(*args, **settings):
        visual = WeightedVisualEncoder(*args)
        for name, value in settings.items():
            setattr(visual, name, value)
        return Encoders(visual.eval(), ColorTextEncoder(), LoudnessEncoder().eval())

    assert update(folder, encoders()) == "their encoder was ColorVisualEncoder, not WeightedVisualEncoder"
    first = color(folder)
    assert update(folder, encoders()) is None
    assert update(folder, encoders(0.5)) == "their WeightedVisualEncoder had other weights or settings"
    np.testing.assert_array_equal(color(folder), (first.astype(np.float32) / 2).astype(np.float16))
    assert update(folder, encoders(0.5, "float32")) == "their WeightedVisualEncoder had other weights or settings"
    assert update(folder, encoders(0.5, "float32", clip_len_s=2.0)) is None   # The same number as 2.
    two = encoders(0.5, "float32", frames_per_clip=2)
    assert update(folder, two) == "their WeightedVisualEncoder had other weights or settings"
    assert update(folder, encoders(0.5, "float32", frames_per_clip=2, batch_frames=1)) is None   # Only its speed differs.
    one_second = encoders(0.5, "float32", frames_per_clip=2, clip_len_s=1)
    assert update(folder, one_second) == "their clip length in seconds was 2.0, not 1.0"


def test_the_portable_fingerprint_does_not_depend_on_the_machine(monkeypatch):
    encoder = WeightedVisualEncoder()
    encoder.register_buffer("computed", torch.zeros(2), persistent=False)
    encoder.register_buffer("loaded", torch.zeros(2))
    keys, portable = set(), set()
    for has_bfloat16 in (False, True):
        monkeypatch.setattr(identity, "cpu_has_bfloat16", lambda has_bfloat16=has_bfloat16: has_bfloat16)
        keys.add(identity.fingerprint(encoder))
        portable.add(identity.fingerprint(encoder, portable=True))
        encoder.computed += 1
        encoder.rounded = torch.nn.Parameter(torch.zeros(2, dtype=torch.bfloat16), requires_grad=False)
    assert (len(keys), len(portable)) == (2, 1)
    encoder.loaded += 1
    assert identity.fingerprint(encoder, portable=True) not in portable


def test_another_version_of_the_features(folder, monkeypatch):
    before = json.loads(stored_text(folder))["version"]
    monkeypatch.setattr(identity, "FEATURE_VERSION", 99)
    assert update(folder) == f"their features are of version {before}, not 99"
    assert update(folder) is None


def stored_text(folder):
    return str(np.load(folder / "f/color/a.npz")["provenance"])


@pytest.mark.parametrize("values", [np.full((2, 3), np.nan), np.array([[0, 0, np.inf], [0, 0, 0]]), np.zeros((2, 4)),
                                    np.zeros((0, 3)), np.zeros((2, 3, 1)), np.array(["a", "b"]), np.zeros(3, complex)])
@pytest.mark.parametrize("with_provenance", [False, True])
def test_values_that_are_not_finite_features(folder, values, with_provenance):
    more = dict(provenance=stored_text(folder)) if with_provenance else {}
    np.savez(folder / "f/color/a.npz", features=values, **more)
    assert update(folder, keep_unverified=True) == DAMAGED
    assert_fresh(folder)


def test_features_of_another_video_under_the_same_name(folder):
    shutil.copy(folder / "f/color/b.npz", folder / "f/color/a.npz")
    assert update(folder) == "the video has changed"
    assert_fresh(folder)
    shutil.copy(folder / "f/loudness/b.npy", folder / "f/loudness/a.npy")
    assert update(folder) == UNKNOWN   # The provenance of a.npy belongs to other features.
    assert_fresh(folder)


def test_changed_values_with_the_old_provenance(folder):
    np.savez(folder / "f/color/a.npz", features=color(folder) + 1, provenance=stored_text(folder))
    assert update(folder) == UNKNOWN
    assert_fresh(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 2}', "null"])
def test_an_invalid_provenance_is_none(folder, text):
    np.savez(folder / "f/color/a.npz", features=color(folder), provenance=text)
    (folder / "f/loudness/.provenance/a.json").write_text(text)
    assert update(folder) == UNKNOWN
    assert_fresh(folder)


def test_a_missing_part(folder):
    (folder / "f/loudness/a.npy").unlink()
    before = (folder / "f/color/a.npz").stat().st_mtime_ns
    assert update(folder) == INCOMPLETE
    assert (folder / "f/color/a.npz").stat().st_mtime_ns == before   # A pack of these features stays valid.
    assert_fresh(folder)


def test_features_of_other_programs_are_never_lost(folder):
    np.savez(folder / "f/color/a.npz", features=np.full((2, 3), 0.5))
    np.save(folder / "f/loudness/a.npy", np.full((2, 1), 0.25))
    foreign = [(folder / f"f/{name}").read_bytes() for name in ("color/a.npz", "loudness/a.npy")]
    untouched = (folder / "f/color/b.npz").read_bytes()
    assert update(folder, keep_unverified=True) is None
    report = extract_videos([folder / "a.mp4"], color_encoders(with_audio=True), folder / "f")
    assert report.notes() == [
        "computed again, since the origin of their features is unknown: 1 (a.mp4)",
        f"moved to {folder}/f/color/replaced, since their origin is unknown: 1 (a.npz)",
        f"moved to {folder}/f/loudness/replaced, since their origin is unknown: 1 (a.npy)"]
    assert [(folder / f"f/{name}").read_bytes() for name in ("color/replaced/a.npz", "loudness/replaced/a.npy")] == foreign
    assert (folder / "f/color/b.npz").read_bytes() == untouched
    assert_fresh(folder)
    np.savez(folder / "f/color/a.npz", features=np.full((2, 3), 0.75))   # A second one does not replace the first.
    assert update(folder) == UNKNOWN
    assert (folder / "f/color/replaced/a.npz").read_bytes() == foreign[0]
    assert np.load(folder / "f/color/replaced/a_1.npz")["features"][0, 0] == 0.75


def test_own_features_are_replaced_without_a_copy(folder):
    update(folder, sampling="keyframes")
    assert not list(folder.rglob("replaced"))


def test_a_link_is_replaced_and_its_target_unchanged(folder):
    np.savez(folder / "mine.npz", features=np.full((2, 3), 0.5))
    before = (folder / "mine.npz").read_bytes()
    (folder / "f/color/a.npz").unlink()
    (folder / "f/color/a.npz").symlink_to(folder / "mine.npz")
    assert update(folder) == UNKNOWN
    assert (folder / "mine.npz").read_bytes() == before
    assert not (folder / "f/color/a.npz").is_symlink()
    assert_fresh(folder)


def test_a_video_that_loses_its_audio_loses_its_audio_features(folder):
    write_video(folder / "a.mp4", ["red"] * 2 + ["blue"] * 2)
    assert np.load(folder / "f/loudness/a.npy").any()
    assert update(folder) == "the video has changed"
    np.testing.assert_array_equal(np.load(folder / "f/loudness/a.npy"), np.zeros((2, 1)))
    assert update(folder) is None


def test_audio_features_of_a_separate_file_are_kept(folder):
    (folder / "a.wav").write_bytes(b"audio")
    encoders, file = color_encoders(with_audio=True), folder / "f/loudness/a.npy"
    origin = origin_of("audio file", encoders.audio, "float32")
    assert write_stored(file, dict(features=np.full((2, 1), 0.5, np.float32)), origin, Source(folder / "a.wav")) is None
    before = file.read_bytes()
    assert update(folder) is None
    assert update(folder, sampling="keyframes") == "their sampling was exact, not keyframes"
    assert file.read_bytes() == before


def test_audio_features_of_unknown_origin_are_better_than_none(folder):
    """The user may have extracted them from a separate audio file with another program."""
    write_video(folder / "a.mp4", ["red"] * 4)
    file = folder / "f/loudness/a.npy"
    np.save(file, np.full((3, 1), 0.5))   # One row more than the video has clips.
    before = file.read_bytes()
    assert update(folder) == "the video has changed"
    assert file.read_bytes() == before
    assert update(folder) is None
    np.save(file, np.full((9, 1), 0.5))
    assert update(folder) == UNKNOWN
    np.testing.assert_array_equal(np.load(file), np.zeros((2, 1)))


def test_a_video_that_is_replaced_during_the_extraction(folder, monkeypatch):
    real = extract.encode_video
    before = (folder / "f/color/a.npz").read_bytes()

    def encode_and_replace(path, *args, **options):
        video = real(path, *args, **options)
        shutil.copy(folder / "b.mp4", path)
        return video

    monkeypatch.setattr(extract, "encode_video", encode_and_replace)
    with pytest.raises(InputError, match=r"a\.mp4: was changed during the extraction of its features; run the command"):
        update(folder, sampling="keyframes")
    assert (folder / "f/color/a.npz").read_bytes() == before
    monkeypatch.undo()
    assert update(folder) == "the video has changed"
    assert_fresh(folder)


def test_two_processes_at_once(folder, monkeypatch):
    """The slower process finds the files of the faster one, and neither replaces nor moves them."""
    real = extract.encode_video
    np.savez(folder / "f/color/a.npz", features=np.full((2, 3), 0.5))

    def encode_while_another_process_finishes(*args, **options):
        monkeypatch.setattr(extract, "encode_video", real)
        assert update(folder) == UNKNOWN
        return real(*args, **options)

    monkeypatch.setattr(extract, "encode_video", encode_while_another_process_finishes)
    update(folder)
    assert [path.name for path in (folder / "f/color/replaced").iterdir()] == ["a.npz"]
    assert np.load(folder / "f/color/replaced/a.npz")["features"][0, 0] == 0.5
    assert_fresh(folder)


class ConstantVisualEncoder(ColorVisualEncoder):
    """A visual encoder whose features have one value."""

    value = 0.0

    def forward(self, images):
        return dict(color=torch.full((len(images), 3), self.value))


@pytest.mark.parametrize("value, dtype, message", [
    (float("nan"), "float16", "the encoder returned NaN or infinity for it"),
    (7e4, "float16", r"its features contain 7e\+04, which is too large for float16; use --dtype float32"),
    (7e4, "float32", None)])
def test_features_that_cannot_be_stored_are_not_written(folder, value, dtype, message):
    encoders = Encoders(ConstantVisualEncoder(), ColorTextEncoder(), None)
    encoders.visual.value = value
    before = (folder / "f/color/a.npz").read_bytes()
    report = extract_videos([folder / "a.mp4"], encoders, folder / "f", dtype)
    if message is None:
        assert (color(folder) == value).all()
        return
    error, = report.failed.values()
    assert re.search(message, error)
    assert (folder / "f/color/a.npz").read_bytes() == before


def test_a_missing_video_is_reported_and_its_features_are_kept(folder):
    (folder / "a.mp4").unlink()
    before = (folder / "f/color/a.npz").read_bytes()
    report = extract_videos([folder / "a.mp4", folder / "b.mp4"], color_encoders(with_audio=True), folder / "f")
    assert report.failed == {folder / "a.mp4": f"{folder / 'a.mp4'}: no such file; check the name"}
    assert report.n_kept == 1
    assert (folder / "f/color/a.npz").read_bytes() == before


class OtherTextEncoder(ColorTextEncoder):
    """A text encoder with a setting."""

    scale = 1.0


def test_text_features_of_other_encoders_types_and_damaged_ones(tmp_path):
    encoders, labels = color_encoders(), [dict(qid=1, query="red"), dict(qid=2, query="blue")]
    assert len(extract_queries(labels, encoders, tmp_path).written) == 2

    def again(encoders=encoders, dtype="float16"):
        report = extract_queries(labels, encoders, tmp_path, dtype)
        return {name: written.reason for name, written in report.written.items()}

    assert again() == {}
    float32 = "their data type was float16, not float32"
    assert again(dtype="float32") == dict(qid1=float32, qid2=float32)
    other = Encoders(encoders.visual, OtherTextEncoder())
    assert set(again(other, "float32").values()) == {"their encoder was ColorTextEncoder, not OtherTextEncoder"}
    other.text.scale = 2.0
    assert set(again(other, "float32").values()) == {"their OtherTextEncoder had other weights or settings"}
    with np.load(tmp_path / "color_text/qid1.npz") as data:
        arrays = dict(data)
    np.savez(tmp_path / "color_text/qid1.npz", **{**arrays, "pooler_output": np.full(3, np.nan)})
    assert again(other, "float32") == dict(qid1=DAMAGED)
    assert again(other, "float32") == {}


def test_reasons_of_several_videos_are_counted(tmp_path):
    paths = [write_video(tmp_path / f"{name}.mp4", ["red"] * 2) for name in "abcd"]
    report = extract_videos(paths, color_encoders(), tmp_path / "f")
    assert {written.reason for written in report.written.values()} == {NEW}
    assert report.notes() == []
    report = extract_videos(paths, color_encoders(), tmp_path / "f", sampling="keyframes")
    assert report.notes() == [
        "computed again, since their sampling was exact, not keyframes: 4 (a.mp4, b.mp4, c.mp4 and 1 more)"]
