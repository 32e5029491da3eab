"""EfficientNetConSE equals the published network on real photographs, and a naive ConSE."""

import numpy as np
import pytest
import torch
from skimage import data as photographs
from sklearn.datasets import load_sample_image

from common.errors import InputError
from models.encoders import EfficientNetConSE, MiniLMText, efficient_net_conse
from models.encoders.efficient_net_conse import PACKAGE, PROMPTS, WEIGHTS, class_embeddings, class_names
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


def test_photographs_are_classified(encoder, features):
    names = class_names()
    shown = encoder.probabilities(features["efficientnet_lite0"]).topk(3).indices
    predictions = [" ".join(names[i] for i in row) for row in shown.tolist()]
    for expected, prediction in zip(("cat", "espresso", "missile", "daisy", "palace"), predictions, strict=True):
        assert expected in prediction


def test_the_optimized_network_equals_the_published_one(encoder, photos, features):
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(read_weights(find_in_package(PACKAGE, *WEIGHTS)))
    images = torch.stack([encoder.preprocess(p) for p in photos.values()])
    with torch.inference_mode():
        pooled, logits = network.extract_features(images).mean(dim=(2, 3)), network(images)
    torch.testing.assert_close(features["efficientnet_lite0"], pooled, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(encoder.probabilities(features["efficientnet_lite0"]), logits.softmax(-1),
                               atol=1e-4, rtol=1e-3)


def test_pixels_are_scaled_as_published(encoder):
    frame = np.zeros((300, 400, 3), dtype=np.uint8)
    frame[:] = (255, 127, 0)
    image = encoder.preprocess(frame)
    assert image.shape == (3, 224, 224)
    assert image.dtype == torch.float32
    np.testing.assert_allclose(image[:, 100, 100], [1, 0, -127 / 128], atol=1e-6)


def test_class_embeddings_are_means_over_the_prompts():
    names, embeddings = class_names(), class_embeddings()
    assert embeddings.shape == (1000, 384)
    assert (names[0], names[281]) == ("tench", "tabby")
    for i in (0, 281, 999):
        prompts = [f.pooler_output for f in MiniLMText().encode([prompt.format(names[i]) for prompt in PROMPTS])]
        expected = np.mean(prompts, axis=0)
        assert np.linalg.norm(embeddings[i] - expected) < 0.01 * np.linalg.norm(expected)


@pytest.fixture
def embedded(monkeypatch, tmp_path):
    """Replace the text encoder, and use an empty cache folder; yield the numbers of texts of all calls."""
    calls = []

    def embed(texts):
        calls.append(len(texts))
        return np.random.default_rng(len(calls)).normal(size=(len(texts), 384)).astype(np.float32)

    monkeypatch.setattr(efficient_net_conse, "_embed", embed)
    monkeypatch.setenv("VIDEO_SUMMARY_CACHE", str(tmp_path / "cache"))
    class_embeddings.cache_clear()
    yield calls
    class_embeddings.cache_clear()


def test_class_embeddings_are_stored_in_the_cache_folder(embedded, tmp_path):
    first = class_embeddings()
    class_embeddings.cache_clear()   # As in another process.
    np.testing.assert_array_equal(class_embeddings(), first)
    assert embedded == [3000]
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize("damage", [
    pytest.param(b"", id="empty"),
    pytest.param(b"no array", id="text"),
    pytest.param(np.zeros((3, 384), np.float32), id="other_shape"),
    pytest.param(np.full((1000, 384), np.nan, np.float32), id="nan"),
    pytest.param(np.zeros((1000, 384)), id="float64"),
])
def test_damaged_class_embeddings_are_computed_again(embedded, tmp_path, damage):
    class_embeddings()
    cached, = (tmp_path / "cache").iterdir()
    if isinstance(damage, bytes):
        cached.write_bytes(damage)
    else:
        np.save(cached, damage)
    class_embeddings.cache_clear()
    again = class_embeddings()
    assert embedded == [3000, 3000]
    assert again.shape == (1000, 384)
    np.testing.assert_array_equal(np.load(cached), again)


def test_class_embeddings_need_no_cache_folder(embedded, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VIDEO_SUMMARY_CACHE", str(tmp_path / "file"))
    assert class_embeddings().shape == (1000, 384)
    assert embedded == [3000]


def test_the_conse_point_equals_a_naive_one(encoder, features):
    embeddings = class_embeddings()
    probabilities = encoder.probabilities(features["efficientnet_lite0"]).detach().numpy().astype(float)
    for row, conse in zip(probabilities, features["conse"].numpy(), strict=True):
        point, total = np.zeros(384), sum(p**0.5 for p in row)
        for p, embedding in zip(row, embeddings - embeddings.mean(axis=0), strict=True):
            point += p**0.5 / total * embedding
        np.testing.assert_allclose(conse, point, atol=1e-6)


def test_each_description_is_most_similar_to_its_photograph(encoder, features):
    queries = ["a cat looks at you", "a cup of coffee on a table", "a rocket is launched", "a flower in the garden",
               "an old temple in China"]
    sentences = np.stack([f.pooler_output for f in MiniLMText().encode(queries)])
    cosines = encoder.similarity(features["conse"].numpy(), sentences)
    assert cosines.shape == (5, 5)
    assert np.abs(cosines).max() <= 1 + 1e-6
    assert cosines.argmax(axis=0).tolist() == [0, 1, 2, 3, 4]


def test_similarity_centers_clips_by_their_video_and_texts_by_the_mean_class(encoder):
    rng = np.random.default_rng(0)
    clips, sentences = rng.normal(size=(4, 384)), rng.normal(size=(2, 384))
    mean_class = class_embeddings().mean(axis=0)
    for T in (4, 1):
        mean_clip = sum(clips) / 4 if T > 1 else 0
        expected = [
            [(c - mean_clip) @ (s - mean_class) / np.linalg.norm(c - mean_clip) / np.linalg.norm(s - mean_class)
             for s in sentences] for c in clips[:T]]
        np.testing.assert_allclose(encoder.similarity(clips[:T], sentences), expected, atol=1e-5)


def test_texts_of_another_width_are_refused(encoder):
    with pytest.raises(InputError, match="EfficientNetConSE compares texts 384 wide, but these are 512 wide"):
        encoder.similarity(np.zeros((4, 384)), np.zeros((1, 512)))


def test_the_batch_and_its_order_change_nothing(encoder, photos, features):
    images = torch.stack([encoder.preprocess(p) for p in photos.values()])
    with torch.inference_mode():
        alone, reversed_ = encoder(images[1:2]), encoder(images.flip(0))
    for part in encoder.parts:
        assert features[part].shape == (5, encoder.parts[part])
        assert features[part].dtype == torch.float32
        torch.testing.assert_close(alone[part][0], features[part][1], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(reversed_[part].flip(0), features[part], atol=1e-5, rtol=1e-4)
