"""Feature extraction: finding videos, feature files, shards, resumption, and queries."""

import errno

import numpy as np
import pytest

from common.errors import InputError
from common.files import atomic_path
from datasets.features.folder import read_matrix
from pipelines.features import extract, provenance
from pipelines.features.encode import encode_video
from pipelines.features.extract import (
    VideoExtraction,
    extract_queries,
    extract_videos,
    find_videos,
    parse_shard,
    take_shard,
)
from pipelines.features.provenance import DAMAGED, NEW, TEXT_CHANGED, UNKNOWN, Source
from tests.pipelines.fakes import COLORS, color_encoders, write_video


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "a.mp4", ["red"] * 4 + ["blue"] * 4, loud_s=[1])


def extract_video(path, encoders, out, dtype="float16"):
    """Extract a video; return True if files were written."""
    return VideoExtraction(encoders, out, dtype).extract(path) is not None


def reasons(report):
    """Return the reason for each file that an extraction wrote."""
    return {name: written.reason for name, written in report.written.items()}


def test_files_contain_the_features_of_the_pipeline(video, tmp_path):
    encoders = color_encoders(with_audio=True)
    assert extract_video(video, encoders, tmp_path / "f")
    video_features = encode_video(video, encoders, progress=False)
    stored = np.load(tmp_path / "f" / "color" / "a.npz")["features"]
    assert stored.dtype == np.float16
    assert stored.shape == (4, 3)
    np.testing.assert_array_equal(stored, video_features.visual["color"].astype(np.float16))
    audio = np.load(tmp_path / "f" / "loudness" / "a.npy")
    assert audio.dtype == np.float16
    assert audio.shape == (4, 1)
    assert audio[0] > 0
    assert not audio[2:].any()


def test_existing_files_are_skipped_and_missing_ones_created(video, tmp_path):
    encoders = color_encoders(with_audio=True)
    assert extract_video(video, encoders, tmp_path / "f")
    assert not extract_video(video, encoders, tmp_path / "f")
    (tmp_path / "f" / "loudness" / "a.npy").unlink()
    assert extract_video(video, encoders, tmp_path / "f")
    assert (tmp_path / "f" / "loudness" / "a.npy").is_file()


def test_a_video_without_audio_gets_zeros(tmp_path):
    silent = write_video(tmp_path / "s.mp4", ["red"] * 6)
    extract_video(silent, color_encoders(with_audio=True), tmp_path / "f", "float32")
    audio = np.load(tmp_path / "f" / "loudness" / "s.npy")
    assert audio.dtype == np.float32
    assert audio.shape == (3, 1)
    assert not audio.any()


def test_existing_audio_features_are_not_replaced_by_zeros(tmp_path):
    silent = write_video(tmp_path / "s.mp4", ["red"] * 6)
    (tmp_path / "f/loudness").mkdir(parents=True)
    np.save(tmp_path / "f/loudness/s.npy", np.full((3, 1), 0.5, np.float32))
    assert extract_video(silent, color_encoders(with_audio=True), tmp_path / "f")
    np.testing.assert_array_equal(np.load(tmp_path / "f/loudness/s.npy"), np.full((3, 1), 0.5))
    assert np.load(tmp_path / "f/color/s.npz")["features"].shape == (3, 3)
    for other in (np.full((3, 2), 0.5), np.zeros((9, 1))):   # Of another width; zeros of another length.
        np.save(tmp_path / "f/loudness/s.npy", other)
        extract_video(silent, color_encoders(with_audio=True), tmp_path / "f")
        np.testing.assert_array_equal(np.load(tmp_path / "f/loudness/s.npy"), np.zeros((3, 1)))


def test_without_an_audio_encoder_there_is_no_audio_file(video, tmp_path):
    extract_video(video, color_encoders(), tmp_path / "f")
    assert {p.name for p in (tmp_path / "f").iterdir()} == {"color"}


def test_a_failed_video_leaves_no_files(tmp_path):
    (tmp_path / "v.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"v\.mp4"):
        extract_video(tmp_path / "v.mp4", color_encoders(with_audio=True), tmp_path / "f")
    assert not [p for p in (tmp_path / "f").rglob("*") if p.is_file()]


@pytest.mark.parametrize("kind", ["truncated", "half", "empty", "text", "narrow", "longer", "no rows"])
@pytest.mark.parametrize("part", ["color/a.npz", "loudness/a.npy"])
def test_damaged_files_are_replaced(video, tmp_path, part, kind):
    encoders, file = color_encoders(with_audio=True), tmp_path / "f" / part
    extract_video(video, encoders, tmp_path / "f")
    extraction = VideoExtraction(encoders, tmp_path / "f")
    assert extraction.outdated(Source(video)) == {}
    data = file.read_bytes()
    shape = dict(narrow=(4, 2), longer=(5, 3 if "color" in part else 1)).get(kind, (0, 3 if "color" in part else 1))
    if kind in ("narrow", "longer", "no rows"):
        np.savez(file, features=np.ones(shape)) if file.suffix == ".npz" else np.save(file, np.ones(shape))
    else:
        file.write_bytes({"truncated": data[:-1], "half": data[:len(data) // 2], "empty": b"", "text": b"hello"}[kind])
    assert list(extraction.outdated(Source(video))) == [file.parent.name]
    assert extract_video(video, encoders, tmp_path / "f")
    assert file.read_bytes() == data


def test_leftovers_of_a_killed_run_are_removed(video, tmp_path):
    folder = tmp_path / "f" / "color"
    folder.mkdir(parents=True)
    for name in (".a.unfinished-x1y2z3_w.npz", f".{'b' * 40}.unfinished-x1y2z3_w.npz", ".a.npz", ".a.settings.npz"):
        (folder / name).touch()
    with atomic_path(folder / "c.npz") as living:
        extract_video(video, color_encoders(), tmp_path / "f")
        assert sorted(p.name for p in folder.iterdir()) == sorted([".a.npz", ".a.settings.npz", "a.npz", living.name])


def test_leftovers_of_queries_are_removed(tmp_path):
    (tmp_path / "color_text").mkdir()
    (tmp_path / "color_text/.qid1.unfinished-x1y2z3_w.npz").touch()
    extract_queries([dict(qid=1, query="red")], color_encoders(), tmp_path)
    assert [p.name for p in (tmp_path / "color_text").iterdir()] == ["qid1.npz"]


def test_a_video_that_fails_does_not_stop_the_others(video, tmp_path, monkeypatch):
    bad, odd = tmp_path / "bad.mp4", tmp_path / "odd.mp4"
    bad.write_text("no video")
    odd.write_bytes(video.read_bytes())
    real = extract.encode_video
    monkeypatch.setattr(extract, "encode_video", lambda path, *a, **k: 1 / 0 if path == odd else real(path, *a, **k))
    reported = []
    result = extract_videos([bad, odd, tmp_path / "none.mp4", video], color_encoders(), tmp_path / "f",
                            report=reported.append)
    failed = result.failed
    assert reasons(result) == {"a.mp4": NEW}
    assert list(failed) == [bad, odd, tmp_path / "none.mp4"]
    assert reported == [*failed, video]
    assert "is not a readable video" in failed[bad]
    assert "ZeroDivisionError" in failed[odd]
    assert "no such file" in failed[tmp_path / "none.mp4"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_full_disk_stops_the_extraction(video, tmp_path, monkeypatch, wrapped):
    def full(*_args, **_keys):
        raise OSError(errno.ENOSPC, "No space left on device")

    def full_folder(*_args):
        try:
            full()
        except OSError as err:
            raise InputError(None, "cannot write") from err

    monkeypatch.setattr(*((provenance, "atomic_path", full_folder) if wrapped else (np, "savez_compressed", full)))
    message = r"cannot be written \(No space left on device\); free some space and run the command again"
    with pytest.raises(InputError, match=message):
        extract_videos([video, video], color_encoders(), tmp_path / "f")
    assert not [p for p in (tmp_path / "f").rglob("*") if p.is_file()]


def test_shards_are_disjoint_and_complete():
    items = list(range(11))
    shards = [take_shard(items, parse_shard(f"{i}/4")) for i in range(1, 5)]
    assert sorted(i for shard in shards for i in shard) == items
    assert {len(shard) for shard in shards} == {2, 3}
    for text in ("0/4", "5/4", "1", "a/2", "1/", "-1/2", "1/0"):
        with pytest.raises(InputError, match=f"--shard {text} is not a shard; give I/N"):
            parse_shard(text)


def test_patterns_and_lists(tmp_path, monkeypatch):
    for name in ("b.mp4", "deep/er/a.mkv", "deep/er/a.srt", "odd [1].mp4", "c.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [p.name for p in find_videos([tmp_path / "**/*"])] == ["b.mp4", "c.mp4", "a.mkv", "odd [1].mp4"]
    assert find_videos([tmp_path / "odd [1].mp4"]) == [tmp_path / "odd [1].mp4"]
    (tmp_path / "list.txt").write_text("# mine\nb.mp4\n\n  deep/er/a.mkv\r\ngone.mp4\n", encoding="utf-8-sig")
    found = find_videos([tmp_path / "list.txt", tmp_path / "c.mp4"])
    assert found == [tmp_path / name for name in ("b.mp4", "deep/er/a.mkv", "gone.mp4", "c.mp4")]
    monkeypatch.chdir(tmp_path / "deep")
    (tmp_path / "list.txt").write_text("er/a.mkv\n")
    assert [str(p) for p in find_videos([tmp_path / "list.txt"])] == ["er/a.mkv"]
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    for given, message in (("list.txt", "is not a readable list"), ("*.avi", "this pattern matches no video file")):
        with pytest.raises(InputError, match=message):
            find_videos([tmp_path / given])
    (tmp_path / "list.txt").write_text("#\n\n")
    with pytest.raises(InputError, match="lists no video"):
        find_videos([tmp_path / "list.txt"])


def test_equal_queries_are_encoded_once(tmp_path, monkeypatch):
    encoders, encoded = color_encoders(with_audio=True), []
    encode = encoders.text.encode
    monkeypatch.setattr(encoders.text, "encode", lambda texts: (encoded.extend(texts), encode(texts))[1])
    labels = [dict(qid=1, query="red dog"), dict(qid="x2", query="blue"), dict(qid=3, query="red dog")]
    assert reasons(extract_queries(labels, encoders, tmp_path)) == dict(qid1=NEW, qidx2=NEW, qid3=NEW)
    assert encoded == ["red dog", "blue"]
    with np.load(tmp_path / "color_text" / "qid3.npz") as stored:
        assert stored["last_hidden_state"].shape == (2, 3)
        assert stored["pooler_output"].shape == (3,)
        np.testing.assert_allclose(stored["last_hidden_state"][0], np.array(COLORS["red"]) / 255, atol=1e-3)
    assert read_matrix(tmp_path / "color_text" / "qidx2.npz", "last_hidden_state").shape == (1, 3)
    (tmp_path / "color_text" / "qid1.npz").unlink()
    (tmp_path / "color_text" / "qidx2.npz").write_bytes(b"PK")
    assert reasons(extract_queries(labels, encoders, tmp_path)) == dict(qid1=NEW, qidx2=DAMAGED)
    report = extract_queries(labels, encoders, tmp_path)
    assert (report.written, report.n_kept) == ({}, 3)


def test_features_of_renumbered_queries_are_replaced(tmp_path):
    """Query numbers are line numbers of a table, so an inserted line changes all later ones."""
    encoders = color_encoders()
    before = [dict(qid=1, query="red"), dict(qid=2, query="blue "), dict(qid=3, query="blue ")]
    assert len(extract_queries(before, encoders, tmp_path).written) == 3
    stamp = (tmp_path / "color_text/qid3.npz").stat().st_mtime_ns
    after = [dict(qid=1, query="green"), dict(qid=2, query="red"), dict(qid=3, query="blue "),
             dict(qid=4, query="blue ")]
    report = extract_queries(after, encoders, tmp_path)
    assert reasons(report) == dict(qid1=TEXT_CHANGED, qid2=TEXT_CHANGED, qid4=NEW)
    assert report.notes() == ["computed again, since their text has changed: 2 (qid1, qid2)"]
    assert extract_queries(after, encoders, tmp_path).written == {}
    for label in after:
        with np.load(tmp_path / f"color_text/qid{label['qid']}.npz") as stored:
            expected = np.array(COLORS[label["query"].strip()]) / 255
            np.testing.assert_allclose(stored["pooler_output"], expected, atol=1e-3)
            assert str(stored["text"]) == label["query"]
    assert (tmp_path / "color_text/qid3.npz").stat().st_mtime_ns == stamp


def test_text_features_of_another_program_are_moved_or_kept(tmp_path):
    folder, labels = tmp_path / "color_text", [dict(qid=1, query="red")]
    folder.mkdir()
    np.savez(folder / "qid1.npz", last_hidden_state=np.ones((2, 3)), pooler_output=np.ones(3))
    other = (folder / "qid1.npz").read_bytes()
    assert extract_queries(labels, color_encoders(), tmp_path, keep_unverified=True).n_kept == 1
    assert (folder / "qid1.npz").read_bytes() == other
    report = extract_queries(labels, color_encoders(), tmp_path)
    assert reasons(report) == dict(qid1=UNKNOWN)
    assert (folder / "replaced/qid1.npz").read_bytes() == other
    np.testing.assert_allclose(np.load(folder / "qid1.npz")["pooler_output"], np.array(COLORS["red"]) / 255, atol=1e-3)
    np.savez(folder / "qid1.npz", last_hidden_state=np.ones((2, 3)))
    report = extract_queries(labels, color_encoders(), tmp_path, keep_unverified=True)
    assert reasons(report) == dict(qid1=DAMAGED)
    assert sorted(path.name for path in (folder / "replaced").iterdir()) == ["qid1.npz", "qid1_1.npz"]


def test_text_features_of_an_earlier_version_are_computed_again_without_a_copy(tmp_path):
    (tmp_path / "color_text").mkdir()
    np.savez(tmp_path / "color_text/qid1.npz", last_hidden_state=np.ones((1, 3)), pooler_output=np.ones(3), text="red")
    assert reasons(extract_queries([dict(qid=1, query="red")], color_encoders(), tmp_path)) == dict(qid1=UNKNOWN)
    assert [path.name for path in (tmp_path / "color_text").iterdir()] == ["qid1.npz"]


def test_one_qid_with_two_queries_is_rejected_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="qid 1 has two queries, 'red' and 'blue'"):
        labels = [dict(qid=1, query="red"), dict(qid=1, query="red"), dict(qid="1", query="blue")]
        extract_queries(labels, color_encoders(), tmp_path)
    assert not list(tmp_path.rglob("*.npz"))


def test_folders_are_searched_by_suffix_and_files_are_used_as_given(tmp_path):
    for name in ("b.MP4", "a.mkv", "notes.txt", "sub/c.mp4", "d.data"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_videos([tmp_path, tmp_path / "d.data"])
    assert [p.name for p in found] == ["a.mkv", "b.MP4", "d.data"]


@pytest.mark.parametrize("given, message", [
    (["none.mp4"], "none.mp4: no such file"), (["empty"], "empty: contains no video file; video files end in .3gp"),
    (["a.mp4", "other/a.mkv"], "has the same name as .*, so they would share a feature file; rename one")])
def test_invalid_inputs(tmp_path, given, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "a.mp4").touch()
    (tmp_path / "other" / "a.mkv").touch()
    with pytest.raises(InputError, match=message):
        find_videos([tmp_path / name for name in given])


def test_a_file_given_twice_is_used_once(tmp_path):
    (tmp_path / "a.mp4").touch()
    assert len(find_videos([tmp_path / "a.mp4", tmp_path / "a.mp4"])) == 1
