"""The command that makes h5 files: what it refuses, and how frames are divided."""

import h5py
import numpy as np
import pytest

from pipelines.summarization_h5 import frame_shots, user_summary
from tools.build_summarization_h5 import main


def test_shots_of_rows_become_shots_of_frames():
    shots = frame_shots(np.array([2]), np.array([10, 30, 50, 70]), 80)
    assert shots.tolist() == [[0, 39], [40, 79]]
    assert frame_shots(np.array([], dtype=int), np.array([5]), 10).tolist() == [[0, 9]]


def test_a_users_summary_is_his_best_shot_that_fits():
    shots = np.array([[i, i + 9] for i in range(0, 100, 10)])
    kept = user_summary(shots, np.array([1.0, 1, 5, 2, 1, 1, 1, 1, 1, 1]), np.arange(0, 100, 10), 100)
    assert np.flatnonzero(kept).tolist() == list(range(20, 30))


@pytest.mark.parametrize("content, message", [(None, "no such h5 file"), (b"x", "not a readable h5 file")])
def test_a_file_that_is_none_is_named(tmp_path, capsys, content, message):
    if content is not None:
        (tmp_path / "v.h5").write_bytes(content)
    assert main(["--complete", str(tmp_path / "v.h5"), "--out", str(tmp_path / "o.h5")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "o.h5").exists()


def test_other_features_are_named(tmp_path, capsys):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_group("video_1").create_dataset("features", data=np.zeros((3, 7)))
    assert main(["--complete", str(tmp_path / "v.h5"), "--out", str(tmp_path / "o.h5")]) == 2
    assert "video_1: needs 'features' 1280 wide and a title" in capsys.readouterr().err
    assert not (tmp_path / "o.h5").exists()
