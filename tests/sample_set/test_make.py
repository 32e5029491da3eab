"""Generation of the sample set: complete, reproducible, resumable, and safe for other files."""

import json
import shutil
from dataclasses import asdict, replace

import av
import pytest

from common.errors import InputError
from pipelines.media.subtitles import read_subtitles
from sample_set import make
from sample_set.make import make_sample
from sample_set.plan import draw_scripts


def content(folder) -> dict[str, bytes]:
    """Return the bytes of each file in a folder and its subfolders."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_set_is_complete(tiny_set, tiny):
    assert sorted(path.name for path in tiny_set.iterdir()) == [
        "README.md", "sample.json", "subtitles", "test.jsonl", "train.jsonl", "val.jsonl", "videos"]
    assert [path.name for path in tiny_set.parent.iterdir()] == ["set"]     # No temporary folder is left.
    stamp = json.loads((tiny_set / "sample.json").read_text())
    assert stamp["setting"] == asdict(tiny)
    assert stamp["finished"]
    for script in draw_scripts(tiny):
        with av.open(str(tiny_set / "videos" / f"{script.vid}.mp4")) as container:
            stream = container.streams.video[0]
            assert stream.frames == script.n_frames
            assert stream.average_rate == tiny.fps
            assert (stream.width, stream.height) == (160, 90)
            assert 20 <= stream.duration * stream.time_base <= 24
        cues = read_subtitles(tiny_set / "subtitles" / f"{script.vid}.srt")
        assert [(cue.start_s, cue.end_s, cue.text) for cue in cues] == [
            (remark.start_s, remark.end_s, remark.text) for remark in script.remarks]


def test_splits_share_no_video_and_label_existing_videos(tiny_set):
    lines = {split: [json.loads(line) for line in (tiny_set / f"{split}.jsonl").read_text().splitlines()]
             for split in ("train", "val", "test")}
    vids = [{line["vid"] for line in own} for own in lines.values()]
    assert vids == [{"sample_000"}, {"sample_001"}, {"sample_002"}]
    assert len({line["qid"] for own in lines.values() for line in own}) == sum(map(len, lines.values()))
    assert {len(own) for own in (lines["val"], lines["test"])} <= {3, 4}
    for line in (line for own in lines.values() for line in own):
        with av.open(str(tiny_set / "videos" / f"{line['vid']}.mp4")) as container:
            assert line["duration"] == container.streams.video[0].frames / 8


def test_readme_describes_the_set_and_credits_the_photographs(tiny_set):
    text = (tiny_set / "README.md").read_text()
    for stated in ("Made up", "seed 3, videos 3", "CC BY 2.0"):
        assert stated in text
    for photo in make.PHOTOS.values():
        assert photo.file in text
        assert photo.terms in text


@pytest.mark.slow
def test_equal_settings_give_equal_bytes_with_any_number_of_workers(tiny_set, tiny, tmp_path):
    assert make_sample(tmp_path / "set", tiny, workers=2, progress=False)
    assert content(tmp_path / "set") == content(tiny_set)


def test_a_finished_set_is_unchanged(tiny_set, tiny, monkeypatch):
    before = content(tiny_set)
    monkeypatch.setattr(make, "write_video", None)           # Would fail if it were called.
    assert make_sample(tiny_set, tiny, progress=False) is False
    assert content(tiny_set) == before


def test_another_setting_needs_force(tiny_set, tiny):
    with pytest.raises(InputError, match="contains a set with seed 3, but 4 is requested; replace it with --force"):
        make_sample(tiny_set, replace(tiny, seed=4), progress=False)


def test_force_generates_the_set_again(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(make, "write_video", lambda script, setting, path: path.write_bytes(b"video"))
    assert make_sample(tmp_path / "set", tiny, workers=1, progress=False)
    first = content(tmp_path / "set")
    assert make_sample(tmp_path / "set", replace(tiny, seed=4), workers=1, force=True, progress=False)
    second = content(tmp_path / "set")
    assert set(first) == set(second)
    assert first["train.jsonl"] != second["train.jsonl"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_folder_with_other_files_is_never_changed(tiny, tmp_path):
    (tmp_path / "thesis.txt").write_text("chapter 1")
    for force in (False, True):
        with pytest.raises(InputError, match="exists and is not a sample set"):
            make_sample(tmp_path, tiny, force=force, progress=False)
    with pytest.raises(InputError, match="is not a sample set"):
        make_sample(tmp_path / "thesis.txt", tiny, progress=False)
    assert content(tmp_path) == {"thesis.txt": b"chapter 1"}


def test_an_interrupted_run_is_resumed(tiny, tmp_path, monkeypatch):
    rendered = []

    def render(script, setting, path):
        if len(rendered) == 2:
            path.write_bytes(b"half a vi")
            raise KeyboardInterrupt
        rendered.append(script.vid)
        path.write_bytes(b"video")

    def require(path):
        if not path.is_file():
            raise InputError(path, "no such file")

    monkeypatch.setattr(make, "probe", require)
    monkeypatch.setattr(make, "write_video", render)
    with pytest.raises(KeyboardInterrupt):
        make_sample(tmp_path / "set", tiny, workers=1, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [".set.partial"]
    assert sorted(path.name for path in (tmp_path / ".set.partial" / "videos").iterdir()) == [
        "sample_000.mp4", "sample_001.mp4"]
    monkeypatch.setattr(make, "write_video", lambda script, setting, path: path.write_bytes(b"rest"))
    assert make_sample(tmp_path / "set", tiny, workers=1, progress=False)
    videos = [(tmp_path / "set" / "videos" / f"sample_00{i}.mp4").read_bytes() for i in range(3)]
    assert videos == [b"video", b"video", b"rest"]


def test_an_interrupted_run_of_another_setting_is_discarded(tiny, tmp_path, monkeypatch):
    def interrupt(script, setting, path):
        raise KeyboardInterrupt

    monkeypatch.setattr(make, "write_video", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_sample(tmp_path / "set", replace(tiny, seed=9), workers=1, progress=False)
    (tmp_path / ".set.partial" / "videos" / "sample_000.mp4").write_bytes(b"other")
    monkeypatch.setattr(make, "write_video", lambda script, setting, path: path.write_bytes(b"video"))
    assert make_sample(tmp_path / "set", tiny, workers=1, progress=False)
    assert (tmp_path / "set" / "videos" / "sample_000.mp4").read_bytes() == b"video"


@pytest.mark.parametrize(("changes", "message"), [
    pytest.param(dict(videos=2), "videos 2 is not an integer from 3 to 9999", id="too-few-videos"),
    pytest.param(dict(videos=3.0), r"videos 3\.0 is not an integer", id="not-an-integer"),
    pytest.param(dict(seed=-1), "seed -1 is not an integer from 0", id="negative-seed"),
    pytest.param(dict(min_duration_s=10), "min_duration_s 10 is not an integer from 20", id="too-short"),
    pytest.param(dict(min_duration_s=30, max_duration_s=24), "min_duration_s 30 is more than max_duration_s 24",
                 id="swapped-durations"),
    pytest.param(dict(min_duration_s=21, max_duration_s=21), "no multiple of 2 s is between 21 and 21 s",
                 id="no-multiple-of-a-clip"),
    pytest.param(dict(width_px=161), "size 161x90 is odd", id="odd-size"),
    pytest.param(dict(width_px=80), "give a width of 1 to 3 times the height", id="portrait"),
    pytest.param(dict(fps=0), "fps 0 is not an integer from 2", id="no-frames"),
])
def test_bad_settings_are_input_errors(tiny, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        make_sample(tmp_path / "set", replace(tiny, **changes), progress=False)
    assert list(tmp_path.iterdir()) == []


def test_bad_workers(tiny, tmp_path):
    with pytest.raises(InputError, match="workers 0 is less than 1"):
        make_sample(tmp_path / "set", tiny, workers=0)


def test_missing_and_unreadable_files_of_a_finished_set_are_generated_again(tiny_set, tiny, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(tiny_set, folder)
    (folder / "videos/sample_000.mp4").unlink()
    (folder / "videos/sample_001.mp4").write_bytes((folder / "videos/sample_001.mp4").read_bytes()[:100])
    (folder / "subtitles/sample_002.srt").unlink()
    (folder / "val.jsonl").unlink()
    (folder / "features").mkdir()
    assert make_sample(folder, tiny, workers=1, progress=False)
    assert content(folder) == content(tiny_set)
    assert (folder / "features").is_dir()
    assert make_sample(folder, tiny, workers=1, progress=False) is False


def test_a_damaged_video_of_an_interrupted_run_is_rendered_again(tiny_set, tiny, tmp_path):
    partial = tmp_path / ".set.partial"
    shutil.copytree(tiny_set, partial)
    (partial / "videos/sample_001.mp4").write_bytes(b"")
    assert make_sample(tmp_path / "set", tiny, workers=1, progress=False)
    assert content(tmp_path / "set") == content(tiny_set)
