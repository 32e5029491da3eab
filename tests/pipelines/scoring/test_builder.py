"""Scorers that are built from configs, and the inputs that the models of configs expect."""

from types import SimpleNamespace

import pytest
from nncore import Config

from common.errors import ConfigError, InputError
from pipelines.scoring import builder
from pipelines.scoring.blend import BlendedScorer
from pipelines.scoring.builder import (
    build_scorer,
    load_model,
    load_scoring_config,
    summarizer_options,
    zero_shot_scorer,
)
from pipelines.scoring.clip_it import CLIPItScorer
from pipelines.scoring.model_inputs import model_parts
from pipelines.scoring.query_free import ImportanceScorer, NoveltyScorer
from pipelines.scoring.scorers import DEFAULT_OPTIONS, ScoringOptions
from pipelines.scoring.sliding_window import SlidingWindowScorer
from tests.pipelines.fakes import color_encoders

ENCODERS = "encoders = dict(visual=dict(type='a'))\n"


def write(folder, text):
    (folder / "c.py").write_text(text)
    return folder / "c.py"


@pytest.mark.parametrize(("text", "checkpoint", "message"), [
    pytest.param("", None, "has no 'encoders'", id="no-encoders"),
    pytest.param(ENCODERS + "model = dict(type='UMT')", None, "has a model, which needs its weights", id="no-checkpoint"),
    pytest.param(ENCODERS, "m.pth", "has no model to load m.pth into", id="no-model"),
])
def test_config_and_checkpoint_must_fit(tmp_path, text, checkpoint, message):
    with pytest.raises(InputError, match=message):
        load_scoring_config(write(tmp_path, text), checkpoint)


def test_a_checkpoint_needs_a_config():
    with pytest.raises(InputError, match="a checkpoint needs the config"):
        load_scoring_config(None, "m.pth")


def test_configs_that_fit(tmp_path):
    assert load_scoring_config(None, None).encoders.visual.type == "EfficientNetConSE"
    assert load_scoring_config(write(tmp_path, ENCODERS), None).encoders.visual.type == "a"
    assert load_scoring_config(write(tmp_path, ENCODERS + "model = dict(type='UMT')"), "m.pth").model.type == "UMT"
    assert load_model(Config({}), None) is None


def test_options_of_scorer_and_summarizer_are_separated():
    cfg = Config(dict(summarizer=dict(max_iou=0.3, max_moments=4, max_shot_s=7)))
    assert summarizer_options(cfg) == (ScoringOptions(max_iou=0.3, max_moments=4), dict(max_shot_s=7))
    assert summarizer_options(Config({})) == (DEFAULT_OPTIONS, {})
    assert (DEFAULT_OPTIONS.sigma_clips, DEFAULT_OPTIONS.max_iou, DEFAULT_OPTIONS.max_moments) == (1, 0.5, 10)
    with pytest.raises(ConfigError, match="unknown option 'max_io'; did you mean 'max_iou'"):
        summarizer_options(Config(dict(summarizer=dict(max_io=1))))


@pytest.fixture
def importance(monkeypatch):
    """Let the importance model fit the color encoders."""
    monkeypatch.setattr(builder, "load_importance_model", lambda: "importance model")
    monkeypatch.setattr(builder, "VISUAL_PARTS", dict(color=3))


CFG = Config(dict(summarizer=dict(max_moments=4)))


def test_the_importance_model_is_blended(importance):
    scorer = build_scorer(CFG, color_encoders(), None)
    assert isinstance(scorer, BlendedScorer)
    assert isinstance(scorer.prior, ImportanceScorer)
    assert scorer.prior.model == "importance model"
    assert scorer.relevance_weight == 0.8
    assert scorer.options.max_moments == scorer.prior.options.max_moments == 4


def test_only_the_importance_model(importance):
    scorer = build_scorer(CFG, color_encoders(), None, "only")
    assert isinstance(scorer, ImportanceScorer)
    assert scorer.options.max_moments == scorer.novelty.options.max_moments == 4


@pytest.mark.parametrize("importance_use", ["off", "blend", "only"])
def test_without_the_importance_model_novelty_is_the_prior(monkeypatch, importance_use):
    """The shipped model does not fit the features of the color encoders."""
    if importance_use == "off":
        monkeypatch.setattr(builder, "VISUAL_PARTS", dict(color=3))
    scorer = build_scorer(CFG, color_encoders(), None, importance_use)
    assert isinstance(scorer, BlendedScorer)
    assert isinstance(scorer.prior, NoveltyScorer)
    assert scorer.relevance_weight == 1
    assert scorer.options.max_moments == scorer.prior.options.max_moments == 4


def test_the_default_zero_shot_scorer():
    assert zero_shot_scorer(color_encoders()).relevance_weight == 1
    assert zero_shot_scorer(color_encoders(), "model").prior.options is DEFAULT_OPTIONS


def test_an_unknown_use_of_the_importance_model_is_an_error():
    with pytest.raises(ValueError, match="importance='on' is none of blend, only, off"):
        build_scorer(CFG, color_encoders(), None, "on")


def model(**attributes):
    defaults = dict(accepts_text=True, requires_text=False, scores_whole_video=False, video_dims=3, text_dims=3)
    return SimpleNamespace(**{**defaults, **attributes})


@pytest.mark.parametrize(("given", "window"), [({}, 75), (dict(window_clips=30), 30)])
def test_a_model_of_windows_gets_a_sliding_window(given, window):
    cfg = Config(dict(model={}, data={}, **given))
    scorer = build_scorer(cfg, color_encoders(), model())
    assert isinstance(scorer, SlidingWindowScorer)
    assert (scorer.window_clips, scorer.parts) == (window, ("color",))


def test_a_model_of_complete_videos_gets_them():
    assert isinstance(build_scorer(Config(dict(model={})), color_encoders(), model(scores_whole_video=True)), CLIPItScorer)


def two_parts():
    encoders = color_encoders(with_audio=True)
    encoders.visual.parts = dict(fast=4, clip=5)
    return encoders


@pytest.mark.parametrize(("paths", "parts"), [
    pytest.param(["data/x/clip", "data/x/fast"], ["clip", "fast"], id="order-of-the-folders"),
    pytest.param("data/x/clip", ["clip"], id="one-folder"),
    pytest.param(["data/x/clip", "data/x/other"], ["fast", "clip"], id="other-names"),
    pytest.param(None, ["fast", "clip"], id="no-folders"),
])
def test_the_parts_are_those_of_the_feature_folders(paths, parts):
    data = {} if paths is None else dict(train=dict(label_path="l"), val=dict(video_path=paths))
    cfg = Config(dict(model=dict(video_enc=dict(dims=[sum(dict(fast=4, clip=5)[p] for p in parts), 8])), data=data))
    assert model_parts(model(), cfg, two_parts()) == parts


@pytest.mark.parametrize(("cfg_model", "message"), [
    (dict(video_enc=dict(dims=[8, 2])), "model.video_enc: expects features of 8 dimensions, but .* make 9"),
    (dict(audio_enc=dict(dims=[8, 2])), "model.audio_enc: expects features of 8 dimensions, but .* make 1"),
    (dict(query_gen=dict(dims=[8, 2])), "model.query_gen: expects features of 8 dimensions, but .* make 3"),
])
def test_other_dimensions_are_an_error(cfg_model, message):
    with pytest.raises(ConfigError, match=message):
        model_parts(model(), Config(dict(model=cfg_model), filename="c.py"), two_parts())


def test_a_model_with_audio_needs_an_audio_encoder():
    with pytest.raises(ConfigError, match="model.audio_enc: expects features of 1 dimensions, but .* make none"):
        model_parts(model(), Config(dict(model=dict(audio_enc=dict(dims=[1])))), color_encoders())


def test_unknown_dimensions_are_not_compared():
    cfg = Config(dict(model=dict(video_enc=None, audio_enc=dict(dims=None), query_gen=dict())))
    assert model_parts(model(), cfg, two_parts()) == ["fast", "clip"]
    whole = model(scores_whole_video=True, video_dims=9)
    assert model_parts(whole, Config(dict(model={})), two_parts()) == ["fast", "clip"]
    with pytest.raises(ConfigError, match="model.video_dims: expects features of 3 dimensions, but .* make 9"):
        model_parts(model(scores_whole_video=True), Config(dict(model={})), two_parts())
