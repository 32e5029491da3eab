import numpy as np
import pytest

from common.errors import InputError
from datasets.features import read_matrix
from pipelines.encode import encode_video
from pipelines.extract import extract_queries, extract_video, find_videos
from tests.pipelines.fakes import COLOURS, colour_encoders, write_video


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "a.mp4", ["red"] * 4 + ["blue"] * 4, loud_s=[1])


def test_files_hold_what_the_pipeline_sees(video, tmp_path):
    encoders = colour_encoders(with_sound=True)
    assert extract_video(video, encoders, tmp_path / "f")
    seen = encode_video(video, encoders, progress=False)
    stored = np.load(tmp_path / "f" / "colour" / "a.npz")["features"]
    assert stored.dtype == np.float16 and stored.shape == (4, 3)
    np.testing.assert_array_equal(stored, seen.visual["colour"].astype(np.float16))
    sound = np.load(tmp_path / "f" / "loudness" / "a.npy")
    assert sound.dtype == np.float16 and sound.shape == (4, 1) and sound[0] > 0 and not sound[2:].any()


def test_what_is_there_is_skipped_and_what_lacks_is_made(video, tmp_path):
    encoders = colour_encoders(with_sound=True)
    assert extract_video(video, encoders, tmp_path / "f") and not extract_video(video, encoders, tmp_path / "f")
    (tmp_path / "f" / "loudness" / "a.npy").unlink()
    assert extract_video(video, encoders, tmp_path / "f")
    assert (tmp_path / "f" / "loudness" / "a.npy").is_file()


def test_a_video_without_sound_gets_zeros(tmp_path):
    silent = write_video(tmp_path / "s.mp4", ["red"] * 6)
    extract_video(silent, colour_encoders(with_sound=True), tmp_path / "f", "float32")
    sound = np.load(tmp_path / "f" / "loudness" / "s.npy")
    assert sound.dtype == np.float32 and sound.shape == (3, 1) and not sound.any()


def test_without_an_ear_there_is_no_sound_file(video, tmp_path):
    extract_video(video, colour_encoders(), tmp_path / "f")
    assert {p.name for p in (tmp_path / "f").iterdir()} == {"colour"}


def test_a_failed_video_leaves_nothing(tmp_path):
    (tmp_path / "v.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"v\.mp4"):
        extract_video(tmp_path / "v.mp4", colour_encoders(with_sound=True), tmp_path / "f")
    assert not [p for p in (tmp_path / "f").rglob("*") if p.is_file()]


def test_queries_have_a_file_each_and_are_encoded_once(tmp_path, monkeypatch):
    encoders, asked = colour_encoders(with_sound=True), []
    encode = encoders.text.encode
    monkeypatch.setattr(encoders.text, "encode", lambda texts: (asked.extend(texts), encode(texts))[1])
    labels = [dict(qid=1, query="red dog"), dict(qid="x2", query="blue"), dict(qid=3, query="red dog")]
    assert extract_queries(labels, encoders, tmp_path) == 3 and asked == ["red dog", "blue"]
    with np.load(tmp_path / "words" / "qid3.npz") as stored:
        assert stored["last_hidden_state"].shape == (2, 3) and stored["pooler_output"].shape == (3,)
        np.testing.assert_allclose(stored["last_hidden_state"][0], np.array(COLOURS["red"]) / 255, atol=1e-3)
    assert read_matrix(tmp_path / "words" / "qidx2.npz", "last_hidden_state").shape == (1, 3)
    (tmp_path / "words" / "qid1.npz").unlink()
    assert extract_queries(labels, encoders, tmp_path) == 1


def test_videos_are_found_in_folders_by_name_and_files_taken_as_given(tmp_path):
    for name in ("b.MP4", "a.mkv", "notes.txt", "sub/c.mp4", "d.data"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_videos([tmp_path, tmp_path / "d.data"])
    assert [p.name for p in found] == ["a.mkv", "b.MP4", "d.data"]


@pytest.mark.parametrize("given, message", [
    (["none.mp4"], "none.mp4: no such file"), (["empty"], "empty: no video file"),
    (["a.mp4", "other/a.mkv"], "have one name")])
def test_what_cannot_be_extracted_is_named(tmp_path, given, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "a.mp4").touch()
    (tmp_path / "other" / "a.mkv").touch()
    with pytest.raises(InputError, match=message):
        find_videos([tmp_path / name for name in given])


def test_the_same_file_given_twice_is_one(tmp_path):
    (tmp_path / "a.mp4").touch()
    assert len(find_videos([tmp_path / "a.mp4", tmp_path / "a.mp4"])) == 1
