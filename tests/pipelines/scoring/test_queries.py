"""What a video is scored by: what was asked, in one call with the whole of it, or else its own sentences."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch

from common.errors import InputError
from models.clip_it import CLIPIt
from models.clip_it_modelscope import CLIPItModelScope
from pipelines import summarizer as module
from pipelines.export.report import report_html
from pipelines.features.encode import encode_video
from pipelines.media.subtitles import Cue
from pipelines.scoring.builder import zero_shot_scorer
from pipelines.scoring.captions import BLANK, UNNAMED, Caption, Captioner
from pipelines.scoring.clip_it import CLIPItScorer, run_clip_it
from pipelines.scoring.queries import MAX_VIDEO_QUERIES, Query, video_queries
from pipelines.summarizer import Summarizer, build_summarizer
from tests.pipelines.fakes import color_encoders, write_video

CONFIGS = dict(
    clip_it='dict(type="CLIPIt", video_dims=3, text_dims=3, shared=3, dims=4, layers=1)',
    modelscope='dict(type="CLIPItModelScope", dims=3, layers=1, hidden=4, heads=1, head_dims=2, text_heads=1, positions=40)')
MADE = dict(clip_it=lambda: CLIPIt(video_dims=3, text_dims=3, shared=3, dims=4, layers=1),
            modelscope=lambda: CLIPItModelScope(dims=3, layers=1, hidden=4, heads=1, head_dims=2, text_heads=1, positions=40))
TEXTS = ["red", "a blue car", "green"]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """160 s: more clips than a window of 75 holds."""
    colours = ["grey"] * 50 + ["red"] * 20 + ["blue"] * 30 + ["grey"] * 40 + ["green"] * 20
    path = write_video(tmp_path_factory.mktemp("v") / "v.mp4", colours, fps=2)
    return encode_video(path, color_encoders(), progress=False)


@pytest.fixture(params=list(CONFIGS))
def trained(request, tmp_path, monkeypatch):
    """A summarizer as the command builds it of a config and a checkpoint, and the model alone."""
    monkeypatch.setattr(module, "build_encoders", lambda cfg: color_encoders())
    torch.manual_seed(3)
    model = MADE[request.param]()
    for weight in model.parameters():
        weight.data.add_(0.5 * torch.randn_like(weight))
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "m.pth")
    text = f'model = {CONFIGS[request.param]}\nencoders = dict(visual=dict(type="a"), text=dict(type="b"))\n'
    (tmp_path / "c.py").write_text(text)
    return build_summarizer(tmp_path / "c.py", tmp_path / "m.pth", captioner=None), model.eval()


def test_a_trained_one_scores_the_whole_video_and_all_sentences_in_one_call(trained, video):
    summarizer, model = trained
    assert video.n_clips == 80
    silent = run_clip_it(model, video, color_encoders())
    assert np.array_equal(summarizer.summarize(video).scores, silent) and silent.std() > 0
    said = run_clip_it(model, video, color_encoders(), TEXTS)
    found = summarizer.summarize(video, TEXTS)
    assert np.array_equal(found.scores, said) and np.abs(said - silent).max() > 1e-4
    for text, curve in zip(TEXTS, found.scores_by_text, strict=True):
        assert np.array_equal(curve, run_clip_it(model, video, color_encoders(), [text]))
    assert {m.text for m in found.moments} == set(TEXTS) and found.to_json()["sentences"] == [
        dict(text=text, source="asked", start=None, end=None) for text in TEXTS]
    for order in (TEXTS, TEXTS[::-1], [TEXTS[i] for i in (1, 2, 0)]):
        other = summarizer.summarize(video, order)
        assert np.array_equal(other.scores, said) and other.selected == found.selected and other.moments == found.moments


def test_rows_are_as_long_as_clips(video):
    """CLIP-It smooths in seconds: told rows of 1 s, which clips of 2 s are not, it gives other numbers."""
    torch.manual_seed(0)
    model = MADE["clip_it"]().eval()
    rows = torch.from_numpy(video.visual["color"]).float()[None]

    def at(row_s):
        with torch.no_grad():
            return model(dict(video=rows, saliency=torch.ones(1, 80), row_s=row_s), "test")["_out"]["saliency"][0].numpy()

    scores = Summarizer(color_encoders(), CLIPItScorer(model, color_encoders())).summarize(video).scores
    np.testing.assert_allclose(scores, at(2.0), atol=1e-6)
    assert np.abs(scores - at(1.0)).max() > 1e-3


def test_modelscopes_frames_come_with_unit_norm(video):
    class Spy(torch.nn.Module):
        accepts_text = scores_whole_video = expects_unit_norm = True
        video_dims = text_dims = 3

        def forward(self, data, mode):
            assert torch.allclose(torch.linalg.vector_norm(data["video"], dim=-1), torch.ones(1, 80))
            return dict(_out=dict(saliency=torch.zeros(1, 80)))

    assert CLIPItModelScope.expects_unit_norm
    run_clip_it(Spy(), video, color_encoders())


@pytest.mark.parametrize("odd, message", [("video_dims=3", "model.video_dims: expects features of 5 dimensions, but the encoders of the config make 3"),
                                          ("text_dims=3", "model.text_dims: expects features of 5 dimensions, but the encoders of the config make 3")])
def test_encoders_of_other_widths_are_refused(tmp_path, monkeypatch, odd, message):
    monkeypatch.setattr(module, "build_encoders", lambda cfg: color_encoders())
    monkeypatch.setattr("pipelines.scoring.builder.load_checkpoint", lambda model, path: {})
    text = CONFIGS["clip_it"].replace(odd, odd[:-1] + "5").replace("shared=3", "shared=0")
    (tmp_path / "c.py").write_text(f"model = {text}\nencoders = dict(visual=dict(type='a'), text=dict(type='b'))\n")
    with pytest.raises(InputError, match=message):
        build_summarizer(tmp_path / "c.py", "m.pth")


def test_the_shipped_configs_say_what_encodes():
    from common.config import load_config
    names = {name: load_config(module.ROOT / f"configs/{name}.py").encoders.visual.type for name in
             ("tvsum/clip_it_offline", "tvsum/clip_it_offline_all", "tvsum/clip_it_modelscope", "summe/clip_it_offline")}
    assert list(names.values()) == ["EfficientNetConSE", "EfficientNetConSE", "CLIPImage", "EfficientNetConSE"]


class Teller(Captioner):
    def describe(self, video, shots):
        return [BLANK, "This shows red.", UNNAMED, "This shows blue.", BLANK][:len(shots)]


CUES = [Cue(4, 8, "green"), Cue(52, 60, "red"), Cue(61, 66, "red red"), Cue(70, 80, " ")]


def test_unasked_its_lines_are_the_sentences_or_else_its_captions(video, monkeypatch):
    """The head reads each once; what is said stands in the report and in summary.json with its times and source."""
    read = []

    def head(model, video, encoders, sentences):
        read.append(np.array(sentences))
        return np.linspace(0.2, 0.8, 80)

    monkeypatch.setattr("pipelines.scoring.query_free.domain_familiarity", lambda visual: 1.0)
    monkeypatch.setattr("pipelines.scoring.query_free.run_clip_it", head)
    encoders = color_encoders()
    summarizer = Summarizer(encoders, zero_shot_scorer(encoders, "head"), Teller())
    seen, told = summarizer.summarize(video), summarizer.summarize(video, subtitles=CUES)
    np.testing.assert_allclose(seen.scores, np.linspace(0.2, 0.8, 80))
    assert [s["text"] for s in seen.to_json()["sentences"]] == ["This shows red.", "This shows blue."]
    assert {s["source"] for s in seen.to_json()["sentences"]} == {"captions"}
    assert seen.to_json()["sentences"][0]["start"] == 50 and seen.to_json()["sentences"][0]["end"] == 70
    assert len(seen.captions) == 5 and len(read[0]) == 2
    assert told.to_json()["sentences"] == [dict(text=c.text, source="subtitles", start=c.start_s, end=c.end_s) for c in CUES[:3]]
    words = {tuple(f.pooler_output) for f in encoders.text.encode(["green", "red", "red red"])}
    assert {tuple(row) for row in read[1]} == words
    page = report_html(told)
    assert "Scored with 3 sentences from the subtitles" in page and "red red" in page
    assert "Scored with 2 sentences from the generated captions of the shots" in report_html(seen)
    assert "Scored with" not in report_html(summarizer.summarize(video, ["red"]))
    assert len(read[-1]) == 0 and json.dumps(told.to_json())
    # what most lines say is said from 52 to 66 s, and has a tenth of the say
    rest = told.scores - 0.9 * np.linspace(0.2, 0.8, 80)
    assert np.flatnonzero(rest > 0.09).tolist() == list(range(26, 33))
    np.testing.assert_allclose(np.delete(rest, range(26, 33)), 0, atol=1e-9)


def test_captions_have_no_say_where_the_head_has_none(video, monkeypatch):
    monkeypatch.setattr("pipelines.scoring.query_free.domain_familiarity", lambda visual: 0.0)
    summarizer = Summarizer(color_encoders(), zero_shot_scorer(color_encoders(), "head"), Teller())
    found = summarizer.summarize(video)
    assert found.queries == () and len(found.captions) == 5


def test_a_trained_one_reads_the_videos_own_sentences_too(trained, video):
    summarizer, model = trained
    summarizer.captioner = Teller()
    own = ["This shows red.", "This shows blue."]
    np.testing.assert_allclose(summarizer.summarize(video).scores, run_clip_it(model, video, color_encoders(), own), atol=1e-6)


def test_many_lines_are_joined_and_many_captions_are_thinned():
    lines = [Cue(i, i + 2, f"line {i}") for i in range(100)]
    passages = video_queries(lines, [])
    assert len(passages) == 34 and passages[0] == Query("line 0 line 1 line 2", "subtitles", 0, 4)
    assert " ".join(p.text for p in passages) == " ".join(c.text for c in lines)   # nothing is dropped
    captions = [Caption(Fraction(i), Fraction(i + 1), f"shot {i}") for i in range(500)]
    chosen = video_queries([], captions)
    assert len(chosen) == MAX_VIDEO_QUERIES and (chosen[0].text, chosen[-1].text) == ("shot 0", "shot 499")
    assert video_queries([], [Caption(Fraction(0), Fraction(1), UNNAMED)]) == video_queries([Cue(0, 1, " ")], []) == ()


def test_the_page_lets_a_trained_one_be_asked_or_not(video):
    from types import SimpleNamespace

    from models import UMT
    from page.requests import check_fit

    encoder = dict(type="UniModalEncoder", dims=[3, 8], enc_cfg=dict(type="EncoderLayer"))
    query = dict(query_gen=dict(type="QueryGenerator", dims=[4, 8], enc_cfg=dict(type="Attention")),
                 query_dec=dict(type="QueryDecoder", dims=8, dec_cfg=dict(type="DecoderLayer")))

    def fits(model, texts):
        catalogue = SimpleNamespace(load=lambda name: model)
        check_fit(SimpleNamespace(texts=texts, models=[SimpleNamespace(name="mine", wordless=False)]), catalogue)

    for texts in ((), ("red",)):
        fits(MADE["clip_it"](), texts)
    with pytest.raises(InputError, match="“mine” looks for what is asked"):
        fits(UMT(video_enc=encoder, **query), ())
    with pytest.raises(InputError, match="“mine” takes no words"):
        fits(UMT(video_enc=encoder), ("red",))
