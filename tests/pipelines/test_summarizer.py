import dataclasses
from datetime import timedelta

import numpy as np
import pytest
import torch

from common.config import load_config
from common.errors import InputError
from models import UMT
from models.encoders.base import Encoders
from pipelines import summarizer as module
from pipelines.features.encode import encode_video
from pipelines.media.subtitles import Cue
from pipelines.options import ShortsOptions
from pipelines.scoring.builder import zero_shot_scorer
from pipelines.scoring.scorers import ScoringOptions
from pipelines.scoring.sliding_window import SlidingWindowScorer
from pipelines.selection import selector
from pipelines.summarizer import Summarizer, build_summarizer

from .fakes import ColorVisualEncoder, color_encoders, write_video

SECONDS = ["grey"] * 20 + ["red"] * 8 + ["grey"] * 12 + ["blue"] * 6 + ["grey"] * 14


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "colours.mp4", SECONDS)


@pytest.fixture(scope="module")
def video(path):
    return encode_video(path, color_encoders(), progress=False)


@pytest.fixture
def color_summarizer():
    return Summarizer(color_encoders())


def seconds_kept(summary) -> set[int]:
    return {s for a, b in summary.intervals_s for s in range(int(a), int(b))}


@pytest.mark.parametrize("text, first_s, last_s", [("red", 20, 28), ("something blue", 40, 46)])
def test_the_best_moment_is_the_interval_that_matches_the_query(color_summarizer, video, text, first_s, last_s):
    summary = color_summarizer.summarize(video, [text])
    best = summary.moments[0]
    assert (best.start_s, best.end_s, best.text) == (first_s, last_s, text)
    assert first_s / 2 <= summary.scores.argmax() < last_s / 2
    assert seconds_kept(summary) & set(range(first_s, last_s))
    assert 0 < summary.duration_s <= 0.15 * 60
    assert summary.scores.min() == 0
    assert summary.scores.max() == 1


def test_every_query_is_scored_and_contributes_to_the_summary(color_summarizer, video):
    summary = color_summarizer.summarize(video, ["red", "blue"])
    assert summary.scores_by_text.shape == (2, 30)
    np.testing.assert_array_equal(summary.scores, summary.scores_by_text.max(axis=0))
    assert 10 <= summary.scores_by_text[0].argmax() < 14
    assert 20 <= summary.scores_by_text[1].argmax() < 23
    assert {m.text for m in summary.moments} == {"red", "blue"}
    kept = seconds_kept(summary)
    assert kept & set(range(20, 28))
    assert kept & set(range(40, 46))


def test_shots_cover_the_video_and_form_the_summary(color_summarizer, video):
    summary = color_summarizer.summarize(video, ["red"])
    ends = [end for _, end in summary.shots]
    assert summary.shots[0][0] == 0
    assert ends[-1] == pytest.approx(60, abs=0.1)
    assert ends[:-1] == [start for start, _ in summary.shots[1:]]
    assert {20, 28} <= set(ends)                                   # Exactly the ends of the moment.
    assert max(b - a for a, b in summary.shots) <= 0.15 * 60 / 3 + 0.5
    total = sum(summary.shots[i][1] - summary.shots[i][0] for i in summary.selected)
    assert summary.duration_s == pytest.approx(total)


def test_without_a_query_the_most_novel_parts_are_kept(color_summarizer, video):
    summary = color_summarizer.summarize(video)
    assert summary.scores_by_text.shape == (0, 30)
    assert summary.texts == ()
    assert seconds_kept(summary) <= {*range(18, 30), *range(38, 48)}
    assert {m.text for m in summary.moments} == {""}


def test_the_provenance_names_what_influenced_the_scores(tmp_path):
    path = write_video(tmp_path / "loud.mp4", SECONDS, loud_s=[3])
    loud = encode_video(path, color_encoders(with_audio=True), progress=False)
    summarizer = Summarizer(color_encoders(with_audio=True))
    with_query, without_query = summarizer.summarize(loud, ["red"]), summarizer.summarize(loud)
    assert with_query.provenance == dict(kind="zero-shot similarity", config=None, checkpoint=None,
                                   visual="ColorVisualEncoder", text="ColorTextEncoder", audio=None)
    assert without_query.provenance["audio"] == "LoudnessEncoder"
    assert without_query.scores[1] > summarizer.summarize(dataclasses.replace(loud, audio=None)).scores[1]


def test_a_matching_subtitle_is_found_without_visual_match(color_summarizer, video):
    cues = [Cue(4.2, 7, "We need green, green, green!"), Cue(50, 52, "Look at red"), Cue(55, 56, " ")]
    without_cues = color_summarizer.summarize(video, ["green"])
    with_cues = color_summarizer.summarize(video, ["green"], subtitles=cues)
    assert with_cues.scores[2:4].min() > without_cues.scores[2:4].max() - 1e-9
    assert with_cues.scores.argmax() in (2, 3)
    assert any(m.start_s <= 4.2 and m.end_s >= 7 for m in with_cues.moments)
    assert len(with_cues.cues) == 3
    complete = color_summarizer.summarize(video, ["green"], 1, cues)
    assert {4, 8} <= {end for _, end in complete.shots}     # The ends of a moment without a visual change.
    empty = color_summarizer.summarize(video, ["green"], subtitles=[Cue(1, 2, "\n")])
    np.testing.assert_array_equal(empty.scores, without_cues.scores)


@pytest.mark.parametrize("budget", [0.05, 0.15, 0.5, 0.9])
@pytest.mark.parametrize("texts", [[], ["red"], ["red", "green", "blue"]])
def test_the_summary_stays_within_the_budget_and_uses_it(color_summarizer, video, budget, texts):
    summary = color_summarizer.summarize(video, texts, budget)
    assert summary.duration_s <= budget * float(video.info.duration_s) + 1e-6
    assert summary.duration_s >= budget * 60 - 4.5


def test_a_budget_in_seconds(color_summarizer, video):
    for budget, most_s in (("12s", 12), (timedelta(seconds=5), 5), ("1h", 60)):
        summary = color_summarizer.summarize(video, ["red"], budget)
        assert most_s - 4.5 < summary.duration_s <= most_s
        assert summary.budget == pytest.approx(most_s / 60)


def test_moments_are_kept_completely(color_summarizer, video):
    summary = color_summarizer.summarize(video, ["red", "blue"], "14s", mode="moments")
    assert summary.intervals_s == [(20, 28), (40, 46)]
    assert summary.mode == "moments"
    summary = color_summarizer.summarize(video, ["red", "blue"], "12s", mode="moments")
    assert summary.intervals_s in ([(20, 28)], [(40, 46)])
    summary = color_summarizer.summarize(video, ["red"], "4s", mode="moments")
    (start, end), = summary.intervals_s
    assert 20 <= start < end <= 28
    assert end - start == 4
    assert color_summarizer.summarize(video, mode="moments").duration_s <= 9


def test_shorts_are_complete_shots_that_match_the_queries(color_summarizer, video):
    summary = color_summarizer.summarize(video, ["red", "blue"], mode="shorts", shorts=ShortsOptions(2, 6, 18))
    assert summary.intervals_s == [(20, 28), (40, 46)]
    assert [summary.shots[i] for i in summary.selected] == [(20, 28), (40, 46)]
    cues = [Cue(19, 21.5, "so"), Cue(27.5, 28.25, "it is")]
    summary = color_summarizer.summarize(video, ["red"], subtitles=cues, mode="shorts", shorts=ShortsOptions(1, 6, 18))
    assert summary.intervals_s == [(19, 28.25)]
    assert summary.frames == [[190, 282]]
    (interval_s,) = color_summarizer.summarize(video, mode="shorts", shorts=ShortsOptions(1, 90, 99)).intervals_s
    assert interval_s == (0, video.info.duration_s)


def test_an_unknown_mode_is_an_error(color_summarizer, video):
    with pytest.raises(InputError, match="mode 'short' does not exist"):
        color_summarizer.summarize(video, mode="short")


def test_a_budget_of_one_keeps_everything(color_summarizer, video):
    summary = color_summarizer.summarize(video, ["red"], 1)
    assert summary.intervals_s == [(0, video.info.duration_s)]
    assert summary.frames == [[0, 599]]


@pytest.mark.parametrize("texts", [[], ["red"]])
def test_a_constant_video_has_uniform_scores(color_summarizer, tmp_path, texts):
    path = write_video(tmp_path / "grey.mp4", ["grey"] * 20)
    summary = color_summarizer.summarize(encode_video(path, color_encoders(), progress=False), texts)
    assert summary.scores.tolist() == [0.5] * 10
    assert summary.moments == []
    assert summary.duration_s == 2


def test_noise_does_not_influence_scores(color_summarizer, video):
    noise = 1e-6 * np.random.default_rng(0).random((30, 3)).astype(np.float32)
    still = dataclasses.replace(video, visual=dict(color=0.5 + noise))
    for texts in ([], ["red"]):
        assert color_summarizer.summarize(still, texts).scores.tolist() == [0.5] * 30


@pytest.mark.parametrize("n_frames", [1, 10])
@pytest.mark.parametrize("texts", [[], ["red"]])
def test_very_short_videos_are_kept_completely(color_summarizer, tmp_path, n_frames, texts):
    path = write_video(tmp_path / "short.mp4", ["red"], n_frames=n_frames)
    summary = color_summarizer.summarize(encode_video(path, color_encoders(), progress=False), texts)
    assert summary.scores.tolist() == [0.5]
    assert summary.selected == [0]
    assert summary.frames == [[0, n_frames - 1]]


def test_a_video_from_other_encoders_is_an_error(color_summarizer, video):
    class OtherEyes(ColorVisualEncoder):
        pass

    other = Summarizer(Encoders(OtherEyes(), color_encoders().text))
    with pytest.raises(InputError, match=r"encoded with .*ColorVisualEncoder.*OtherEyes"):
        other.summarize(video, ["red"])
    with pytest.raises(InputError, match="the audio encoder has clips of 2 s, but the visual encoder has clips of 4 s"):
        eyes = ColorVisualEncoder()
        eyes.clip_len_s = 4
        Summarizer(Encoders(eyes, color_encoders().text, color_encoders(with_audio=True).audio))


def sliding_window_summarizer(model):
    return Summarizer(color_encoders(), SlidingWindowScorer(model, color_encoders(), ["color"]))


class RedWatcher(torch.nn.Module):
    """A fake of a trained model: saliency is the redness of a clip; one of three moments overlaps a better one."""

    accepts_text = requires_text = True

    def forward(self, data, mode):
        assert data["query"].shape == (1, 2, 3)
        assert data["video"].shape[-1] == 3
        red = (data["video"][..., 0] - data["video"][..., 1]).clamp(min=0)
        boundary = torch.tensor([[[20, 28, 0.9], [20, 26, 0.8], [50, 90, 0.3]]])
        return dict(_out=dict(saliency=red, boundary=boundary))


def test_a_trained_model_predicts_scores_and_moments(video):
    summary = sliding_window_summarizer(RedWatcher()).summarize(video, ["red car"])
    assert summary.scores[10:14].min() > 0.5 > np.delete(summary.scores, range(10, 14)).max()
    found = [(m.start_s, m.end_s, round(m.score, 2)) for m in summary.moments]
    assert found[0] == (20, 28, 0.9)
    assert found[1] == (50, pytest.approx(60, abs=0.1), 0.3)          # Clipped to the end of the video.
    assert len(found) == 2                                             # The overlapping moment is suppressed.
    assert summary.provenance["kind"] == "RedWatcher"
    assert seconds_kept(summary) <= set(range(20, 28)) | {18, 19, 28, 29}
    loose = Summarizer(color_encoders(), SlidingWindowScorer(
        RedWatcher(), color_encoders(), ["color"], options=ScoringOptions(max_iou=0.9)))
    assert len(loose.summarize(video, ["red car"]).moments) == 3


def test_subtitles_support_a_trained_model(video):
    summarizer = sliding_window_summarizer(RedWatcher())
    cues = [Cue(30, 33, "a blue car"), Cue(3, 4, "hm")]
    summary = summarizer.summarize(video, ["blue car"], subtitles=cues)
    assert (30, 34) in [(m.start_s, m.end_s) for m in summary.moments]
    assert summary.scores[15:17].min() > 0.9


def test_a_model_gets_queries_only_if_it_accepts_them(video):
    with pytest.raises(InputError, match="give a query"):
        sliding_window_summarizer(RedWatcher()).summarize(video)

    class Mute(RedWatcher):
        accepts_text = requires_text = False

        def forward(self, data, mode):
            assert "query" not in data
            return dict(_out=dict(saliency=data["video"][..., 0]))

    mute = sliding_window_summarizer(Mute())
    with pytest.raises(InputError, match="leave the queries out"):
        mute.summarize(video, ["red"])
    summary = mute.summarize(video)
    assert summary.scores.argmax() in range(10, 14)
    assert (summary.moments[0].start_s, summary.moments[0].end_s) == (20, 28)


MODEL = """
encoder = dict(type="UniModalEncoder", dims=[{width}, 8], enc_cfg=dict(type="EncoderLayer"))
model = dict(type="UMT", video_enc=encoder,
             query_gen=dict(type="QueryGenerator", dims=[3, 8], enc_cfg=dict(type="Attention")),
             query_dec=dict(type="QueryDecoder", dims=8, dec_cfg=dict(type="DecoderLayer")),
             pred_head=[dict(type="SaliencyHead", dims=[8, 1]), dict(type="BoundaryHead", dims=[8, 1])])
del encoder
encoders = dict(visual=dict(type="a"), text=dict(type="b"))
window_clips = 12
"""


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Return a folder with the configs and checkpoints of small UMTs, one of which expects wider features."""
    monkeypatch.setattr(module, "build_encoders", lambda cfg: color_encoders())
    (tmp_path / "config.py").write_text(MODEL.format(width=3))
    (tmp_path / "wide.py").write_text(MODEL.format(width=5))
    for name in ("config", "wide"):
        cfg = load_config(tmp_path / f"{name}.py").model
        torch.manual_seed(1)
        torch.save(dict(state_dict=UMT(**{k: v for k, v in cfg.items() if k != "type"}).state_dict()),
                   tmp_path / f"{name}.pth")
    return tmp_path


def test_a_trained_model_is_built_from_its_config_and_runs_in_windows(trained, video):
    summarizer = build_summarizer(trained / "config.py", trained / "config.pth")
    assert summarizer.scorer.window_clips == 12
    assert not summarizer.scorer.model.training
    assert summarizer.scorer.parts == ("color",)
    summary = summarizer.summarize(video, ["a red car"])
    assert summary.scores.shape == (30,)
    assert np.isfinite(summary.scores).all()
    end_s = float(video.info.duration_s)
    assert summary.moments
    assert all(0 <= m.start_s < m.end_s <= end_s for m in summary.moments)
    assert summary.provenance["checkpoint"] == str(trained / "config.pth")


@pytest.mark.parametrize("config, checkpoint, message", [
    (None, "config.pth", "needs the config"),
    ("config.py", None, "needs its weights"),
    ("config.py", "wide.pth", "does not fit the UMT of the config"),
    ("wide.py", "wide.pth", "expects features of 5 dimensions, but the encoders of the config make 3"),
    ("none.py", None, "no such config"),
    ("bare.py", None, "has no 'encoders'"),
    ("zero.py", "config.pth", "has no model to load"),
    ("typo.py", None, "unknown option 'sigma_clip'; did you mean 'sigma_clips'"),
])
def test_configs_and_checkpoints_that_do_not_fit_are_errors(trained, config, checkpoint, message):
    (trained / "bare.py").write_text("window_clips = 3\n")
    (trained / "zero.py").write_text("encoders = dict()\n")
    (trained / "typo.py").write_text("encoders = dict()\nsummarizer = dict(sigma_clip=2)\n")
    with pytest.raises(InputError, match=message):
        build_summarizer(config and trained / config, checkpoint and trained / checkpoint)


def test_options_come_from_the_config(trained, video):
    (trained / "zero.py").write_text("encoders = dict()\nsummarizer = dict(max_moments=1, max_shot_s=2.0)\n")
    summary = build_summarizer(trained / "zero.py").summarize(video, ["red", "blue"], 0.5)
    assert len(summary.moments) == 2
    assert max(b - a for a, b in summary.shots) == pytest.approx(2, abs=0.2)


def test_the_model_gets_the_parts_in_the_order_of_its_feature_folders(trained, monkeypatch):
    class TwoParts(ColorVisualEncoder):
        parts = dict(color=3, light=1)   # noqa: RUF012

    monkeypatch.setattr(module, "build_encoders", lambda cfg: Encoders(TwoParts(), color_encoders().text))
    (trained / "two.py").write_text(MODEL.format(width=4) + (
        'data = dict(val=dict(video_path=["x/features/light", "x/features/color"]))\n'))
    monkeypatch.setattr("pipelines.scoring.builder.load_checkpoint", lambda model, path: {})
    assert build_summarizer(trained / "two.py", "any.pth").scorer.parts == ("light", "color")


BLUE_IMPORTANCE = np.array([0.1, 0.1, 0.1, 0.9, 0.8, 0.9, 0, 0])   # The last two clips are blank.


@pytest.fixture
def importance_video(tmp_path):
    """Return a video of 8 clips: three red, three blue, two black."""
    path = write_video(tmp_path / "v.mp4", ["red"] * 6 + ["blue"] * 6 + ["black"] * 4)
    return encode_video(path, color_encoders(), progress=False)


@pytest.fixture
def with_importance(importance_video, monkeypatch):
    """Return a function that summarizes the video with a fake importance model, which prefers blue."""
    def predict(model, video, encoders, sentences):
        assert model == "importance model"
        assert not len(sentences)
        return np.array([0.1, 0.1, 0.1, 0.9, 0.8, 0.9, 0.99, 0.99])

    def summarize(familiarity, texts=()):
        monkeypatch.setattr("pipelines.scoring.query_free.domain_familiarity", lambda visual: familiarity)
        scorer = zero_shot_scorer(color_encoders(), "importance model")
        return Summarizer(color_encoders(), scorer).summarize(importance_video, texts)

    monkeypatch.setattr("pipelines.scoring.query_free.run_clip_it", predict)
    return summarize


def test_importance_decides_in_a_familiar_domain(with_importance):
    result = with_importance(1.0)
    assert result.scores.tolist() == BLUE_IMPORTANCE.tolist()
    assert 6 <= result.intervals_s[0][0] < 12
    assert result.provenance["kind"] == "CLIP-It trained on TVSum"


def test_novelty_decides_in_an_unfamiliar_domain(color_summarizer, with_importance, importance_video):
    result = with_importance(0.0)
    assert np.array_equal(result.scores, color_summarizer.summarize(importance_video).scores)
    assert result.provenance["kind"] == "visual novelty"


def test_importance_and_novelty_are_weighted_by_familiarity(color_summarizer, with_importance, importance_video):
    result = with_importance(0.25)
    novelty = color_summarizer.summarize(importance_video).scores
    np.testing.assert_allclose(result.scores, 0.75 * novelty + 0.25 * BLUE_IMPORTANCE)
    assert result.provenance["kind"] == "CLIP-It trained on TVSum + visual novelty"


def test_importance_is_20_percent_of_the_score_with_a_query(color_summarizer, with_importance, importance_video):
    relevance, blended = color_summarizer.summarize(importance_video, ["red"]), with_importance(1.0, ["red"])
    np.testing.assert_allclose(blended.scores, 0.8 * relevance.scores + 0.2 * BLUE_IMPORTANCE)
    assert blended.moments == relevance.moments
    assert np.array_equal(blended.scores_by_text, relevance.scores_by_text)
    assert blended.provenance == relevance.provenance | dict(beside="CLIP-It trained on TVSum")
    assert with_importance(0.0, ["red"]).provenance["beside"] == "visual novelty"


def test_query_independent_values_are_computed_once(tmp_path, monkeypatch):
    calls, real = [], selector.change_points
    monkeypatch.setattr(selector, "change_points", lambda *args, **keys: (calls.append(1), real(*args, **keys))[1])
    summarizer = Summarizer(color_encoders())
    path = write_video(tmp_path / "a.mp4", ["red"] * 6 + ["black"] * 6 + ["blue"] * 6)
    video = summarizer.encode(path, progress=False)
    fresh = dataclasses.replace(video, visual={part: rows.copy() for part, rows in video.visual.items()})
    for texts in (["red"], ["blue"], []):
        again, alone = summarizer.summarize(video, texts), summarizer.summarize(fresh, texts)
        assert again.to_json()["shots"] == alone.to_json()["shots"]
        assert again.scores.tolist() == alone.scores.tolist()
    assert len(calls) == 2   # Once per encoded video.
    assert video.blank_clips.tolist() == [False] * 3 + [True] * 3 + [False] * 3
    with pytest.raises(ValueError, match="read-only"):
        video.blank_clips[:] = True
    assert video.blank_clips.sum() == 3   # Cached values cannot be changed by accident.
    other = dataclasses.replace(video, visual={part: rows[::-1].copy() for part, rows in video.visual.items()})
    summarizer.summarize(other, ["red"])
    assert len(calls) == 3
