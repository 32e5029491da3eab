"""Parsing of summarization h5 files and of their split files."""

import json

import numpy as np
import pytest

from common.errors import InputError
from datasets.annotations.summarization_h5 import fold_names, read_summarization_h5
from tests.datasets.fakes import FRAMES, T, group_with, group_without, video_group, write_h5


@pytest.fixture
def h5(tmp_path):
    """Write four videos; return the path of the file."""
    return write_h5(tmp_path / "v.h5", {f"video_{i}": video_group(i) for i in range(1, 5)})


@pytest.mark.parametrize("arrays, message", [
    (group_without("gtscore"), r"v.h5, video_1: no 'gtscore'"),
    (group_without("change_points"), r"no 'change_points'"),
    (group_with(features=np.zeros((5, 6))), r"features has 5 sampled frames, but gtscore has 12"),
    (group_with(picks=np.arange(3)), r"picks has 3 sampled frames, but gtscore has 12"),
    (group_with(user_scores=np.ones((2, 7))), r"user_scores has 7 sampled frames"),
    (group_with(user_summary=np.ones((2, 7))), r"user_summary has 7 frames, but n_frames is 120"),
    (group_with(gtscore=np.full(T, np.nan)), r"gtscore contains NaN"),
    (group_with(gtscore=np.full(T, 0.5)), r"gtscore is 0.5 everywhere"),
    (group_with(picks=np.arange(0, 1200, 100)), r"picks must be two or more ascending frames within 0..119"),
    (group_with(picks=np.array([0, 10, 10, *range(30, 120, 10)])), r"picks must be two or more ascending frames"),
    (group_with(change_points=np.array([[0, 200]])), r"change_points \(1, 2\) must be first and last frames"),
    (group_with(features=np.full((T, 6), np.inf)), r"features contains NaN or infinity"),
    (group_with(n_frames=[3, 4]), r"n_frames is .*; it must be one integer"),
    (group_with(n_frames=np.nan), r"n_frames is 'nan'; it must be one integer"),
    (group_with(n_frames="many"), r"n_frames is .*many.*; it must be one integer"),
    (group_with(n_frames=0), r"n_frames is '0'; it must be one integer"),
    (group_with(picks=["a"] * T), r"picks is object of shape \(12,\), not numbers in 1 dimensions"),
    (group_with(picks=np.arange(0, FRAMES, 10) + 0.5), r"picks contains 0.5; frames must be integers"),
    (group_with(picks=np.empty(0)), r"picks is float64 of shape \(0,\), not numbers"),
    (group_with(change_points=[["a", "b"]]), r"change_points is object of shape"),
    (group_with(change_points=np.empty((0, 2))), r"change_points is float64 of shape \(0, 2\), not numbers"),
    (group_with(change_points=np.array([[40, 0], [41, 119]])),
     r"change_points has a shot from 40 to 0, which ends before it starts"),
    (group_with(change_points=np.array([[0, 60], [40, 119]])),
     r"ends with frame 60, and the next starts with frame 40; shots must be contiguous"),
    (group_with(change_points=np.array([[0, 30], [40, 119]])),
     r"ends with frame 30, and the next starts with frame 40; shots must be contiguous"),
    (group_with(change_points=np.array([[40, 119], [0, 39]])),
     r"ends with frame 119, and the next starts with frame 0; shots must be contiguous"),
    (group_without("features") | {"features/inside": np.ones((T, 6))}, r"features is a group, not an array"),
    (group_without("gtscore") | {"gtscore/inside": np.ones(T)}, r"gtscore is a group, not an array"),
])
def test_invalid_arrays_are_reported_with_the_video(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        read_summarization_h5(write_h5(tmp_path / "v.h5", dict(video_1=arrays)))


def test_empty_or_damaged_file_is_an_input_error(tmp_path):
    """Replace random bytes: h5py may raise any exception, but the user gets an InputError that names the file."""
    path = write_h5(tmp_path / "v.h5", {})
    with pytest.raises(InputError, match="v.h5: contains no videos"):
        read_summarization_h5(path)
    write_h5(tmp_path / "v.h5", dict(video_1=video_group(1)))
    intact = (tmp_path / "v.h5").read_bytes()
    r, num_errors = np.random.default_rng(0), 0
    for _ in range(60):
        damaged = bytearray(intact)
        for position in r.integers(0, 3000, 20):
            damaged[position] = r.integers(256)
        (tmp_path / "v.h5").write_bytes(damaged)
        try:
            read_summarization_h5(path)
        except InputError as err:
            num_errors += 1
            assert "v.h5" in str(err)
    assert num_errors > 20


def test_yaml_splits_of_dsnet_are_read(tmp_path):
    (tmp_path / "tvsum.yml").write_text("- test_keys:\n  - ../datasets/x.h5/video_4\n  train_keys:\n"
                                        "  - ../datasets/x.h5/video_1\n  - ../datasets/x.h5/video_3\n")
    for part, names in dict(train=["video_1", "video_3"], test=["video_4"]).items():
        assert fold_names(tmp_path / "tvsum.yml", 0, part) == names
    for text in ("- test_keys: [", "a: !!python/object/apply:os.getcwd []"):
        (tmp_path / "tvsum.yml").write_text(text)
        with pytest.raises(InputError, match="tvsum.yml: not a YAML file"):
            fold_names(tmp_path / "tvsum.yml", 0, "test")


@pytest.mark.parametrize("content, message", [
    pytest.param(None, "no such h5 file", id="missing"),
    pytest.param(b"text", "cannot be read as an h5 file", id="not-h5"),
])
def test_missing_or_unreadable_file_is_an_input_error(tmp_path, content, message):
    if content is not None:
        (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(InputError, match=f"x.h5: {message}"):
        read_summarization_h5(str(tmp_path / "x.h5"))


@pytest.mark.parametrize("folds, part, message", [
    ([dict(train_keys=["video_1"], test_keys=["video_7"])], "test", r"v.h5: no video 'video_7'; did you mean"),
    ([dict(train_keys=["video_1"], test_keys=["video_1"])], "test",
     "fold 0 has video_1 in train_keys and in test_keys"),
    ([dict(train_keys=["video_1"])], "test", "fold 0 has no list of test_keys"),
    ([dict(train_keys=["video_1"], test_keys=["video_2"])], "tset", "did you mean 'test'"),
    ({}, "test", "must be a list of folds"),
    ([dict(train_keys=[1], test_keys=["video_2"])], "test",
     "fold 0 names 1 in train_keys; names of videos must be text"),
    ([dict(train_keys=["video_1"], test_keys=[["video_2"]])], "test", r"fold 0 names \['video_2'\] in test_keys"),
])
def test_invalid_split_is_an_input_error(h5, tmp_path, folds, part, message):
    (tmp_path / "s.json").write_text(json.dumps(folds))
    with pytest.raises(InputError, match=message):
        read_summarization_h5(h5, fold_names(tmp_path / "s.json", 0, part))


def test_missing_fold_is_an_input_error(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps([dict(train_keys=["video_1"], test_keys=["video_2"])]))
    with pytest.raises(InputError, match=r"no fold 3, only 0..0"):
        fold_names(tmp_path / "s.json", 3, "test")
