"""Encoded videos: clip edges, derived values, and the file format."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from common.errors import InputError
from pipelines.features.encode import encode_video
from pipelines.features.encoded_video import EncodedVideo, clip_edges_s
from tests.pipelines.fakes import color_encoders, write_video


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    colors = ["red"] * 4 + ["green"] * 3 + ["blue"] * 4 + ["black"]
    return write_video(tmp_path_factory.mktemp("video") / "colors.mp4", colors, loud_s=[2, 3])


@pytest.fixture(scope="module")
def video(path):
    return encode_video(path, color_encoders(with_audio=True), progress=False)


def test_a_saved_video_is_loaded_unchanged(video, tmp_path):
    video.save(tmp_path / "video.npz")
    again = EncodedVideo.load(tmp_path / "video.npz")
    assert again.info == video.info
    assert again.thumbnails == video.thumbnails
    assert (again.clip_len_s, again.encoders, again.encoding_s) == (2, video.encoders, video.encoding_s)
    np.testing.assert_array_equal(again.visual["color"], video.visual["color"])
    np.testing.assert_array_equal(again.audio, video.audio)
    silent = EncodedVideo(video.info, 2, video.encoders, video.visual, None, video.thumbnails)
    silent.save(tmp_path / "silent.npz")
    assert EncodedVideo.load(tmp_path / "silent.npz").audio is None


def test_the_file_format_is_stable(video, tmp_path):
    info = replace(video.info, header_duration_s=Fraction(20), timestamp_gaps_s=((1.0, 3.0),))
    replace(video, info=info, max_frame_offset_s=1.5).save(tmp_path / "video.npz")
    with np.load(tmp_path / "video.npz") as data:
        head = json.loads(str(data["head"]))
    assert list(head) == ["format", "info", "clip_len_s", "encoders", "encoding_s", "sampling", "decoder", "farthest_s"]
    assert head["format"] == 2
    assert head["farthest_s"] == 1.5
    assert list(head["info"]) == ["path", "duration_s", "fps", "n_frames", "width", "height", "start_s", "has_audio",
                                  "rotation_deg", "codec", "timecode", "stated_s", "holes_s"]
    assert head["info"]["stated_s"] == {"fraction": "20"}
    assert head["info"]["holes_s"] == [[1.0, 3.0]]
    assert EncodedVideo.load(tmp_path / "video.npz").info == info


def test_other_files_are_rejected(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        EncodedVideo.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", features=np.ones(3))
    np.savez(tmp_path / "code.npz", head=np.array([print], dtype=object))
    for name in ("text", "other", "code"):
        with pytest.raises(InputError, match=f"{name}.npz: is not an encoded video; write it with EncodedVideo.save"):
            EncodedVideo.load(tmp_path / f"{name}.npz")


def test_clip_edges_are_exact():
    third = Fraction(1, 3)
    assert clip_edges_s(6 + third, 2) == [0, 2, 4, 6 + third]      # A remainder below a quarter clip is joined.
    assert clip_edges_s(6 + 2 * third, 2) == [0, 2, 4, 6, 6 + 2 * third]
    assert clip_edges_s(Fraction(1, 25), 2) == [0, Fraction(1, 25)]


def test_derived_arrays_cannot_be_modified(video):
    for array in (video.float_edges_s, video.gap_clips, video.blank_clips):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 1


def test_clips_in_a_gap_of_the_time_stamps(video):
    with_gap = replace(video, info=replace(video.info, timestamp_gaps_s=((1.0, 6.5),)))
    assert with_gap.gap_clips.tolist() == [False, True, True, False, False, False]
    assert video.gap_clips.tolist() == [False] * 6


def test_values_are_cached_per_function_and_array(video):
    calls = []

    def total(rows):
        calls.append(rows)
        return float(rows.sum())

    rows, others = np.ones((3, 2)), np.zeros((3, 2))
    assert [video.cached(total, rows), video.cached(total, rows)] == [6, 6]
    assert len(calls) == 1
    assert video.cached(total, others) == 0
    assert len(calls) == 2


def test_a_copy_without_features_can_be_shown_and_cut(video):
    copy = video.without_features()
    assert copy.visual == {}
    assert copy.audio is None
    assert (copy.info, copy.edges_s, copy.thumbnails) == (video.info, video.edges_s, video.thumbnails)
    assert copy.blank_clips.tolist() == video.blank_clips.tolist()
