"""Tests of CLIP-It and ModelScope's CLIP-It as scorers of a summarizer."""

import numpy as np
import pytest
import torch

from common.config import load_config
from common.errors import InputError
from common.paths import CONFIGS
from models.clip_it import CLIPIt
from models.clip_it_modelscope import CLIPItModelScope
from pipelines import summarizer as module
from pipelines.features.encode import encode_video
from pipelines.scoring.clip_it import CLIPItScorer, run_clip_it
from pipelines.summarizer import Summarizer, build_summarizer
from tests.pipelines.fakes import color_encoders, write_video

from .fakes import FixedCaptioner

CONFIG_OF_MODEL = dict(
    clip_it='dict(type="CLIPIt", video_dims=3, text_dims=3, shared=3, dims=4, layers=1)',
    modelscope='dict(type="CLIPItModelScope", dims=3, layers=1, hidden=4, heads=1, head_dims=2, text_heads=1, '
               'positions=40)')
ENCODERS = 'encoders = dict(visual=dict(type="a"), text=dict(type="b"))\n'
TEXTS = ["red", "a blue car", "green"]


def make_model(name: str) -> torch.nn.Module:
    """Return a small model with the arguments of `CONFIG_OF_MODEL`."""
    if name == "clip_it":
        return CLIPIt(video_dims=3, text_dims=3, shared=3, dims=4, layers=1)
    return CLIPItModelScope(dims=3, layers=1, hidden=4, heads=1, head_dims=2, text_heads=1, positions=40)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Return a video of 80 clips, which are more than a window of 75."""
    colors = ["grey"] * 50 + ["red"] * 20 + ["blue"] * 30 + ["grey"] * 40 + ["green"] * 20
    path = write_video(tmp_path_factory.mktemp("v") / "v.mp4", colors, fps=2)
    return encode_video(path, color_encoders(), progress=False)


@pytest.fixture(params=list(CONFIG_OF_MODEL))
def trained(request, tmp_path, monkeypatch):
    """Return a summarizer that is built from a config and a checkpoint, and its model."""
    monkeypatch.setattr(module, "build_encoders", lambda cfg: color_encoders())
    torch.manual_seed(3)
    model = make_model(request.param)
    for weight in model.parameters():
        weight.data.add_(0.5 * torch.randn_like(weight))
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "m.pth")
    (tmp_path / "c.py").write_text(f"model = {CONFIG_OF_MODEL[request.param]}\n{ENCODERS}")
    return build_summarizer(tmp_path / "c.py", tmp_path / "m.pth", captioner=None), model.eval()


def test_a_video_without_query_is_scored_in_one_forward_pass(trained, video):
    summarizer, model = trained
    scores = run_clip_it(model, video, color_encoders())
    assert video.n_clips == 80
    assert np.array_equal(summarizer.summarize(video).scores, scores)
    assert scores.std() > 0


def test_clips_are_scored_by_all_queries_jointly_and_curves_by_one_each(trained, video):
    summarizer, model = trained
    scores = run_clip_it(model, video, color_encoders(), TEXTS)
    result = summarizer.summarize(video, TEXTS)
    assert np.array_equal(result.scores, scores)
    assert np.abs(scores - run_clip_it(model, video, color_encoders())).max() > 1e-4
    for text, curve in zip(TEXTS, result.scores_by_text, strict=True):
        assert np.array_equal(curve, run_clip_it(model, video, color_encoders(), [text]))
    assert {m.text for m in result.moments} == set(TEXTS)
    assert result.to_json()["sentences"] == [dict(text=text, source="asked", start=None, end=None) for text in TEXTS]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_the_order_of_the_queries_changes_nothing(trained, video, order):
    summarizer, model = trained
    expected, result = summarizer.summarize(video, TEXTS), summarizer.summarize(video, [TEXTS[i] for i in order])
    assert np.array_equal(result.scores, run_clip_it(model, video, color_encoders(), TEXTS))
    assert result.selected == expected.selected
    assert result.moments == expected.moments


def test_the_model_gets_the_duration_of_a_clip(video):
    """CLIP-It smooths over seconds, so that a wrong duration changes the scores."""
    torch.manual_seed(0)
    model = make_model("clip_it").eval()
    rows = torch.from_numpy(video.visual["color"]).float()[None]

    def scores_at(row_s):
        with torch.no_grad():
            data = dict(video=rows, saliency=torch.ones(1, 80), row_s=row_s)
            return model(data, "test")["_out"]["saliency"][0].numpy()

    scores = Summarizer(color_encoders(), CLIPItScorer(model, color_encoders())).summarize(video).scores
    np.testing.assert_allclose(scores, scores_at(2.0), atol=1e-6)
    assert np.abs(scores - scores_at(1.0)).max() > 1e-3


def test_features_have_unit_norm_if_the_model_expects_it(video):
    class NormCheck(torch.nn.Module):
        accepts_text = scores_whole_video = expects_unit_norm = True
        video_dims = text_dims = 3

        def forward(self, data, mode):
            assert torch.allclose(torch.linalg.vector_norm(data["video"], dim=-1), torch.ones(1, 80))
            return dict(_out=dict(saliency=torch.zeros(1, 80)))

    assert CLIPItModelScope.expects_unit_norm
    run_clip_it(NormCheck(), video, color_encoders())


@pytest.mark.parametrize("name", ["video_dims", "text_dims"])
def test_encoders_with_other_dimensions_are_an_error(tmp_path, monkeypatch, name):
    monkeypatch.setattr(module, "build_encoders", lambda cfg: color_encoders())
    monkeypatch.setattr("pipelines.scoring.builder.load_checkpoint", lambda model, path: {})
    model = CONFIG_OF_MODEL["clip_it"].replace(f"{name}=3", f"{name}=5").replace("shared=3", "shared=0")
    (tmp_path / "c.py").write_text(f"model = {model}\n{ENCODERS}")
    message = f"model.{name}: expects features of 5 dimensions, but the encoders of the config make 3"
    with pytest.raises(InputError, match=message):
        build_summarizer(tmp_path / "c.py", "m.pth")


@pytest.mark.parametrize("config, encoder", [
    ("tvsum/clip_it_offline", "EfficientNetConSE"), ("tvsum/clip_it_offline_all", "EfficientNetConSE"),
    ("tvsum/clip_it_modelscope", "CLIPImage"), ("summe/clip_it_offline", "EfficientNetConSE")])
def test_the_configs_of_clip_it_name_their_encoders(config, encoder):
    assert load_config(CONFIGS / f"{config}.py").encoders.visual.type == encoder


def test_captions_guide_the_model_if_there_is_no_query(trained, video):
    summarizer, model = trained
    summarizer.captioner = FixedCaptioner()
    captions = ["This shows red.", "This shows blue."]
    np.testing.assert_allclose(summarizer.summarize(video).scores,
                               run_clip_it(model, video, color_encoders(), captions), atol=1e-6)
