import numpy as np
import pytest

from pipelines.scoring.novelty import has_variation, novelty


def reference_novelty(features: np.ndarray) -> np.ndarray:
    """Compute visual novelty clip by clip."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    mean_distance = []
    for i, row in enumerate(unit):
        distances = sorted(1 - row @ other for j, other in enumerate(unit) if j != i)
        mean_distance.append(np.mean(distances[:5]))
    z = (mean_distance - np.mean(mean_distance)) / np.std(mean_distance)
    return (z - z.min()) / (z.max() - z.min())


@pytest.mark.parametrize("block_clips", [7, 512])
def test_novelty_is_the_distance_to_the_five_nearest_clips(block_clips, monkeypatch):
    monkeypatch.setattr("pipelines.scoring.novelty.BLOCK_CLIPS", block_clips)
    features = np.random.default_rng(2).random((23, 6))
    np.testing.assert_allclose(novelty(features, sigma_clips=0), reference_novelty(features), atol=1e-9)


def features_with_outlier(at: int) -> np.ndarray:
    """Return 40 similar rows, one of which differs from all others."""
    features = np.random.default_rng(3).normal(1, 0.05, (40, 8))
    features[at] = [3, -2, 0, 1, -1, 2, 0, -3]
    return features


def test_a_visual_outlier_has_the_highest_novelty():
    assert novelty(features_with_outlier(9)).argmax() == 9


def test_an_audio_outlier_has_the_highest_novelty_in_a_constant_video():
    assert novelty(np.ones((40, 3)), audio=features_with_outlier(31)).argmax() == 31


def test_audio_has_half_the_weight():
    assert novelty(features_with_outlier(9), audio=features_with_outlier(31)).argmax() == 9


def test_blank_clips_have_the_lowest_novelty():
    features = features_with_outlier(9)
    features[31] = [1, 1, 1, 1, 1, 1, 1, 0]   # A weaker outlier.
    blank = np.arange(40) == 9
    assert novelty(features).argmax() == 9
    scores = novelty(features, blank=blank)
    assert scores[9] == 0
    assert scores.argmax() == 31
    assert scores[7:12].max() < 0.1      # Smoothing does not raise the neighbors of a blank clip.


def test_a_completely_blank_video_has_finite_novelty():
    assert np.isfinite(novelty(features_with_outlier(9), blank=np.ones(40, dtype=bool))).all()


@pytest.mark.parametrize("T", [1, 2, 3, 30])
def test_a_constant_video_has_uniform_novelty(T):
    noise = 1e-7 * np.random.default_rng(4).normal(size=(T, 5))   # As small as decoder noise.
    assert novelty(np.full((T, 5), 0.4) + noise).tolist() == [0.5] * T
    assert not has_variation(np.full((T, 5), 0.4) + noise)
    assert has_variation(np.eye(3))
