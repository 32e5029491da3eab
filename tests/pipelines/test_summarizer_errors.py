"""Tests of summaries with unusual or invalid budgets, subtitles, scores and durations."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch

from common.errors import InputError
from pipelines.features.encode import encode_video
from pipelines.media.subtitles import Cue, read_subtitles
from pipelines.scoring.sliding_window import SlidingWindowScorer
from pipelines.selection.knapsack import key_frames, key_shots
from pipelines.summarizer import Summarizer
from tools.build_summarization_h5 import main as build_h5
from tools.summarize import main as summarize

from .fakes import color_encoders, write_video

SECONDS = ["grey"] * 10 + ["red"] * 6 + ["grey"] * 12 + ["blue"] * 6 + ["grey"] * 6


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return encode_video(write_video(tmp_path_factory.mktemp("v") / "v.mp4", SECONDS), color_encoders(), progress=False)


@pytest.fixture
def summarizer():
    return Summarizer(color_encoders())


@pytest.mark.parametrize("mode", ["summary", "moments", "shorts"])
@pytest.mark.parametrize("budget", [0, 2, -0.1, -1, "0%", "200%", "-15%"])
def test_an_invalid_budget_is_an_error_in_every_mode(summarizer, video, budget, mode):
    for texts in ([], ["red"]):
        with pytest.raises(InputError, match="give more than 0 and at most 1, e.g. 0.15"):
            summarizer.summarize(video, texts, budget, mode=mode)


@pytest.mark.parametrize("budget", ["0", "2", "-1", "-0.15"])
def test_an_invalid_budget_is_an_error_of_the_command(tmp_path, capsys, budget):
    write_video(tmp_path / "v.mp4", ["red"])
    assert summarize([str(tmp_path / "v.mp4"), "--budget", budget, "--out", str(tmp_path / "out")]) == 2
    assert f"budget {float(budget)} is not a share of the video" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("budget", [0, 2, -1])
def test_an_invalid_budget_is_an_error_of_key_shots(budget):
    with pytest.raises(InputError, match="is not a share of the video"):
        key_shots(np.array([[0, 9]]), np.ones(1), np.zeros(1, int), 10, budget)


@pytest.mark.parametrize("texts", [[], ["red"], ["red", "blue"]])
def test_a_budget_of_one_keeps_every_frame(summarizer, video, texts):
    summary = summarizer.summarize(video, texts, 1)
    assert summary.frames == [[0, video.info.n_frames - 1]]
    assert summary.selected == list(range(len(summary.shots)))


def best_at(summary):
    edges_s = [float(e) for e in summary.video.edges_s]
    return edges_s[int(summary.scores.argmax())]


def test_overlapping_subtitles_count_independently(summarizer, video, tmp_path):
    """No frame matches `green`. Of simultaneous lines, the most similar one counts, in any order."""
    cues = [Cue(0, 40, "nothing of it"), Cue(20, 24, "green green"), Cue(21, 30, "grey")]
    for order in itertools.permutations(cues):
        summary = summarizer.summarize(video, ["green"], subtitles=order)
        assert best_at(summary) in (20, 22)
        assert summary.moments[0].start_s <= 20
        assert summary.moments[0].end_s >= 24
    alone = summarizer.summarize(video, ["green"], subtitles=[cues[1]])
    twice = summarizer.summarize(video, ["green"], subtitles=[cues[1], cues[1]])
    np.testing.assert_array_equal(alone.scores, twice.scores)
    text = "1\n00:00:20,000 --> 00:00:24,000\ngreen\n\n2\n00:00:18,000 --> 00:00:30,000\nover it\n"
    (tmp_path / "a.srt").write_text(text)
    assert read_subtitles(tmp_path / "a.srt") == [Cue(18, 30, "over it"), Cue(20, 24, "green")]


def test_subtitles_after_the_end_of_the_video_are_ignored(summarizer, video, tmp_path):
    silent = summarizer.summarize(video, ["green"])
    summary = summarizer.summarize(video, ["green"], subtitles=[Cue(36, 400, "green"), Cue(500, 600, "green")])
    assert best_at(summary) in (36, 38)
    assert all(m.end_s <= 40 for m in summary.moments)
    assert all(0 <= a <= b < video.info.n_frames for a, b in summary.frames)
    after = summarizer.summarize(video, ["green"], subtitles=[Cue(500, 600, "green")])
    assert after.scores.argmax() == silent.scores.argmax()
    assert np.allclose(after.scores, silent.scores)
    summary.save_video(tmp_path / "s.mp4")
    summary.save_json(tmp_path / "s.json")
    summary.save_report(tmp_path / "r.html")
    assert json.loads((tmp_path / "s.json").read_text())["subtitles"] == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_subtitles_equal_utf_8_subtitles(summarizer, video, tmp_path, encoding):
    text = "1\n00:00:30,000 --> 00:00:34,000\ngreen, größer\n"
    for name, code in (("a", "utf-8"), ("b", encoding)):
        (tmp_path / f"{name}.srt").write_bytes(text.encode(code))
    assert read_subtitles(tmp_path / "a.srt") == read_subtitles(tmp_path / "b.srt") == [Cue(30, 34, "green, größer")]


@pytest.mark.parametrize("content, message", [
    (b"", "contains no subtitles"), (b"\xff\xfe", "contains no subtitles"), (b"\n\n", "contains no subtitles"),
    (b"Dear all,\nsee you at 10:00\n", "contains no subtitles"), (b"\x00\x01\x02\x89PNG" * 40, "subtitles"),
    (b"1\n00:00:01,000 --> 00:00:02,000\n\n", "times but no text")])
def test_invalid_subtitles_are_reported_before_encoding(tmp_path, capsys, monkeypatch, content, message):
    write_video(tmp_path / "v.mp4", ["red"])
    (tmp_path / "a.srt").write_bytes(content)
    monkeypatch.setattr("pipelines.summarizer.encode_video", lambda *a, **k: pytest.fail("encoding started"))
    args = ["--text", "x", "--subtitles", str(tmp_path / "a.srt"), "--out", str(tmp_path / "out")]
    assert summarize([str(tmp_path / "v.mp4"), *args]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "a.srt" in err
    assert message in err
    assert len(err.splitlines()) == 1


class ConstantScores(torch.nn.Module):
    """A model without text that gives all clips the same score."""

    accepts_text = requires_text = False

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, data, mode):
        return dict(_out=dict(saliency=torch.full(data["video"].shape[:2], self.value)))


def constant_scorer(value):
    return SlidingWindowScorer(ConstantScores(value), color_encoders(), ["color"])


def test_nan_scores_are_an_error_that_names_the_checkpoint(video):
    summarizer = Summarizer(color_encoders(), constant_scorer(float("nan")), checkpoint="work/best.pth")
    message = (r"v.mp4: 20 of 20 scores are NaN or infinite; "
               r"check that work/best.pth is not damaged and was trained on these features")
    with pytest.raises(InputError, match=message):
        summarizer.summarize(video)


def test_constant_scores_give_a_summary_within_the_budget(video):
    summary = Summarizer(color_encoders(), constant_scorer(0.5)).summarize(video, budget=0.3)
    assert len(set(summary.scores)) == 1
    assert 0 < summary.duration_s <= 0.3 * 40
    assert summary.moments == []
    kept = key_frames(np.array([[0, 4], [5, 9], [10, 99]]), np.ones(10), np.arange(0, 100, 10), 100)
    assert kept.tolist() == [[0, 4], [5, 9]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_key_shots_reject_nan_and_infinite_scores(bad):
    with pytest.raises(InputError, match="1 of 3 scores are NaN or infinite"):
        key_shots(np.array([[0, 9], [10, 29]]), np.array([1, bad, 2]), np.array([0, 10, 20]), 30)


@pytest.mark.parametrize("mode", ["summary", "moments", "shorts"])
@pytest.mark.parametrize("n_frames", [1, 7, 19])
def test_a_video_shorter_than_a_shot_is_kept_completely(summarizer, tmp_path, n_frames, mode):
    path = write_video(tmp_path / "s.mp4", ["red", "blue"], n_frames=n_frames)
    short = encode_video(path, color_encoders(), progress=False)
    for texts in ([], ["red"]):
        summary = summarizer.summarize(short, texts, mode=mode)
        assert summary.frames == [[0, n_frames - 1]]
        assert len(summary.shots) == 1
        summary.save_video(tmp_path / "cut.mp4")


def test_an_annotated_video_of_one_clip_is_an_error(tmp_path, capsys):
    from scipy.io import savemat
    for folder in ("videos", "GT"):
        (tmp_path / folder).mkdir()
    write_video(tmp_path / "videos/a.mp4", ["red"])
    savemat(tmp_path / "GT/a.mat", dict(user_score=np.eye(10)[:, :3], nFrames=10, video_duration=1.0))
    assert build_h5([str(tmp_path / "videos"), "--ratings", str(tmp_path / "GT"), "--out", str(tmp_path / "o.h5")]) == 2
    assert "a.mp4: 10 annotated frames are too few for 1 clips" in capsys.readouterr().err
    assert not (tmp_path / "o.h5").exists()


def test_a_budget_of_another_numeric_type(summarizer, video):
    with pytest.raises(InputError, match="budget None is not a share"):
        summarizer.summarize(video, budget=None)
    assert summarizer.summarize(dataclasses.replace(video), budget=np.float32(0.5)).duration_s <= 20
