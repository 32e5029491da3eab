import numpy as np

from pipelines.scoring.curves import smooth
from pipelines.scoring.relevance import query_scores


def test_a_query_that_is_close_to_every_clip_does_not_outweigh_another():
    r = np.random.default_rng(0)
    near, far = 0.6 + 0.01 * r.random(40), 0.01 * r.random(40)
    far[10:14] += 0.1
    scores = query_scores(np.stack([near, far], axis=1))
    assert scores.shape == (2, 40)
    assert scores.min() == 0
    assert scores.max() == 1
    assert scores.max(axis=0).argmax() in range(10, 14)


def test_evidence_adds_four_standard_deviations():
    r = np.random.default_rng(1)
    similarity, evidence = r.random((30, 1)), np.zeros((1, 30))
    evidence[0, 25] = 1
    assert query_scores(similarity, evidence)[0].argmax() == 25
    smoothed = smooth(similarity[:, 0])
    z = (smoothed - smoothed.mean()) / smoothed.std()
    z[25] += 4
    np.testing.assert_allclose(query_scores(similarity, evidence)[0], (z - z.min()) / (z.max() - z.min()))


def test_evidence_of_zero_changes_nothing():
    similarity = np.random.default_rng(1).random((30, 1))
    np.testing.assert_array_equal(query_scores(similarity, np.zeros((1, 30))), query_scores(similarity))


def test_constant_similarities_give_uniform_scores():
    scores = query_scores(np.full((7, 2), 0.3))
    assert scores.tolist() == [[0.5] * 7] * 2
