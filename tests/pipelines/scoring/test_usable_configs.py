"""Configs that are suggested instead of one that cannot score videos."""

import pytest
from nncore import Config

from common.config import load_config
from common.paths import CONFIGS
from pipelines.scoring.usable_configs import (
    describe_widths,
    fitting_encoders,
    model_widths,
    suggest_config,
    usable_configs,
)


@pytest.mark.parametrize(("model", "widths"), [
    (dict(video_dims=5, text_dims=6), (5, None, 6)), (dict(video_dims=5), (5, None, None)), ({}, (None, None, None)),
    (dict(video_enc=dict(dims=[1, 8]), audio_enc=dict(dims=[2, 8]), query_gen=dict(dims=[3, 8])), (1, 2, 3)),
    (dict(video_enc=None, audio_enc=dict(dims=[2, 8]), query_gen=dict(dims=None)), (None, 2, None)),
])
def test_widths_that_a_model_reads(model, widths):
    assert model_widths(model) == widths


@pytest.mark.parametrize(("widths", "names"), [
    ((512, 2048, 512), ["clip"]), ((1664, 256, 384), ["offline"]), ((None, None, 384), ["offline"]), ((512, None, 384), []),
    ((None, None, None), ["clip", "offline"]), ((2816, 2048, 512), []),
])
def test_encoders_that_fit_widths(widths, names):
    assert fitting_encoders(widths) == names


@pytest.mark.parametrize(("widths", "text"), [
    ((2816, 2048, 512), "2816 (visual), 2048 (audio) and 512 (text) dimensions"), ((5, None, 6), "5 (visual) and 6 (text) dimensions"),
    ((None, 7, None), "7 (audio) dimensions"),
])
def test_widths_are_described(widths, text):
    assert describe_widths(widths) == text


def test_usable_configs_have_a_model_and_its_encoders():
    usable = usable_configs()
    assert CONFIGS / "tvsum/clip_it_offline.py" in usable
    assert CONFIGS / "qvhighlights/umt_base_200e_qvhighlights.py" not in usable   # It reads SlowFast features.
    assert CONFIGS / "zeroshot/clip.py" not in usable
    assert not [path for path in usable if "_base_" in path.parts]


def test_a_config_with_the_same_model_is_suggested(tmp_path):
    shipped = load_config(CONFIGS / "tvsum/clip_it_offline.py")
    cfg = Config(dict(model=shipped.model), filename=str(tmp_path / "c.py"))
    assert suggest_config(cfg).startswith("use configs/")
    assert suggest_config(cfg).endswith(", which has the same model with its encoders")


def test_encoders_that_fit_are_suggested():
    model = dict(type="UMT", video_enc=dict(dims=[512, 9]), audio_enc=dict(dims=[2048, 9]))
    folder = CONFIGS / "mine"
    assert suggest_config(Config(dict(model=model), filename=str(folder / "c.py"))) == (
        "use a copy of it that has '../_base_/encoders/clip.py' in its _base_")
    assert suggest_config(Config(dict(model=model, encoders={}), filename=str(folder / "c.py"))) == (
        "use the encoders of configs/_base_/encoders/clip.py, which fit its model")


@pytest.mark.parametrize(("model", "begin"), [
    (dict(video_enc=dict(dims=[2816, 9])), "no encoder here computes features of 2816 (visual) dimensions; use one of configs/"),
    ({}, "use one of configs/"), (None, "use one of configs/"),
])
def test_otherwise_all_usable_configs_are_listed(model, begin):
    found = suggest_config(Config(dict(model=model), filename="c.py"))
    assert found.startswith(begin)
    assert "configs/tvsum/clip_it_offline.py" in found
    assert found.endswith("or leave out config and checkpoint for a summary without a trained model")
