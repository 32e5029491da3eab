"""Test the options of tools/summarize.py: short budgets, the name of the cut, captions, and misspelled options."""

import errno
import json
import os

import pytest

from pipelines import batch
from pipelines import summarizer as module
from pipelines.summarizer import build_summarizer
from tests.paths import ROOT
from tools.summarize import OUTPUTS, main


@pytest.fixture
def source(media, fast_encoders):
    return str(media / "valid.mp4")


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("budget, mode, shown", [
    ("0.5s", "summary", "0.5"), ("1.9s", "summary", "1.9"), ("1s", "moments", "1"), ("0.02m", "summary", "1.2")])
def test_a_time_shorter_than_a_clip_is_an_error_before_the_video_is_encoded(
        source, tmp_path, capsys, monkeypatch, budget, mode, shown):
    monkeypatch.setattr("pipelines.summarizer.encode_video", lambda *args, **options: pytest.fail("was encoded"))
    assert main([source, "--budget", budget, "--mode", mode, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        f"error: budget {shown} s is shorter than one clip (2 s); use at least 2s\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("budget, note", [
    ("1%", "The budget, 1 % of 40.0 s, is 0.4 s. This is shorter than one clip (2 s), so one clip is kept."),
    ("0.04", "The budget, 4 % of 40.0 s, is 1.6 s. This is shorter than one clip (2 s), so one clip is kept."),
    ("5%", ""), ("2s", "")])
def test_a_share_shorter_than_a_clip_keeps_one_clip_and_says_so(source, tmp_path, capsys, budget, note):
    assert main([source, "--text", "red", "--budget", budget, "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "summary.json").read_text())["kept"] == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("The budget")] == ([note] if note else [])


def test_the_cut_gets_the_name_of_the_option_and_the_other_files_a_folder(source, tmp_path, capsys):
    out = tmp_path / "cuts" / "goal.mp4"
    for budget in ("4s", "6s"):   # The second run replaces the files of the first one.
        assert main([source, "--text", "red", "--budget", budget, "--out", str(out)]) == 0
        assert sorted(contents(tmp_path / "cuts")) == ["goal.mp4", *(f"goal/{name}" for name in (
            "report.html", "summary.json", "summary.mp4"))]
        assert out.samefile(tmp_path / "cuts/goal/summary.mp4")
        assert json.loads((tmp_path / "cuts/goal/summary.json").read_text())["kept"] == int(budget[0])
    assert f"  {out}\n  {tmp_path}/cuts/goal/summary.mp4\n" in capsys.readouterr().out
    assert main([source, "--text", "red", "--json", "--quiet", "--out", str(out)]) == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["out"], line["cut"]) == (str(tmp_path / "cuts/goal"), str(out))


def test_without_hard_links_the_cut_is_copied(source, tmp_path, monkeypatch):
    def link(*args):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    for budget in ("4s", "6s"):
        assert main([source, "--text", "red", "--budget", budget, "--out", str(tmp_path / "a.MP4")]) == 0
        assert (tmp_path / "a.MP4").read_bytes() == (tmp_path / "a/summary.mp4").read_bytes()
        assert not (tmp_path / "a.MP4").samefile(tmp_path / "a/summary.mp4")


def test_a_file_that_is_no_earlier_cut_is_never_replaced(source, media, tmp_path, capsys):
    (tmp_path / "holiday.mp4").write_bytes(b"of the user")
    assert main([source, "--text", "red", "--out", str(tmp_path / "holiday.mp4")]) == 2
    assert capsys.readouterr().err.endswith(
        f"error: {tmp_path}/holiday.mp4: exists, and is not a copy of {tmp_path}/holiday/summary.mp4 from an earlier "
        "run; remove it, or choose another name for the output\n")
    assert contents(tmp_path) == {"holiday.mp4": b"of the user"}
    assert main([source, "--text", "red", "--out", source]) == 2
    assert f"{source}: would replace an input; choose another name" in capsys.readouterr().err
    assert not (media / "valid").exists()


def test_an_existing_folder_may_have_any_name(source, tmp_path):
    (tmp_path / "name.mp4").mkdir()
    assert main([source, "--text", "red", "--out", str(tmp_path / "name.mp4")]) == 0
    assert main([source, "--text", "red", "--out", f"{tmp_path}/new.mp4/"]) == 0
    for folder in ("name.mp4", "new.mp4"):
        assert sorted(contents(tmp_path / folder)) == sorted(OUTPUTS)


@pytest.mark.parametrize("options, message", [
    (["--out", "a.json"], "--out a.json is the name of a file, but not of an MP4 file; specify a folder, e.g. --out a, or "
                          "the cut, e.g. --out a.mp4"),
    (["--out", "b/a.mov"], "--out b/a.mov is the name of a file, but not of an MP4 file; specify a folder, e.g. --out "
                           "b/a, or the cut, e.g. --out b/a.mp4"),
    (["--out", "a.mp4", "--mode", "shorts"],
     "--out a.mp4 is the name of one file, but each short has its own; specify a folder, e.g. --out a"),
    (["other.mp4", "--out", "a.mp4"],
     "--out a.mp4 is the name of one file, but each of the 2 videos has its own; specify a folder, e.g. --out a"),
    (["--txt", "red", "--out", "a"], "unknown option --txt; did you mean --text?"),
    (["--captions", "blop", "--out", "a"],
     "--captions: 'blop' is not a valid choice; choose vocabulary, blip or none; did you mean 'blip'?"),
    (["--mode", "moment", "--out", "a"],
     "mode 'moment' does not exist; choose summary, moments or shorts; did you mean 'moments'?"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_invalid_options_are_one_line(source, tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    try:
        status = main([source, *options])
    except SystemExit as exit_:
        status = exit_.code
    assert status == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not list(tmp_path.iterdir())


@pytest.fixture
def without_blip(monkeypatch, tmp_path):
    """Use an empty folder of downloaded weights."""
    monkeypatch.setenv("VIDEO_SUMMARY_CACHE", str(tmp_path / "empty"))


@pytest.mark.slow
@pytest.mark.usefixtures("without_blip")
def test_blip_is_needed_only_without_a_query(media, tmp_path, capsys, monkeypatch):
    source = str(media / "valid.mp4")
    assert main([source, "--text", "red", "--captions", "blip", "--out", str(tmp_path / "out")]) == 0
    monkeypatch.setattr("pipelines.summarizer.encode_video", lambda *args, **options: pytest.fail("was encoded"))
    capsys.readouterr()
    assert main([source, "--captions", "blip", "--out", str(tmp_path / "other")]) == 2
    assert "blip-image-captioning-base: no BLIP model" in capsys.readouterr().err


@pytest.mark.parametrize("config, message", [
    ("configs/qvhighlights/umt_base_200e_qvhighlights.py",
     "has no 'encoders', which extract features from a video; no encoder here computes features of 2816 (visual), 2048 "
     "(audio) and 512 (text) dimensions; use one of configs/hotstar/cut_clip_panns.py, "
     "configs/hotstar/umt_offline_hotstar_highlight_865.py, configs/sample/clip_it_sample.py, "
     "configs/sample/umt_sample.py, "),
    ("configs/youtube/umt_small_100e_youtube_dog.py", "; no encoder here computes features of 2048 (visual) and 2048 "),
    ("configs/qvhighlights/umt_base_200e_qvhighlights_clip.py",
     "has no 'encoders', which extract features from a video; use a copy of it that has '../_base_/encoders/clip.py' in "
     "its _base_\n"),
    ("configs/hotstar/umt_base_200e_hotstar_highlight_865_clip_panns.py",
     "; use configs/hotstar/cut_clip_panns.py, which has the same model with its encoders\n")])
def test_a_config_without_encoders_names_what_can_be_used(media, tmp_path, capsys, monkeypatch, config, message):
    monkeypatch.chdir(ROOT)
    assert main([str(media / "valid.mp4"), "--config", config, "--checkpoint", "any.pth", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {config}: ")
    assert message in error
    assert error.count("\n") == 1


def test_wrong_encoders_in_a_config_name_what_can_be_used(tmp_path):
    """Follow the advice of earlier versions: add encoders to a config for SlowFast features."""
    bases = [f"{ROOT}/configs/_base_/encoders/offline.py", f"{ROOT}/configs/qvhighlights/umt_base_200e_qvhighlights.py"]
    (tmp_path / "c.py").write_text(f"_base_ = {bases!r}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.scoring.builder.load_checkpoint", lambda model, path: {})
        with pytest.raises(Exception, match=r"no encoder here computes features of 2816 .*use one of configs/hotstar/"):
            build_summarizer(tmp_path / "c.py", "any.pth", captioner=None)


def test_a_bare_string_is_one_query_everywhere():
    assert batch.SummaryRequest("a goal").texts == batch.SummaryRequest(["a goal"]).texts == ("a goal",)
    assert module.user_queries("a goal") == module.user_queries(["a goal"])
