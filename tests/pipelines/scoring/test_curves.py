import numpy as np

from pipelines.scoring.curves import min_max_scale, smooth, standardize


def test_smoothing_is_a_normalized_gaussian():
    impulse = np.zeros(41)
    impulse[20] = 1
    gaussian = np.exp(-0.5 * (np.arange(-20, 21) / 1.5) ** 2)
    np.testing.assert_allclose(smooth(impulse, 1.5), gaussian / gaussian.sum(), atol=1e-4)


def test_smoothing_repeats_the_values_at_the_ends():
    np.testing.assert_allclose(smooth(np.full((2, 9), 3.0), 2), 3)


def test_a_sigma_of_zero_does_not_smooth():
    assert smooth([1, 5, 2], 0).tolist() == [1, 5, 2]


def test_standardize_treats_each_curve_separately():
    np.testing.assert_allclose(standardize([[1, 2, 3], [5, 5, 5]]), [[-1.5**0.5, 0, 1.5**0.5], [0, 0, 0]])


def test_min_max_scale_treats_all_curves_jointly():
    np.testing.assert_allclose(min_max_scale(np.array([[0, 1], [2, 4.0]])), [[0, 0.25], [0.5, 1]])
    assert min_max_scale(np.full((2, 3), 7.0)).tolist() == [[0.5] * 3] * 2
