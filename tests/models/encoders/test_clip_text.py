"""CLIPText equals OpenAI's `encode_text`, and encodes long texts completely."""

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


def test_embeddings_equal_encode_text(encoder, clip_network):
    padded = torch.zeros(len(TEXTS), 77, dtype=torch.int)
    for row, text in zip(padded, TEXTS, strict=True):
        ids = official_ids(encoder, text)
        row[:len(ids)] = torch.tensor(ids)
    with torch.inference_mode():
        expected = clip_network.encode_text(padded).numpy()
    embeddings = np.stack([f.pooler_output for f in encoder.encode(TEXTS)])
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)
    assert encoder.name == "clip_text_b32"
    assert encoder.dims == 64


def test_the_last_token_is_the_end_token_and_projects_to_the_embedding(encoder, clip_network):
    for text, feature in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        assert feature.last_hidden_state.shape == (len(official_ids(encoder, text)), 64)
        assert feature.last_hidden_state.dtype == np.float32
        assert feature.pooler_output.dtype == np.float32
        projected = feature.last_hidden_state[-1] @ clip_network.text_projection.detach().numpy()
        np.testing.assert_allclose(projected, feature.pooler_output, atol=1e-5)


def test_tokens_are_the_output_of_the_last_layer_norm(encoder, clip_network):
    norm = clip_network.ln_final
    rows = encoder.encode(["a red car"])[0].last_hidden_state
    normalized = (rows - norm.bias.detach().numpy()) / norm.weight.detach().numpy()
    np.testing.assert_allclose(normalized.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(normalized.std(axis=1), 1, atol=1e-3)


def test_a_long_text_is_encoded_in_chunks(encoder):
    words = [f"word{i}" for i in range(100)]   # Two or three tokens each, so the text has several chunks.
    ids = encoder.tokenizer.encode(" ".join(words))
    chunk_ids = [ids[i:i + 75] for i in range(0, len(ids), 75)]
    assert len(chunk_ids) > 2
    chunks = [encoder._encode_chunks([[START, *ids, END]])[0] for ids in chunk_ids]
    text = encoder.encode([" ".join(words)])[0]
    np.testing.assert_allclose(text.last_hidden_state, np.concatenate([c.last_hidden_state for c in chunks]),
                               atol=1e-5)
    mean = sum((len(ids) + 2) * c.pooler_output for ids, c in zip(chunk_ids, chunks, strict=True))
    mean = mean / np.linalg.norm(mean) * np.mean([np.linalg.norm(c.pooler_output) for c in chunks])
    np.testing.assert_allclose(text.pooler_output, mean, atol=1e-4)


def test_other_texts_in_a_batch_change_nothing(encoder):
    alone = encoder.encode([TEXTS[0]])[0]
    batched = encoder.encode(["x " * 200, *TEXTS, *["y"] * 40])[1]
    np.testing.assert_allclose(batched.last_hidden_state, alone.last_hidden_state, atol=1e-5)
    np.testing.assert_allclose(batched.pooler_output, alone.pooler_output, atol=1e-5)


def test_an_empty_text_is_refused(encoder):
    with pytest.raises(InputError, match=r"query 2 is empty"):
        encoder.encode(["a dog", " \n"])


def test_weights_for_another_tokenizer_are_refused(clip_network, tmp_path):
    state = clip_network.state_dict()
    state["token_embedding.weight"] = state["token_embedding.weight"][:1000]
    torch.save(state, tmp_path / "small.pt")
    message = r"small\.pt: its vocabulary has 1000 tokens, but that of CLIP's tokenizer has 49408"
    with pytest.raises(InputError, match=message):
        CLIPText(weights=tmp_path / "small.pt")
