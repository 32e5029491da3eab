"""Captions: what the vocabulary names is told shot by shot; BLIP is loaded from its own format."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage import data

from common.errors import InputError
from models.encoders import build_encoders
from models.encoders.base import Encoders, VisualEncoder
from models.encoders.efficient_net_conse import class_names
from pipelines.export.report import report_html
from pipelines.features.encode import encode_video
from pipelines.scoring.captions import (
    BLANK,
    PAIRS,
    UNCOUNTED,
    UNNAMED,
    BlipCaptioner,
    Caption,
    VocabularyCaptioner,
    _sentence,
    _with_article,
    build_captioner,
    whole_sentence,
)
from pipelines.summarizer import Summarizer
from tests.pipelines.fakes import color_encoders, write_video


class Namer(VisualEncoder):
    def __init__(self, likelihood):
        super().__init__()
        self.likelihood = np.array(likelihood)

    def classify(self, features, text):
        return ["cat", "apple", "dog"], self.likelihood


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = write_video(tmp_path_factory.mktemp("v") / "v.mp4", ["red"] * 4 + ["blue"] * 4)
    return encode_video(path, color_encoders(), progress=False)


def told(video, likelihood, shots):
    return VocabularyCaptioner(Encoders(Namer(likelihood), None)).captions(video, np.array(shots))


def test_the_likeliest_things_of_a_shot_are_told(video):
    likelihood = [[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.34, 0.33, 0.33]]
    assert told(video, likelihood, [[0, 1], [2, 2], [3, 3]]) == [
        Caption(Fraction(0), Fraction(4), "This shows a cat and an apple."),   # means 0.6, 0.3, 0.1: the second is half
        Caption(Fraction(4), Fraction(6), "This shows an apple."),
        Caption(Fraction(6), Fraction(8), "This may show a cat or an apple.")]   # 0.34 is no certainty
    texts = [c.text for c in told(video, likelihood, [[0, 0], [2, 2], [3, 3]])]
    assert texts == ["This shows a cat.", "This shows an apple.", "This may show a cat or an apple."]


def test_neighbours_of_one_sentence_are_one_and_guesses_are_said(video):
    rows = [[0.8, 0.1, 0.1]] * 2 + [[0.1, 0.04, 0.04]] * 2
    assert told(video, rows, [[0, 0], [1, 1], [2, 3]]) == [
        Caption(Fraction(0), Fraction(4), "This shows a cat."), Caption(Fraction(4), Fraction(8), "This may show a cat.")]


def test_two_guesses_are_this_or_that(video):
    assert [c.text for c in told(video, [[0.1, 0.08, 0.0]] * 4, [[0, 3]])] == ["This may show a cat or an apple."]


def test_what_has_no_likely_name_gets_none(video):
    rows = [[0.09, 0.03, 0.08]] * 3 + [[0.11, 0.01, 0.01]]
    assert [(c.text, float(c.end_s)) for c in told(video, rows, [[0, 0], [1, 2], [3, 3]])] == [(UNNAMED, 6), ("This may show a cat.", 8)]


@pytest.mark.parametrize("name, said", [
    ("apple", "an apple"), ("European gallinule", "a European gallinule"), ("unicycle", "a unicycle"), ("umbrella", "an umbrella"),
    ("hourglass", "an hourglass"), ("honeycomb", "a honeycomb"), ("sunglasses", "sunglasses"), ("hay", "hay"), ("jean", "jeans"), ("Irish setter", "an Irish setter")])
def test_articles_are_as_people_say_them(name, said):
    assert _with_article(name) == said


def test_all_of_imagenets_names_make_sentences():
    names = class_names()
    assert len(names) == 1000 and set(names) >= UNCOUNTED
    for i in range(0, 1000, 37):
        text = _sentence(names, np.eye(1000)[i])
        assert text.startswith("This shows ") and text.endswith(f"{names[i]}.")
    assert set(names) >= set(PAIRS)


def test_a_shot_that_is_blank_shows_nothing(tmp_path):
    path = write_video(tmp_path / "v.mp4", ["red"] * 2 + ["black"] * 6)
    dark = encode_video(path, color_encoders(), progress=False)
    rows = [[0.6, 0.3, 0.1], [0, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert [c.text for c in told(dark, rows, [[0, 1], [2, 3]])] == ["This shows a cat and an apple.", BLANK]   # the black half says nothing


@pytest.mark.parametrize("text, said", [("a cat on a table", "A cat on a table."), ("Who is it?", "Who is it?"), (" x ", "X.")])
def test_what_a_model_says_becomes_a_sentence(text, said):
    assert whole_sentence(text) == said


def test_the_embedded_captioner_names_a_cat_and_a_cup():
    encoders = build_encoders(dict(visual=dict(type="EfficientNetConSE"), text=dict(type="MiniLMText")))
    pictures = torch.stack([encoders.visual.preprocess(picture) for picture in (data.chelsea(), data.coffee())])
    with torch.no_grad():
        names, likelihood = encoders.visual.classify(
            {part: rows.numpy() for part, rows in encoders.visual(pictures).items()}, encoders.text)
    np.testing.assert_allclose(likelihood.sum(axis=1), 1, atol=1e-5)
    assert [names[i] for i in likelihood.argmax(axis=1)] in (["Egyptian cat", "espresso"], ["tabby", "espresso"], ["tiger cat", "espresso"])


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    """A small random BLIP in the format of transformers."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        BertTokenizerFast,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    folder = tmp_path_factory.mktemp("blip")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]", *"abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = BertTokenizerFast(tokenizer_object=Tokenizer(models.WordPiece(
        {word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]")), bos_token="[DEC]")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    small = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    config = BlipConfig(
        text_config=dict(**small, encoder_hidden_size=16, vocab_size=len(vocabulary), bos_token_id=5, eos_token_id=3, pad_token_id=0,
                         sep_token_id=3, max_position_embeddings=32, is_decoder=True),
        vision_config=dict(**small, image_size=32, patch_size=16), projection_dim=16, image_text_hidden_size=16)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size=dict(height=32, width=32)), tokenizer).save_pretrained(folder)
    if not (folder / "preprocessor_config.json").is_file():   # where processors are kept in one file
        BlipImageProcessor(size=dict(height=32, width=32)).save_pretrained(folder)
    return folder


def test_blip_says_the_same_of_the_same_picture(blip, video):
    captioner = BlipCaptioner(blip, max_words=6)
    shots = np.array([[0, 0], [1, 1], [2, 3]])
    said = captioner.sentences(video, shots)
    assert len(said) == 3 and all(text[0] == text[0].upper() and text.endswith(".") for text in said)
    assert captioner.sentences(video, shots) == said
    expected = captioner._say(np.full((48, 64, 3), (0, 0, 255), np.uint8))
    assert isinstance(expected, str)


def forget(path):
    weights = load_file(path)
    kept = {key: value for key, value in weights.items() if "vision_model.encoder.layers.0.mlp.fc1" not in key}
    assert len(kept) < len(weights)
    save_file(kept, path, metadata=dict(format="pt"))


@pytest.mark.parametrize("spoil, message", [
    (lambda f: (f / "config.json").unlink(), "no BLIP model .config.json lacks.; fetch all files of https://huggingface.co"),
    (lambda f: (f / "model.safetensors").unlink(), r"no BLIP model .\*.safetensors lacks"),
    (lambda f: (f / "model.safetensors").write_bytes(b"no"), "not a BLIP captioning model"),
    (lambda f: forget(f / "model.safetensors"), "lacks . weights of a BLIP captioning model")])
def test_a_blip_that_is_not_there_or_damaged_is_named(blip, tmp_path, spoil, message):
    import shutil
    shutil.copytree(blip, tmp_path / "b")
    spoil(tmp_path / "b")
    with pytest.raises(InputError, match=message):
        BlipCaptioner(tmp_path / "b")


def test_captioners_have_names(monkeypatch, tmp_path):
    assert isinstance(build_captioner("vocabulary", color_encoders()), VocabularyCaptioner)
    monkeypatch.setenv("VIDEO_SUMMARY_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="blip-image-captioning-base: no BLIP model"):
        build_captioner("blip", color_encoders())
    with pytest.raises(InputError, match="captioner 'x': choose vocabulary or blip"):
        build_captioner("x", color_encoders())


def test_what_shots_show_is_told_when_nothing_is_asked(video):
    class Teller(VocabularyCaptioner):
        def sentences(self, video, shots):
            return [f"shot {i}" for i in range(len(shots))]

    encoders = color_encoders()
    summarizer = Summarizer(encoders, captioner=Teller(encoders))
    told = summarizer.summarize(video).to_json()
    starts, ends = [c["start"] for c in told["captions"]], [c["end"] for c in told["captions"]]   # shots by looks alone
    assert [c["text"] for c in told["captions"]] == [f"shot {i}" for i in range(len(starts))] and len(starts) > 1
    assert starts == [0, *ends[:-1]] and ends[-1] == told["duration"]
    assert set(starts) <= {s["start"] for s in told["shots"]} and told["sentences"] == []   # nothing here reads them
    assert summarizer.summarize(video, ["red"]).to_json()["captions"] == []
    assert "Captions generated from the frames" in report_html(summarizer.summarize(video)) and "shot 0" in report_html(summarizer.summarize(video))
    assert "Captions generated from the frames" not in report_html(summarizer.summarize(video, ["red"]))


def test_modelscopes_call_gives_the_frames_and_times_that_are_asked_for(tmp_path):
    """100 s at 10 frames a second; red from 20 to 28, blue from 40 to 46: 14 s, and 15 s are to be kept."""
    path = write_video(tmp_path / "v.mp4", ["grey"] * 20 + ["red"] * 8 + ["grey"] * 12 + ["blue"] * 6 + ["grey"] * 54)
    summarizer = Summarizer(color_encoders())
    expected = {"output": [{"frame": [200, 279], "timestamps": ["00:00:20.000", "00:00:28.000"]},
                           {"frame": [400, 459], "timestamps": ["00:00:40.000", "00:00:46.000"]}]}
    assert summarizer((str(path), ["red", "blue"])) == summarizer((path, ["blue", "red"])) == expected
    (red,), (blue,) = (summarizer((path, text))["output"] for text in ("red", "blue"))   # the rest of 15 s lies beside
    assert red["frame"][0] <= 200 and red["frame"][1] >= 279 and blue["frame"][0] <= 400 and blue["frame"][1] >= 459
    assert max(last - first + 1 for first, last in (red["frame"], blue["frame"])) <= 150


def test_it_is_called_as_modelscopes_pipeline(video):
    summarizer = Summarizer(color_encoders())
    found = summarizer((str(video.info.path), ["blue"]))
    assert list(found) == ["output"] and found["output"] == summarizer.summarize(video, ["blue"]).to_json()["summary"]
    first, last = found["output"][0]["frame"]
    assert 40 <= first <= last < 80 and found["output"][0]["timestamps"][0].startswith("00:00:0")
    for nothing in (None, [], "", [""]):
        assert summarizer((video.info.path, nothing))["output"] == summarizer.summarize(video).to_json()["summary"]
    assert summarizer((video.info.path, "blue")) == found
    with pytest.raises(InputError, match="give .path of the video, sentences."):
        summarizer("v.mp4")
    for odd in ((video.info.path, 5), (3, ["x"]), (video.info.path, ["blue", 5]), (None, None), (video.info.path, {"blue": 1})):
        with pytest.raises(InputError, match="give the path of a video, and a sentence, a list of sentences or None"):
            summarizer(odd)
