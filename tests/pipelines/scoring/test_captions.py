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
    NAMES_WITHOUT_ARTICLE,
    PLURALS,
    UNNAMED,
    BlipCaptioner,
    Caption,
    VocabularyCaptioner,
    build_captioner,
    class_sentence,
    to_sentence,
    with_article,
)
from pipelines.summarizer import Summarizer
from tests.pipelines.fakes import color_encoders, write_video


class FixedClassifier(VisualEncoder):
    """A visual encoder with given class probabilities (T, 3) of the clips."""

    def __init__(self, probabilities):
        super().__init__()
        self.fixed_probabilities = np.array(probabilities)

    def classify(self, features, text):
        return ["cat", "apple", "dog"], self.fixed_probabilities


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = write_video(tmp_path_factory.mktemp("v") / "v.mp4", ["red"] * 4 + ["blue"] * 4)
    return encode_video(path, color_encoders(), progress=False)


def captions_of(video, probabilities, shots):
    return VocabularyCaptioner(Encoders(FixedClassifier(probabilities), None)).captions(video, np.array(shots))


def test_a_shot_is_captioned_by_its_most_probable_classes(video):
    probabilities = [[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.34, 0.33, 0.33]]
    assert captions_of(video, probabilities, [[0, 1], [2, 2], [3, 3]]) == [
        Caption(Fraction(0), Fraction(4), "This shows a cat and an apple."),   # Means 0.6, 0.3, 0.1: the ratio is 0.5.
        Caption(Fraction(4), Fraction(6), "This shows an apple."),
        Caption(Fraction(6), Fraction(8), "This may show a cat or an apple.")]   # 0.34 is below 0.5.
    texts = [c.text for c in captions_of(video, probabilities, [[0, 0], [2, 2], [3, 3]])]
    assert texts == ["This shows a cat.", "This shows an apple.", "This may show a cat or an apple."]


def test_consecutive_shots_with_the_same_sentence_are_merged(video):
    rows = [[0.8, 0.1, 0.1]] * 2 + [[0.1, 0.04, 0.04]] * 2
    assert captions_of(video, rows, [[0, 0], [1, 1], [2, 3]]) == [
        Caption(Fraction(0), Fraction(4), "This shows a cat."),
        Caption(Fraction(4), Fraction(8), "This may show a cat.")]


def test_two_improbable_classes_are_joined_by_or(video):
    captions = captions_of(video, [[0.1, 0.08, 0.0]] * 4, [[0, 3]])
    assert [c.text for c in captions] == ["This may show a cat or an apple."]


def test_a_shot_without_a_probable_class_is_unnamed(video):
    rows = [[0.09, 0.03, 0.08]] * 3 + [[0.11, 0.01, 0.01]]
    captions = captions_of(video, rows, [[0, 0], [1, 2], [3, 3]])
    assert [(c.text, float(c.end_s)) for c in captions] == [(UNNAMED, 6), ("This may show a cat.", 8)]


@pytest.mark.parametrize("name, expected", [
    ("apple", "an apple"), ("European gallinule", "a European gallinule"),
    ("unicycle", "a unicycle"), ("umbrella", "an umbrella"),
    ("hourglass", "an hourglass"), ("honeycomb", "a honeycomb"), ("sunglasses", "sunglasses"),
    ("hay", "hay"), ("jean", "jeans"), ("Irish setter", "an Irish setter")])
def test_articles_follow_pronunciation_and_number(name, expected):
    assert with_article(name) == expected


def test_every_class_name_of_imagenet_gives_a_sentence():
    names = class_names()
    assert len(names) == 1000
    assert set(names) >= NAMES_WITHOUT_ARTICLE
    for i in range(0, 1000, 37):
        text = class_sentence(names, np.eye(1000)[i])
        assert text.startswith("This shows ")
        assert text.endswith(f"{names[i]}.")
    assert set(names) >= set(PLURALS)


def test_blank_clips_are_skipped_and_blank_shots_show_nothing(tmp_path):
    path = write_video(tmp_path / "v.mp4", ["red"] * 2 + ["black"] * 6)
    dark = encode_video(path, color_encoders(), progress=False)
    rows = [[0.6, 0.3, 0.1], [0, 1, 0], [0, 1, 0], [0, 1, 0]]
    # The second clip of the first shot is blank.
    assert [c.text for c in captions_of(dark, rows, [[0, 1], [2, 3]])] == ["This shows a cat and an apple.", BLANK]


@pytest.mark.parametrize("text, expected", [
    ("a cat on a table", "A cat on a table."), ("Who is it?", "Who is it?"), (" x ", "X.")])
def test_a_generated_caption_becomes_a_sentence(text, expected):
    assert to_sentence(text) == expected


def test_the_embedded_encoder_classifies_a_cat_and_a_cup():
    encoders = build_encoders(dict(visual=dict(type="EfficientNetConSE"), text=dict(type="MiniLMText")))
    images = torch.stack([encoders.visual.preprocess(image) for image in (data.chelsea(), data.coffee())])
    with torch.no_grad():
        names, probabilities = encoders.visual.classify(
            {part: rows.numpy() for part, rows in encoders.visual(images).items()}, encoders.text)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    cat, cup = (names[i] for i in probabilities.argmax(axis=1))
    assert cat in ("Egyptian cat", "tabby", "tiger cat")
    assert cup == "espresso"


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    """Write a small BLIP with random weights in the format of transformers."""
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
        text_config=dict(**small, encoder_hidden_size=16, vocab_size=len(vocabulary), bos_token_id=5, eos_token_id=3,
                         pad_token_id=0, sep_token_id=3, max_position_embeddings=32, is_decoder=True),
        vision_config=dict(**small, image_size=32, patch_size=16), projection_dim=16, image_text_hidden_size=16)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size=dict(height=32, width=32)), tokenizer).save_pretrained(folder)
    # Some versions of transformers save all processors in one file.
    if not (folder / "preprocessor_config.json").is_file():
        BlipImageProcessor(size=dict(height=32, width=32)).save_pretrained(folder)
    return folder


def test_blip_is_deterministic(blip, video):
    captioner = BlipCaptioner(blip, max_words=6)
    shots = np.array([[0, 0], [1, 1], [2, 3]])
    sentences = captioner.describe(video, shots)
    assert len(sentences) == 3
    assert all(isinstance(text, str) for text in sentences)
    assert all(text[0] == text[0].upper() for text in sentences)
    assert all(text.endswith(".") for text in sentences)
    assert captioner.describe(video, shots) == sentences


def remove_weights_of_a_layer(path):
    weights = load_file(path)
    kept = {key: value for key, value in weights.items() if "vision_model.encoder.layers.0.mlp.fc1" not in key}
    assert len(kept) < len(weights)
    save_file(kept, path, metadata=dict(format="pt"))


@pytest.mark.parametrize("spoil, message", [
    pytest.param(lambda f: (f / "config.json").unlink(),
                 "no BLIP model .config.json is missing.; download all files of https://huggingface.co", id="no_config"),
    pytest.param(lambda f: (f / "model.safetensors").unlink(), r"no BLIP model .\*.safetensors is missing",
                 id="no_weights"),
    pytest.param(lambda f: (f / "model.safetensors").write_bytes(b"no"), "not a BLIP captioning model",
                 id="damaged_weights"),
    pytest.param(lambda f: remove_weights_of_a_layer(f / "model.safetensors"),
                 r": . weights of a BLIP captioning model are missing, e.g.", id="missing_weights")])
def test_a_missing_or_damaged_blip_is_an_error(blip, tmp_path, spoil, message):
    import shutil
    shutil.copytree(blip, tmp_path / "b")
    spoil(tmp_path / "b")
    with pytest.raises(InputError, match=message):
        BlipCaptioner(tmp_path / "b")


def test_captioners_are_built_by_name(monkeypatch, tmp_path):
    assert isinstance(build_captioner("vocabulary", color_encoders()), VocabularyCaptioner)
    monkeypatch.setenv("VIDEO_SUMMARY_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="blip-image-captioning-base: no BLIP model"):
        build_captioner("blip", color_encoders())
    with pytest.raises(InputError, match="captioner 'x' does not exist; choose vocabulary or blip"):
        build_captioner("x", color_encoders())


def test_shots_are_captioned_if_there_is_no_query(video):
    class NumberingCaptioner(VocabularyCaptioner):
        def describe(self, video, shots):
            return [f"shot {i}" for i in range(len(shots))]

    encoders = color_encoders()
    summarizer = Summarizer(encoders, captioner=NumberingCaptioner(encoders))
    result = summarizer.summarize(video)
    contents = result.to_json()
    starts = [caption["start"] for caption in contents["captions"]]
    ends = [caption["end"] for caption in contents["captions"]]
    assert [caption["text"] for caption in contents["captions"]] == [f"shot {i}" for i in range(len(starts))]
    assert len(starts) > 1
    assert starts == [0, *ends[:-1]]
    assert ends[-1] == contents["duration"]
    assert set(starts) <= {shot["start"] for shot in contents["shots"]}
    assert contents["sentences"] == []   # Novelty does not use captions.
    assert "Captions generated from the frames" in report_html(result)
    assert "shot 0" in report_html(result)


def test_there_are_no_captions_if_there_is_a_query(video):
    encoders = color_encoders()
    result = Summarizer(encoders, captioner=VocabularyCaptioner(encoders)).summarize(video, ["red"])
    assert result.to_json()["captions"] == []
    assert "Captions generated from the frames" not in report_html(result)
