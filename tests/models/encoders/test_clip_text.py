"""models/encoders/clip_text.py: equal to OpenAI's `encode_text`; long texts whole."""

import numpy as np
import pytest
import torch

from common.errors import InputError
from models.encoders import CLIPText

START, END = 49406, 49407
TEXTS = ["a dog runs on the beach", "A DOG", "собака бежит 🐕 犬", "one " * 75]


@pytest.fixture(scope="module")
def encoder(clip_file):
    return CLIPText(weights=clip_file).eval()


def official_ids(encoder, text):
    return [START, *encoder.tokenizer.encode(text), END]


def test_sentences_are_encode_texts(encoder, clip_network):
    padded = torch.zeros(len(TEXTS), 77, dtype=torch.int)
    for row, text in zip(padded, TEXTS, strict=True):
        ids = official_ids(encoder, text)
        row[:len(ids)] = torch.tensor(ids)
    with torch.inference_mode():
        expected = clip_network.encode_text(padded).numpy()
    found = np.stack([f.pooler_output for f in encoder.encode(TEXTS)])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (encoder.name, encoder.dims) == ("clip_text_b32", 64)


def test_tokens_end_with_the_end_token_and_project_to_the_sentence(encoder, clip_network):
    for text, feature in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        assert feature.last_hidden_state.shape == (len(official_ids(encoder, text)), 64)
        assert feature.last_hidden_state.dtype == feature.pooler_output.dtype == np.float32
        projected = feature.last_hidden_state[-1] @ clip_network.text_projection.detach().numpy()
        np.testing.assert_allclose(projected, feature.pooler_output, atol=1e-5)


def test_tokens_come_after_the_last_layer_norm(encoder, clip_network):
    norm = clip_network.ln_final
    rows = encoder.encode(["a red car"])[0].last_hidden_state
    plain = (rows - norm.bias.detach().numpy()) / norm.weight.detach().numpy()
    np.testing.assert_allclose(plain.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(plain.std(axis=1), 1, atol=1e-3)


def test_a_long_text_is_its_pieces(encoder):
    words = [f"word{i}" for i in range(100)]   # two or three tokens each, so several pieces
    ids = encoder.tokenizer.encode(" ".join(words))
    cuts = [ids[i:i + 75] for i in range(0, len(ids), 75)]
    assert len(cuts) > 2
    pieces = [encoder._encode_pieces([[START, *cut, END]])[0] for cut in cuts]
    whole = encoder.encode([" ".join(words)])[0]
    np.testing.assert_allclose(whole.last_hidden_state, np.concatenate([p.last_hidden_state for p in pieces]),
                               atol=1e-5)
    mean = sum((len(cut) + 2) * p.pooler_output for cut, p in zip(cuts, pieces, strict=True))
    mean = mean / np.linalg.norm(mean) * np.mean([np.linalg.norm(p.pooler_output) for p in pieces])
    np.testing.assert_allclose(whole.pooler_output, mean, atol=1e-4)


def test_company_changes_nothing(encoder):
    alone = encoder.encode([TEXTS[0]])[0]
    among = encoder.encode(["x " * 200, *TEXTS, *["y"] * 40])[1]
    np.testing.assert_allclose(among.last_hidden_state, alone.last_hidden_state, atol=1e-5)
    np.testing.assert_allclose(among.pooler_output, alone.pooler_output, atol=1e-5)


def test_refuses_an_empty_text(encoder):
    with pytest.raises(InputError, match=r"query 2 is empty"):
        encoder.encode(["a dog", " \n"])


def test_refuses_weights_of_another_tokenizer(clip_network, tmp_path):
    state = clip_network.state_dict()
    state["token_embedding.weight"] = state["token_embedding.weight"][:1000]
    torch.save(state, tmp_path / "small.pt")
    with pytest.raises(InputError, match=r"small\.pt: knows 1000 tokens, CLIP's tokenizer 49408"):
        CLIPText(weights=tmp_path / "small.pt")
