"""Test the outputs of tools/summarize.py: modes, copies, subtitles, edit lists, several videos, and JSON lines."""

import csv
import json
import os
import shutil
import signal
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.editing.copyability import NotCopyableError
from pipelines.editing.stream_copy import CopyingMp4Writer
from pipelines.media.probe import probe
from pipelines.media.subtitles import Cue, embedded_subtitles, read_subtitles
from tests.media import noisy_frame, write_subtitled_video
from tests.media import write_video as write_small_video
from tests.pipelines.fakes import write_video
from tools.summarize import main

TALK = ("1\n00:00:19,000 --> 00:00:21,500\nHere it comes.\n\n2\n00:00:27,000 --> 00:00:28,500\nGone.\n\n"
        "3\n00:00:35,000 --> 00:00:36,000\nBye.\n")


def names(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def load(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


@pytest.mark.usefixtures("fast_encoders")
def test_a_budget_in_seconds(media, tmp_path):
    assert main([str(media / "valid.mp4"), "--text", "red", "--budget", "4s", "--out", str(tmp_path)]) == 0
    assert probe(tmp_path / "summary.mp4").duration_s == 4
    assert load(tmp_path)["budget"] == 0.1
    assert load(tmp_path)["kept"] == 4
    timings_s = load(tmp_path)["timings_s"]
    assert list(timings_s) == ["encode", "score", "borders", "cut", "report"]
    assert min(timings_s.values()) > 0


@pytest.mark.usefixtures("fast_encoders")
def test_moments_are_complete(media, tmp_path):
    args = ["--text", "red", "--mode", "moments", "--budget", "25%", "--out", str(tmp_path)]
    assert main([str(media / "valid.mp4"), *args]) == 0
    found = load(tmp_path)
    assert found["summary"] == [dict(frame=[200, 279], timestamps=["00:00:20.000", "00:00:28.000"])]
    assert found["pieces"][0] == dict(file="summary.mp4", start=20, end=28, cut_start=0,
                                      score=found["pieces"][0]["score"], text="red")
    assert found["mode"] == "moments"


@pytest.mark.usefixtures("fast_encoders")
def test_every_short_is_a_file_and_the_best_is_first(media, tmp_path, capsys):
    (tmp_path / "talk.srt").write_text(TALK)
    args = [str(media / "valid.mp4"), "--text", "red", "--mode", "shorts", "--count", "2", "--length", "6-16",
            "--subtitles", str(tmp_path / "talk.srt"), "--out", str(tmp_path / "out")]
    assert main(args) == 0
    found = load(tmp_path / "out")
    assert found["pieces"][0]["file"] == "short-1.mp4"
    # The best short contains the complete red shot and complete subtitle lines.
    assert (found["pieces"][0]["start"], found["pieces"][0]["end"]) == (19, 28.5)
    assert found["pieces"][0]["score"] > found["pieces"][1]["score"]
    for piece in found["pieces"]:
        length_s = piece["end"] - piece["start"]
        assert 6 <= length_s <= 16
        assert float(probe(tmp_path / "out" / piece["file"]).duration_s) == pytest.approx(length_s, abs=0.01)
    assert read_subtitles(tmp_path / "out/short-1.srt") == [Cue(0, 2.5, "Here it comes."), Cue(8, 9.5, "Gone.")]
    assert names(tmp_path / "out") == {*found["files"]}
    assert {*found["files"]} >= {"short-1.mp4", "short-2.mp4", "short-1.srt", "report.html", "summary.json"}
    assert "short-2.mp4" in capsys.readouterr().out


@pytest.mark.usefixtures("fast_encoders")
def test_files_of_an_earlier_run_are_removed_and_those_of_the_user_are_kept(media, tmp_path):
    video, out = str(media / "valid.mp4"), ["--text", "red", "--out", str(tmp_path)]
    assert main([video, *out, "--mode", "shorts", "--count", "2", "--length", "6-16"]) == 0
    (tmp_path / "short-9.mp4").write_text("my own")
    (tmp_path / "summary.txt").write_text("my own")
    assert main([video, *out, "--export", "csv"]) == 0
    assert names(tmp_path) == {"summary.mp4", "summary.json", "report.html", "summary.csv", "short-9.mp4",
                               "summary.txt"}
    (tmp_path / "summary.json").write_text('{"files": ["../x.mp4", "summary.txt", 3, "short-9.mp4/", "summary.csv"]}')
    assert main([video, *out]) == 0
    assert names(tmp_path) == {"summary.mp4", "summary.json", "report.html", "short-9.mp4"}


@pytest.mark.usefixtures("fast_encoders")
def test_copies_report_the_pieces_that_they_contain(media, tmp_path, capsys):
    assert main([str(media / "valid.mp4"), "--text", "red", "--budget", "4s", "--copy", "--out", str(tmp_path)]) == 0
    found = load(tmp_path)
    (piece,) = found["pieces"]
    # The video's only key frame is its first frame.
    assert found["copied"]
    assert piece["start"] == 0
    assert piece["end"] >= 24
    assert probe(tmp_path / "summary.mp4").duration_s == pytest.approx(piece["end"], abs=0.01)
    assert found["summary"][0]["frame"] == [0, round(piece["end"] * 10) - 1]
    assert ", copied from key frames (scored by: " in capsys.readouterr().out
    assert "pieces start at key frames" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("fast_encoders")
def test_copied_shorts_have_valid_lengths_and_do_not_overlap(tmp_path, capsys):
    def render(index, size):
        color = (220, 30, 30) if index // 70 % 2 else (120, 120, 120 + index // 10)
        return np.full((size[1], size[0], 3), color, np.uint8)

    path = write_small_video(tmp_path / "a.mp4", 600, fps=10, render=render,
                             options=dict(g="80", bf="2", sc_threshold="0", preset="ultrafast"))
    args = ["--text", "red", "--mode", "shorts", "--copy", "--length", "6-12", "--out", str(tmp_path / "out")]
    assert main([str(path), *args, "--count", "9"]) == 0
    found = load(tmp_path / "out")
    spans = sorted((piece["start"], piece["end"]) for piece in found["pieces"])
    assert all(6 <= b - a <= 12 and a % 8 == 0 for a, b in spans)
    assert all(b <= a for (_, b), (a, _) in zip(spans, spans[1:], strict=False))
    assert found["shorts"] == dict(asked=9, found=len(spans))
    assert 3 <= len(spans) < 9
    note = f"found {len(spans)} of 9 shorts; there is no room for another piece of 6-12 s"
    report = (tmp_path / "out/report.html").read_text()
    assert note in capsys.readouterr().out
    assert note in report
    assert "from key frames; they may start or end inside a shot or a word" in report
    assert "speech pauses" not in report


@pytest.mark.slow
@pytest.mark.usefixtures("fast_encoders")
def test_copied_shorts_without_suitable_key_frames_are_reencoded_or_an_error(media, tmp_path, capsys):
    args = ["--text", "red", "--mode", "shorts", "--length", "6-12", "--count", "1", "--out", str(tmp_path / "out")]
    # The video's only key frame is its first frame.
    message = "valid.mp4: its key frames are too far apart to copy shorts of 6-12 s; "
    assert main([str(media / "valid.mp4"), "--copy=always", *args]) == 2
    assert message + "leave out --copy" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["--copy", str(media / "valid.mp4"), *args]) == 0
    assert message + "it is re-encoded instead" in capsys.readouterr().err
    assert (load(tmp_path / "out")["copied"], load(tmp_path / "out")["pieces"][0]["file"]) == (False, "short-1.mp4")


@pytest.mark.usefixtures("fast_encoders")
def test_a_video_that_cannot_be_copied_is_reencoded(tmp_path, capsys):
    video, out = write_small_video(tmp_path / "a.webm", 50, codec="libvpx", options={}), tmp_path / "out"
    args = [str(video), "--text", "red", "--budget", "100%", "--out", str(out)]
    obstacle = "its video codec (vp8) cannot be copied to an mp4, only h264, hevc, av1, vp9, mpeg4 can"
    assert main([*args, "--copy=always"]) == 2
    assert capsys.readouterr().err == f"error: {video}: {obstacle}; leave out --copy\n"
    assert not out.exists()
    assert main([*args, "--copy", "--json"]) == 0
    printed = capsys.readouterr()
    assert [line for line in printed.err.splitlines() if "cop" in line] == [
        f"a.webm: {obstacle}; it is re-encoded instead"]
    line, found = json.loads(printed.out), load(out)
    for contents in (line, found):
        assert (contents["copied"], contents["copy_obstacle"]) == (False, obstacle)
    assert probe(out / "summary.mp4").codec == "h264"
    assert probe(out / "summary.mp4").n_frames == 50
    assert f"not copied: {obstacle}" in (out / "report.html").read_text()
    assert main([*args, "--copy", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(args) == 0
    assert load(out)["copy_obstacle"] is None


@pytest.mark.usefixtures("fast_encoders")
def test_a_video_that_the_muxer_rejects_is_reencoded(media, tmp_path, capsys, monkeypatch):
    def fail(*args):
        raise NotCopyableError(media / "valid.mp4", "its cut could not be written", "leave out --copy")

    monkeypatch.setattr(CopyingMp4Writer, "copy", fail)
    args = [str(media / "valid.mp4"), "--text", "red", "--budget", "4s", "--out", str(tmp_path / "out")]
    assert main([*args, "--copy=always"]) == 2
    assert not (tmp_path / "out").exists()
    capsys.readouterr()
    assert main([*args, "--copy"]) == 0
    assert capsys.readouterr().err.count("its cut could not be written; it is re-encoded instead") == 1
    found = load(tmp_path / "out")
    assert (found["copied"], found["copy_obstacle"]) == (False, "its cut could not be written")
    assert probe(tmp_path / "out/summary.mp4").duration_s == pytest.approx(found["kept"], abs=0.01)


@pytest.mark.parametrize("option", ["--copy=never", "--copy="])
def test_an_unknown_copy_mode_is_rejected(option, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["a.mp4", option, "--out", "out"])
    assert stopped.value.code == 2
    value = option.partition("=")[2]
    assert f"error: --copy: {value!r} is not a valid choice; choose auto or always\n" in capsys.readouterr().err


@pytest.mark.usefixtures("fast_encoders")
def test_edit_lists(media, tmp_path):
    args = ["--text", "red", "--budget", "4s", "--export", "csv, EDL,otio", "--out", str(tmp_path)]
    assert main([str(media / "valid.mp4"), *args]) == 0
    (piece,), (row,) = load(tmp_path)["pieces"], csv.DictReader((tmp_path / "summary.csv").open(newline=""))
    assert float(row["start_s"]) == piece["start"]
    assert row["text"] == "red"
    assert row["file"] == "summary.mp4"
    assert "FROM CLIP NAME: valid.mp4" in (tmp_path / "summary.edl").read_text()
    assert json.loads((tmp_path / "summary.otio").read_text())["OTIO_SCHEMA"].startswith("Timeline")


@pytest.mark.usefixtures("fast_encoders")
def test_embedded_subtitles_are_cut_with_the_video(tmp_path):
    path = write_subtitled_video(tmp_path / "a.mkv", [(0, 400, "one"), (500, 1500, "two")], n_frames=100)
    assert main([str(path), "--budget", "1", "--out", str(tmp_path / "out")]) == 0
    assert embedded_subtitles(tmp_path / "out/summary.mp4") == [Cue(0, 0.4, "one"), Cue(0.5, 1.5, "two")]
    assert [c.text for c in read_subtitles(tmp_path / "out/summary.srt")] == ["one", "two"]
    assert load(tmp_path / "out")["subtitles"] == 2


@pytest.mark.usefixtures("fast_encoders")
def test_chapters_have_the_query_as_their_title(media, tmp_path):
    assert main([str(media / "valid.mp4"), "--text", "red", "--budget", "4s", "--out", str(tmp_path)]) == 0
    with av.open(str(tmp_path / "summary.mp4")) as container:
        (chapter,) = container.chapters()
    assert chapter["metadata"]["title"].startswith("red (0:2")


@pytest.fixture
def several_videos(media, tmp_path):
    """Return the paths of two valid videos and, between them, an invalid one."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.mp4", "-b c.mp4", "bad.mp4"):
        shutil.copy(media / ("text.mp4" if name == "bad.mp4" else "valid.mp4"), folder / name)
    return [str(folder / name) for name in ("a.mp4", "bad.mp4", "-b c.mp4")]


@pytest.mark.usefixtures("fast_encoders")
def test_an_invalid_video_does_not_stop_the_others(several_videos, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([*several_videos, "--text", "red", "--out", str(out)]) == 1
    assert names(out) == {f"{name}/{file}" for name in ("a", "-b c")
                          for file in ("summary.mp4", "summary.json", "report.html")}
    printed = capsys.readouterr()
    assert "[3/3]" in printed.err
    assert "error: " in printed.err
    assert "bad.mp4: is not a readable video" in printed.err
    assert printed.err.splitlines()[-1].startswith("1 of 3 videos failed: ")
    assert "Traceback" not in printed.err
    assert printed.out.count("summary.mp4") == 2


@pytest.mark.usefixtures("fast_encoders")
def test_json_lines(several_videos, tmp_path, capsys):
    assert main([*several_videos, "--text", "red", "--json", "--quiet", "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    first, second, third = map(json.loads, printed.out.splitlines())
    assert first["ok"]
    assert third["ok"]
    assert not second["ok"]
    assert "is not a readable video" in second["error"]
    assert first["files"] == ["summary.mp4", "report.html", "summary.json"]
    assert first["out"] == str(tmp_path / "out/a")
    assert first["moments"][0]["start"] == 20
    assert first["duration"] == 40
    assert 0 < first["kept"] <= 6
    # The lines are the error and the number of failed videos.
    assert len(printed.err.strip().splitlines()) == 2
    assert main(["none.mp4", "--json", "--out", str(tmp_path / "x")]) == 2
    assert not json.loads(capsys.readouterr().out)["ok"]
    assert main(["none.mp4", "--json", "--budget", "x", "--out", str(tmp_path / "x")]) == 2
    assert json.loads(capsys.readouterr().out)["video"] is None


@pytest.mark.usefixtures("fast_encoders")
def test_quiet_prints_nothing(media, tmp_path, capfd):
    assert main([str(media / "valid.mp4"), "--quiet", "--out", str(tmp_path / "out")]) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("fast_encoders")
@pytest.mark.parametrize("mode", ["summary", "moments", "shorts"])
def test_a_gap_in_the_timestamps_is_not_kept(tmp_path, mode):
    """Summarize 24 s of frames with a gap of 1000 s in the middle, during which the last red frame is shown."""
    def render(index, size):
        color = (220, 30, 30) if 100 <= index < 120 else (120, 120, 120 + index // 10)
        return np.full((size[1], size[0], 3), color, np.uint8)

    path = write_small_video(tmp_path / "a.mp4", 240, fps=10, render=render, pts=[*range(120), *range(10120, 10240)],
                             time_base=Fraction(1, 10))
    args = ["--text", "red", "--mode", mode, "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "kept")]
    args += ["--length", "4-10"] if mode == "shorts" else ["--budget", "8s"]
    # The second run reads the features from the cache.
    for _ in range(2):
        assert main([str(path), *args]) == 0
        found = load(tmp_path / "out")
        assert found["duration"] == 1024
        assert any(piece["start"] < 12 for piece in found["pieces"])
        frozen_s = sum(max(0, min(1012, piece["end"]) - max(14, piece["start"])) for piece in found["pieces"])
        assert frozen_s <= 2


@pytest.mark.usefixtures("fast_encoders")
def test_a_truncated_file_is_reported(tmp_path, capsys):
    path = write_small_video(tmp_path / "a.mp4", 100, container_options=dict(movflags="+faststart"), render=noisy_frame)
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    assert main([str(path), "--out", str(tmp_path / "out")]) == 0
    found = load(tmp_path / "out")
    note = f"the file header states 4.0 s, but the frames end at {found['duration']:.1f} s"
    assert f"<dt>Decoder</dt><dd>{found['decoder']}</dd>" in (tmp_path / "out/report.html").read_text()
    assert found["stated"] == 4
    assert 1 < found["duration"] < 3
    assert f"a.mp4: {note}" in capsys.readouterr().err
    assert note in (tmp_path / "out/report.html").read_text()
    assert main([str(path), "--quiet", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("fast_encoders")
def test_names_that_begin_with_a_dash(several_videos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "in")
    # argparse accepts an argument with a dash and a space as a file name, so the name must not contain a space.
    (tmp_path / "in/-b c.mp4").rename("-dash.mp4")
    assert main(["-dash.mp4", "a.mp4", "--text", "red", "--out", "out"]) == 0
    assert {path.split("/")[0] for path in names(tmp_path / "in/out")} == {"a", "-dash"}


def test_sigterm_leaves_no_files(media, tmp_path, fast_encoders, monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("pipelines.export.writer.write_json",
                        lambda path, value: os.kill(os.getpid(), signal.SIGTERM))
    (tmp_path / "out").mkdir()
    assert main([str(media / "valid.mp4"), "--out", str(tmp_path / "out")]) == 130
    assert list((tmp_path / "out").iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before
    assert capsys.readouterr().err.strip().endswith("Interrupted. No files were written.")


def test_exit_status_2_if_every_video_fails_or_the_options_contradict_each_other(several_videos, tmp_path, capsys):
    valid, invalid, _ = several_videos
    assert main([invalid, str(tmp_path / "none.mp4"), "--out", str(tmp_path / "out")]) == 2
    assert main([valid, valid, "--out", str(tmp_path / "out")]) == 2
    assert "have the same output folder" in capsys.readouterr().err
    assert main([*several_videos, "--subtitles", "a.srt", "--out", str(tmp_path / "out")]) == 2
    assert "belongs to one video, but 3 are given" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_internal_error_has_a_traceback_and_does_not_stop_the_others(several_videos, tmp_path, capsys,
                                                                        fast_encoders, monkeypatch):
    from common.files import write_json
    written = []

    def fail_once(path, value):
        written.append(path)
        if len(written) == 1:
            raise AssertionError("odd")
        write_json(path, value)

    monkeypatch.setattr("pipelines.export.writer.write_json", fail_once)
    first, _, third = several_videos
    assert main([first, third, "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "AssertionError: odd" in printed
    assert {path.split("/")[0] for path in names(tmp_path / "out")} == {"-b c"}


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    shown = capsys.readouterr().out
    assert shown.count("python tools/summarize.py") >= 6
    assert "15%," in shown
    assert "Exit status" in shown


@pytest.mark.usefixtures("fast_encoders")
def test_a_video_of_one_second_in_every_mode(tmp_path):
    path = write_video(tmp_path / "a.mp4", ["red"])
    for number, mode in enumerate(("summary", "moments", "shorts")):
        assert main([str(path), "--mode", mode, "--out", str(tmp_path / str(number))]) == 0
        assert load(tmp_path / str(number))["kept"] == 1


@pytest.mark.usefixtures("fast_encoders")
def test_sampling_of_key_frames_and_the_cache_are_used(media, tmp_path, capsys):
    args = [str(media / "valid.mp4"), "--text", "red", "--sampling", "keyframes", "--cache", str(tmp_path / "kept")]
    assert main([*args, "--out", str(tmp_path / "a")]) == 0
    assert load(tmp_path / "a")["sampling"] == "keyframes"
    assert "key frame nearest" in (tmp_path / "a/report.html").read_text()
    (entry,) = (tmp_path / "kept").iterdir()
    stamp = entry.stat().st_mtime_ns
    capsys.readouterr()
    assert main([*args, "--budget", "4s", "--out", str(tmp_path / "b")]) == 0
    assert "already encoded" in capsys.readouterr().err
    assert entry.stat().st_mtime_ns == stamp
    assert load(tmp_path / "a")["clips"] == load(tmp_path / "b")["clips"]
    with pytest.raises(SystemExit) as done:
        main([*args, "--sampling", "some", "--out", str(tmp_path / "c")])
    assert done.value.code == 2
