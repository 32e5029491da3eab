"""models/encoders/efficient_net_conse.py: the published network on real photographs, and ConSE's sums."""

import numpy as np
import pytest
import torch
from skimage import data as photographs
from sklearn.datasets import load_sample_image

from common.errors import InputError
from models.encoders import EfficientNetConSE, MiniLMText, efficient_net_conse
from models.encoders.efficient_net_conse import PACKAGE, WEIGHTS, WORDINGS, class_embeddings, class_names
from models.encoders.weights import find_in_package, read_weights


@pytest.fixture(scope="module")
def encoder():
    return EfficientNetConSE().eval()


@pytest.fixture(scope="module")
def photos():
    return dict(cat=photographs.chelsea(), coffee=photographs.coffee(), rocket=photographs.rocket(),
                flower=load_sample_image("flower.jpg"), temple=load_sample_image("china.jpg"))


@pytest.fixture(scope="module")
def features(encoder, photos):
    with torch.inference_mode():
        return encoder(torch.stack([encoder.preprocess(p) for p in photos.values()]))


def test_sees_what_the_photographs_show(encoder, features):
    names = class_names()
    shown = encoder.probabilities(features["efficientnet_lite0"]).topk(3).indices
    words = [" ".join(names[i] for i in row) for row in shown.tolist()]
    for word, found in zip(("cat", "espresso", "missile", "daisy", "palace"), words, strict=True):
        assert word in found


def test_simplified_network_gives_what_the_published_one_gives(encoder, photos, features):
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(read_weights(find_in_package(PACKAGE, *WEIGHTS)))
    images = torch.stack([encoder.preprocess(p) for p in photos.values()])
    with torch.inference_mode():
        pooled, logits = network.extract_features(images).mean(dim=(2, 3)), network(images)
    torch.testing.assert_close(features["efficientnet_lite0"], pooled, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(encoder.probabilities(features["efficientnet_lite0"]), logits.softmax(-1),
                               atol=1e-4, rtol=1e-3)


def test_pixels_are_minus_127_over_128(encoder):
    frame = np.zeros((300, 400, 3), dtype=np.uint8)
    frame[:] = (255, 127, 0)
    found = encoder.preprocess(frame)
    assert found.shape == (3, 224, 224) and found.dtype == torch.float32
    np.testing.assert_allclose(found[:, 100, 100], [1, 0, -127 / 128], atol=1e-6)


def test_class_embeddings_are_means_of_wordings():
    names, found = class_names(), class_embeddings()
    assert found.shape == (1000, 384) and (names[0], names[281]) == ("tench", "tabby")
    for i in (0, 281, 999):
        wordings = [f.pooler_output for f in MiniLMText().encode([w.format(names[i]) for w in WORDINGS])]
        expected = np.mean(wordings, axis=0)
        assert np.linalg.norm(found[i] - expected) < 0.01 * np.linalg.norm(expected)


@pytest.fixture
def embedded(monkeypatch, tmp_path):
    """How often the class names were embedded, with a cache folder of its own."""
    calls = []

    def embed(texts):
        calls.append(len(texts))
        return np.random.default_rng(len(calls)).normal(size=(len(texts), 384)).astype(np.float32)

    monkeypatch.setattr(efficient_net_conse, "_embed", embed)
    monkeypatch.setenv("VIDEO_SUMMARY_CACHE", str(tmp_path / "cache"))
    class_embeddings.cache_clear()
    yield calls
    class_embeddings.cache_clear()


def test_class_embeddings_are_kept_in_the_cache_folder(embedded, tmp_path):
    first = class_embeddings()
    class_embeddings.cache_clear()   # as in another process
    np.testing.assert_array_equal(class_embeddings(), first)
    assert embedded == [3000] and len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"no array", np.zeros((3, 384), np.float32),
                                    np.full((1000, 384), np.nan, np.float32), np.zeros((1000, 384))])
def test_damaged_class_embeddings_are_made_again(embedded, tmp_path, damage):
    class_embeddings()
    kept, = (tmp_path / "cache").iterdir()
    if isinstance(damage, bytes):
        kept.write_bytes(damage)
    else:
        np.save(kept, damage)
    class_embeddings.cache_clear()
    again = class_embeddings()
    assert embedded == [3000, 3000] and again.shape == (1000, 384)
    np.testing.assert_array_equal(np.load(kept), again)


def test_without_a_cache_folder_class_embeddings_are_made_all_the_same(embedded, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VIDEO_SUMMARY_CACHE", str(tmp_path / "file"))
    assert class_embeddings().shape == (1000, 384) and embedded == [3000]


def test_the_conse_point_is_that_of_a_slow_twin(encoder, features):
    embeddings = class_embeddings()
    probabilities = encoder.probabilities(features["efficientnet_lite0"]).detach().numpy().astype(float)
    for row, found in zip(probabilities, features["conse"].numpy(), strict=True):
        point, total = np.zeros(384), sum(p**0.5 for p in row)
        for p, name in zip(row, embeddings - embeddings.mean(axis=0), strict=True):
            point += p**0.5 / total * name
        np.testing.assert_allclose(found, point, atol=1e-6)


def test_finds_the_photograph_that_a_sentence_tells_of(encoder, features):
    asked = ["a cat looks at you", "a cup of coffee on a table", "a rocket is launched", "a flower in the garden",
             "an old temple in China"]
    sentences = np.stack([f.pooler_output for f in MiniLMText().encode(asked)])
    cosines = encoder.similarity(features["conse"].numpy(), sentences)
    assert cosines.shape == (5, 5) and np.abs(cosines).max() <= 1 + 1e-6
    assert cosines.argmax(axis=0).tolist() == [0, 1, 2, 3, 4]


def test_similarity_centres_clips_by_their_video_and_sentences_by_the_mean_class(encoder):
    rng = np.random.default_rng(0)
    clips, sentences = rng.normal(size=(4, 384)), rng.normal(size=(2, 384))
    mean_class = class_embeddings().mean(axis=0)
    for T in (4, 1):
        middle = sum(clips) / 4 if T > 1 else 0
        slow = [[(c - middle) @ (s - mean_class) / np.linalg.norm(c - middle) / np.linalg.norm(s - mean_class)
                 for s in sentences] for c in clips[:T]]
        np.testing.assert_allclose(encoder.similarity(clips[:T], sentences), slow, atol=1e-5)
    with pytest.raises(InputError, match="compares sentences 384 wide, but these are 512 wide"):
        encoder.similarity(clips, np.zeros((1, 512)))


def test_order_and_company_change_nothing(encoder, photos, features):
    images = torch.stack([encoder.preprocess(p) for p in photos.values()])
    with torch.inference_mode():
        alone, reversed_ = encoder(images[1:2]), encoder(images.flip(0))
    for part in encoder.parts:
        assert features[part].shape == (5, encoder.parts[part]) and features[part].dtype == torch.float32
        torch.testing.assert_close(alone[part][0], features[part][1], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(reversed_[part].flip(0), features[part], atol=1e-5, rtol=1e-4)
