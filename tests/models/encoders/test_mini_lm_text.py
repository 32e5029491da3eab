"""MiniLMText equals the published network, for texts of any length in any script."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from common.errors import InputError
from models.encoders import MiniLMText
from models.encoders.mini_lm_text import PACKAGE, WEIGHTS
from models.encoders.weights import find_in_package
from tests.paths import ROOT

TEXTS = ["A man is eating food.", "A man is eating a piece of bread.", "собака бежит по пляжу 🐕", "犬が走る",
         "كلب", "NAÏVE café", "x", "The quick brown fox jumps over the lazy dog. " * 9]


@pytest.fixture(scope="module")
def encoder():
    return MiniLMText().eval()


@pytest.fixture(scope="module")
def tokenizer():
    """Load the tokenizer with transformers."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(find_in_package(PACKAGE, *WEIGHTS).parent, local_files_only=True)


@pytest.fixture(scope="module")
def published():
    """Load the published network with transformers."""
    from transformers import BertModel

    return BertModel.from_pretrained(find_in_package(PACKAGE, *WEIGHTS).parent, local_files_only=True).eval()


def reference_features(published, tokenizer, text):
    """Encode one text without padding."""
    ids = tokenizer(text, truncation=False)["input_ids"]
    with torch.inference_mode():
        tokens = published(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    mean = tokens.mean(axis=0)
    return tokens, mean / np.linalg.norm(mean)


def test_tokens_and_embeddings_equal_those_of_the_published_network(encoder, published, tokenizer):
    for text, feature in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        tokens, embedding = reference_features(published, tokenizer, text)
        np.testing.assert_allclose(feature.last_hidden_state, tokens, atol=1e-5)
        np.testing.assert_allclose(feature.pooler_output, embedding, atol=1e-6)
        assert feature.last_hidden_state.dtype == np.float32
        assert feature.pooler_output.dtype == np.float32
        assert feature.last_hidden_state.shape[1] == encoder.dims == 384


def test_embeddings_equal_those_of_sentence_transformers(encoder):
    library = pytest.importorskip("sentence_transformers")
    reference = library.SentenceTransformer(str(find_in_package(PACKAGE, *WEIGHTS).parent), device="cpu")
    reference.max_seq_length = 256   # The tokenizer's file specifies 128.
    embeddings = np.stack([f.pooler_output for f in encoder.encode(TEXTS)])
    np.testing.assert_allclose(embeddings, reference.encode(TEXTS), atol=1e-5)


def test_similar_sentences_are_close_and_others_are_not(encoder):
    """The documentation of the model states a cosine similarity of 0.7553 for the first pair."""
    eating, bread, cheetah = (f.pooler_output for f in encoder.encode([*TEXTS[:2], "A cheetah is running."]))
    assert eating @ bread == pytest.approx(0.7553, abs=2e-4)
    assert eating @ cheetah < 0.2


def test_a_long_text_is_encoded_in_chunks_without_truncation(encoder):
    words = ["river", "stone", "cloud", "train", "apple", "music", "window"] * 90   # One token each.
    text = encoder.encode([" ".join(words)])[0]
    chunks = encoder.encode([" ".join(words[i:i + 254]) for i in range(0, len(words), 254)])
    assert text.last_hidden_state.shape == (630 + 2 * 3, 384)
    np.testing.assert_allclose(text.last_hidden_state, np.concatenate([c.last_hidden_state for c in chunks]),
                               atol=1e-5)
    mean = 256 * chunks[0].pooler_output + 256 * chunks[1].pooler_output + 124 * chunks[2].pooler_output
    np.testing.assert_allclose(text.pooler_output, mean / np.linalg.norm(mean), atol=1e-5)
    changed = encoder.encode([" ".join([*words, "crocodile"])])[0]
    assert np.abs(changed.pooler_output - text.pooler_output).max() > 1e-3   # The last word has an effect.


def test_other_texts_in_a_batch_change_nothing(encoder):
    alone = encoder.encode([TEXTS[0]])[0]
    batched = encoder.encode([*TEXTS[1:], TEXTS[0], *["filler"] * 140])[len(TEXTS) - 1]
    np.testing.assert_allclose(batched.last_hidden_state, alone.last_hidden_state, atol=1e-5)


def test_an_empty_text_is_refused(encoder):
    with pytest.raises(InputError, match="query 1 is empty"):
        encoder.encode(["  "])


def test_a_text_without_visible_characters_is_refused(encoder):
    with pytest.raises(InputError, match=r"the text '\\u200b\\x00' has no visible character"):
        encoder.encode(["\u200b\x00"])


@pytest.mark.slow
def test_libraries_that_take_seconds_to_import_are_not_imported():
    script = ("import sys; from models.encoders import MiniLMText; "
             "print(len(MiniLMText().encode(['a'])[0].pooler_output)); "
             "print([name for name in ('transformers', 'torchvision', 'torch._dynamo') if name in sys.modules])")
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=clean, capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["384", "[]"], done.stderr


@pytest.mark.slow
def test_transformers_works_with_our_datasets_package():
    """Import a class of transformers, which looks for a library of the same name as our package `datasets`."""
    script = "import datasets; from transformers import BlipProcessor; print(datasets.__path__[0])"
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=clean, capture_output=True, text=True)
    assert done.stdout.split() == [str(ROOT / "datasets")], done.stderr


def test_embeddings_are_those_of_encode_for_repeated_and_long_texts(encoder):
    texts = [*TEXTS, TEXTS[0], "river stone cloud " * 200]
    shares = []
    rows = encoder.embed(texts, shares.append)
    np.testing.assert_allclose(rows, np.stack([f.pooler_output for f in encoder.encode(texts)]), atol=1e-6)
    assert np.array_equal(rows[0], rows[len(TEXTS)])
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_equal_texts_are_encoded_once(encoder, monkeypatch):
    encoded = []
    original = encoder._encode_chunks
    monkeypatch.setattr(encoder, "_encode_chunks", lambda chunks: encoded.extend(chunks) or original(chunks))
    assert encoder.embed(["yes"] * 1000 + ["no"]).shape == (1001, 384)
    assert len(encoded) == 2


def test_batches_have_a_limited_number_of_tokens_with_padding():
    lengths = np.random.default_rng(0).integers(2, 257, 300).tolist()
    batches = list(MiniLMText._batches(None, lengths))
    assert sorted(index for batch in batches for index in batch) == list(range(300))
    sizes = [len(batch) * max(lengths[index] for index in batch) for batch in batches]
    assert max(sizes) <= 2048
    # A further chunk would exceed the limit, since the next one is at least as long.
    for batch, following in zip(batches, batches[1:], strict=False):
        assert (len(batch) + 1) * min(lengths[index] for index in following) > 2048
    assert list(MiniLMText._batches(None, [])) == []
    assert list(MiniLMText._batches(None, [5000, 3])) == [[1], [0]]
