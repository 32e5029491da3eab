"""Parsing of TVSum's annotations: UMT's JSON, the released .tsv tables and the released .mat file."""

import json

import numpy as np
import pytest

from common.errors import InputError
from datasets.annotations.domain_splits import SPLITS
from datasets.annotations.tvsum import read_tvsum
from tests.paths import SHARED


@pytest.mark.parametrize("text, message", [
    ("[]", "contains a JSON list"),
    ("{", "cannot be read as JSON"),
    ('{"a": {}, "b": 3}', "a: no 'anno', a table of ratings\n  b: no 'anno'"),
    ("{}", "contains no videos"),
    ('{"a": {"anno": [[1, 6]]}}', "a: ratings must be from 1 to 5, but range from 1.0 to 6.0"),
    ('{"a": {"anno": [1, 2]}}', r"a: ratings have shape \(2,\)"),
    ('{"a": {"anno": [[1], [1, 2]]}}', "a: ratings are not a table"),
])
def test_invalid_json_is_an_error(tmp_path, text, message):
    (tmp_path / "l.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_tvsum(tmp_path / "l.json")


@pytest.mark.parametrize("info, message", [
    ("video_id\ttitle\nv\tx\n", "info.tsv: no column 'length'"),
    (b"\xff\xfe\x00", "cannot be read as tab-separated text"),
    ("video_id\tlength\nv\t0:00\nw\t7\n",
     "line 2: length '0:00' is not minutes:seconds above 0\n  line 3: length '7' is not"),
])
def test_invalid_table_of_lengths_is_an_error(tmp_path, info, message):
    (tmp_path / "ydata-tvsum50-anno.tsv").write_text("v\tXX\t1,2")
    (tmp_path / "ydata-tvsum50-info.tsv").write_bytes(info if isinstance(info, bytes) else info.encode())
    with pytest.raises(InputError, match=message):
        read_tvsum(tmp_path / "ydata-tvsum50-anno.tsv")


def test_invalid_table_of_ratings_is_an_error(tmp_path):
    (tmp_path / "ydata-tvsum50-info.tsv").write_text("video_id\tlength\nv\t0:07\n")
    for content, message in ((b"\x00\xff\xfe", "cannot be read"),
                             (b"v\tXX\n\nw\tXX\t1,2", "line 1: not .*\n  line 2: not .*\n  video w: not in")):
        (tmp_path / "ydata-tvsum50-anno.tsv").write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_tvsum(tmp_path / "ydata-tvsum50-anno.tsv")


def test_tsv_ratings_of_frames_are_reduced_to_clips(tmp_path):
    """Rate 3.5 clips of 2 s at 10 frames per second by two annotators."""
    clips = np.array([[1, 5], [2, 4], [3, 3]])
    frames = np.repeat(clips, 20, axis=0)
    frames = np.concatenate([frames, [[4, 1]] * 10])
    lines = [f"v\tXX\t{','.join(map(str, frames[:, user]))}" for user in range(2)]
    (tmp_path / "ydata-tvsum50-anno.tsv").write_text("\n".join(lines))
    with pytest.raises(InputError, match="needs ydata-tvsum50-info.tsv in the same folder"):
        read_tvsum(tmp_path / "ydata-tvsum50-anno.tsv")
    info = 'category\tvideo_id\ttitle\turl\tlength\nXX\tv\ta "quote\tu\t0:07\n'
    (tmp_path / "ydata-tvsum50-info.tsv").write_text(info)
    np.testing.assert_array_equal(read_tvsum(tmp_path / "ydata-tvsum50-anno.tsv")["v"], clips)


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is missing")
def test_released_mat_file_has_all_videos_of_the_splits():
    released = read_tvsum(SHARED / "data" / "tvsum" / "ydata-tvsum50.mat")
    domains = json.loads((SPLITS / "tvsum.json").read_text()).values()
    vids = {vid for splits in domains for split in splits.values() for vid in split}
    assert set(released) == vids
    assert len(vids) == 50
    rows = released["AwmHb44_ouw"]
    assert rows.shape == (176, 20)
    assert set(np.unique(rows)) <= {1, 2, 3, 4, 5}
