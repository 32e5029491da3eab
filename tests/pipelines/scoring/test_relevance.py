import numpy as np
import pytest

from pipelines.media.subtitles import Cue
from pipelines.scoring.relevance import (
    Moment,
    cue_likeness,
    find_moments,
    likeness_by_clip,
    sentence_scores,
    smooth,
    standardise,
    standing_out,
    suppress,
    to_unit,
    varies,
)


def test_smoothing_is_a_normalised_gaussian_and_holds_the_ends():
    impulse = np.zeros(41)
    impulse[20] = 1
    bell = np.exp(-0.5 * (np.arange(-20, 21) / 1.5) ** 2)
    np.testing.assert_allclose(smooth(impulse, 1.5), bell / bell.sum(), atol=1e-4)
    np.testing.assert_allclose(smooth(np.full((2, 9), 3.0), 2), 3)
    assert smooth([1, 5, 2], 0).tolist() == [1, 5, 2]


def test_standardise_and_to_unit():
    np.testing.assert_allclose(standardise([[1, 2, 3], [5, 5, 5]]), [[-1.5**0.5, 0, 1.5**0.5], [0, 0, 0]])
    np.testing.assert_allclose(to_unit(np.array([[0, 1], [2, 4.0]])), [[0, 0.25], [0.5, 1]])
    assert to_unit(np.full((2, 3), 7.0)).tolist() == [[0.5] * 3] * 2


def test_a_sentence_that_is_close_to_everything_does_not_drown_another():
    r = np.random.default_rng(0)
    near, far = 0.6 + 0.01 * r.random(40), 0.01 * r.random(40)
    far[10:14] += 0.1
    scores = sentence_scores(np.stack([near, far], axis=1))
    assert scores.shape == (2, 40) and scores.min() == 0 and scores.max() == 1
    assert scores.max(axis=0).argmax() in range(10, 14)


def test_what_is_said_adds_to_what_is_seen():
    r = np.random.default_rng(1)
    cosines, heard = r.random((30, 1)), np.zeros((1, 30))
    heard[0, 25] = 1
    assert sentence_scores(cosines, heard)[0].argmax() == 25
    np.testing.assert_array_equal(sentence_scores(cosines, np.zeros((1, 30))), sentence_scores(cosines))
    # four standard deviations, by hand
    z = (smooth(cosines[:, 0]) - smooth(cosines[:, 0]).mean()) / smooth(cosines[:, 0]).std()
    z[25] += 4
    np.testing.assert_allclose(sentence_scores(cosines, heard)[0], (z - z.min()) / (z.max() - z.min()))


def test_constant_cosines_give_uniform_scores():
    scores = sentence_scores(np.full((7, 2), 0.3))
    assert scores.tolist() == [[0.5] * 7] * 2


def test_cue_likeness_begins_at_the_nearest_unrelated_sentence():
    sentence = np.array([[2.0, 0, 0]])
    unrelated = np.array([[1, 0, 3**0.5], [0, 0, 1.0]])       # cosines 0.5 and 0
    lines = np.array([[1, 0, 0], [0, 1, 0], [0.75, 0, (1 - 0.75**2) ** 0.5], [0.5, 0.5 * 3**0.5, 0]])
    np.testing.assert_allclose(cue_likeness(sentence, lines, unrelated), [[1, 0, 0.5, 0]], atol=1e-12)
    assert np.isfinite(cue_likeness(sentence, lines, sentence)).all()   # asked for one of them


def test_likeness_goes_to_the_clips_that_a_line_overlaps():
    edges_s = np.array([0, 2, 4, 6, 7.3])
    cues = [Cue(1.5, 4.0, "a"), Cue(2, 3.5, "b"), Cue(7, 9, "c"), Cue(50, 60, "d")]
    by_clip = likeness_by_clip(np.array([[0.2, 0.9, 0.4, 1.0]]), cues, edges_s)
    assert by_clip.tolist() == [[0.2, 0.9, 0, 0.4]]


def slow_standing_out(features: np.ndarray) -> np.ndarray:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    lonely = []
    for i, row in enumerate(unit):
        distances = sorted(1 - row @ other for j, other in enumerate(unit) if j != i)
        lonely.append(np.mean(distances[:5]))
    z = (lonely - np.mean(lonely)) / np.std(lonely)
    return (z - z.min()) / (z.max() - z.min())


@pytest.mark.parametrize("block", [7, 512])
def test_standing_out_is_the_distance_to_the_five_nearest(block, monkeypatch):
    monkeypatch.setattr("pipelines.scoring.relevance.BLOCK", block)
    features = np.random.default_rng(2).random((23, 6))
    np.testing.assert_allclose(standing_out(features, sigma_clips=0), slow_standing_out(features), atol=1e-9)


def one_odd_clip(at: int) -> np.ndarray:
    features = np.random.default_rng(3).normal(1, 0.05, (40, 8))
    features[at] = [3, -2, 0, 1, -1, 2, 0, -3]
    return features


def test_the_odd_clip_stands_out_by_eye_and_by_ear():
    assert standing_out(one_odd_clip(9)).argmax() == 9
    assert standing_out(np.ones((40, 3)), audio=one_odd_clip(31)).argmax() == 31
    assert standing_out(one_odd_clip(9), audio=one_odd_clip(31)).argmax() == 9   # sound counts half


def test_blank_clips_never_stand_out():
    features = one_odd_clip(9)
    features[31] = [1, 1, 1, 1, 1, 1, 1, 0]   # odd, but less so
    blank = np.arange(40) == 9
    assert standing_out(features).argmax() == 9
    scores = standing_out(features, blank=blank)
    assert scores[9] == 0 and scores.argmax() == 31
    assert scores[7:12].max() < 0.1      # nor does what is next to them
    assert np.isfinite(standing_out(one_odd_clip(9), blank=np.ones(40, dtype=bool))).all()


@pytest.mark.parametrize("T", [1, 2, 3, 30])
def test_a_constant_video_has_uniform_scores(T):
    noise = 1e-7 * np.random.default_rng(4).normal(size=(T, 5))   # what a decoder leaves
    assert standing_out(np.full((T, 5), 0.4) + noise).tolist() == [0.5] * T
    assert not varies(np.full((T, 5), 0.4) + noise)
    assert varies(np.eye(3))


def test_moments_are_the_stretches_above_half_of_the_way_to_the_peak():
    curve = np.zeros(30)
    curve[4:8], curve[15], curve[20:22] = 0.8, 0.3, [0.5, 1.0]     # median 0, peak 1: threshold 0.5
    assert find_moments(curve) == [(4, 7, pytest.approx(0.8)), (20, 21, pytest.approx(0.75))]
    assert [m[:2] for m in find_moments(0.5 + curve / 2)] == [(4, 7), (20, 21)]   # median 0.5, threshold 0.75
    assert find_moments(curve, max_moments=1) == [(4, 7, pytest.approx(0.8))]
    assert find_moments(curve[::-1])[0][:2] == (22, 25)


def test_moments_at_both_ends_and_none_in_a_flat_curve():
    curve = np.array([1, 0, 0, 0, 0, 0.9, 1])
    assert sorted(m[:2] for m in find_moments(curve)) == [(0, 0), (5, 6)]
    assert find_moments(np.full(9, 0.5)) == []
    assert find_moments(np.array([0.5])) == []


def test_suppression_keeps_the_better_of_overlapping_moments():
    stretches = [(0, 10, 0.5), (2, 10, 0.9), (8, 20, 0.7), (30, 31, 0.1)]
    moments = [Moment(*stretch, "") for stretch in stretches]
    assert [m.score for m in suppress(moments)] == [0.9, 0.7, 0.1]              # IoU 0.8 goes, 1/9 stays
    assert [m.score for m in suppress(moments, max_iou=0.8)] == [0.9, 0.7, 0.5, 0.1]
    assert [m.score for m in suppress(moments, max_iou=0.1)] == [0.9, 0.1]
    assert [m.score for m in suppress(moments, max_moments=2)] == [0.9, 0.7]
