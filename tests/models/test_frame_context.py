"""The features and channels of `FrameContext` equal those of a slow implementation, frame by frame."""

import math

import numpy as np
import pytest
import torch

from models.blocks.frame_context import CHANNELS, FrameContext, moving_average, position_channels


def slow_average(x, rows):
    """Return the means (T, C) of windows around each of T valid frames."""
    side = round((rows - 1) / 2)
    return np.stack([x[max(0, t - side):t + side + 1].mean(axis=0) for t in range(len(x))])


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def slow_context(video, row_s, smooth_s):
    """Return the features (T, V) and the channels (T, 10) of the valid frames of one video."""
    def smooth(x):
        return slow_average(slow_average(x, smooth_s / row_s), smooth_s / row_s)

    T = len(video)
    unit = video / np.linalg.norm(video, axis=1, keepdims=True)
    surroundings = [slow_average(unit, span_s / row_s) for span_s in (7, 28, 112)]
    visual = np.zeros((T, 5))
    for t in range(T):
        visual[t, :3] = [10 * cosine(unit[t], around[t]) - 8 for around in surroundings]
        visual[t, 3] = 5 * cosine(unit[t], unit.mean(axis=0)) - 4
        visual[t, 4] = 1 - unit[t] @ unit[t - 1] if t else 0
    position = np.array([[2 * math.sin(math.pi * (t + 0.5) / T) - 1, math.cos(math.pi * (t + 0.5) / T),
                          math.cos(2 * math.pi * (t + 0.5) / T), math.exp(-t * row_s / 10),
                          math.exp(-(T - 1 - t) * row_s / 10)] for t in range(T)])
    return smooth(video - video.mean(axis=0)), np.concatenate([smooth(visual), position], axis=1)


@pytest.mark.parametrize("smooth_s", [0, 2, 5])
@pytest.mark.parametrize("row_s", [0.5, 1, 2])
def test_features_and_channels_equal_a_slow_implementation(row_s, smooth_s):
    """The features have more columns than a block, and two of the videos are padded."""
    r = np.random.default_rng(8)
    lengths, T = (90, 61, 1), 90
    videos = [0.3 + r.normal(0, 1, (1, 300)) + 0.5 * r.normal(0, 1, (n, 300)) for n in lengths]
    batch, mask = torch.zeros(3, T, 300), torch.zeros(3, T, dtype=torch.bool)
    for b, video in enumerate(videos):
        batch[b, :len(video)], mask[b, :len(video)] = torch.from_numpy(video), True
    batch[2, 5] = 7   # Padding of any value is ignored.
    features, channels = FrameContext(smooth_s)(batch, mask, row_s)
    assert channels.shape == (3, T, CHANNELS)
    for b, video in enumerate(videos):
        n = len(video)
        expected_features, expected_channels = slow_context(video, row_s, smooth_s)
        np.testing.assert_allclose(features[b, :n], expected_features, atol=2e-5)
        np.testing.assert_allclose(channels[b, :n], expected_channels, atol=2e-5)
        assert not features[b, n:].any()
        assert not channels[b, n:].any()


def test_a_frame_of_zeros_has_finite_channels():
    features, channels = FrameContext()(torch.zeros(1, 5, 4), torch.ones(1, 5, dtype=torch.bool), 1.0)
    assert not features.any()
    # Similarities of 0 are mapped to -8 and -4; the first frame has no change.
    assert channels[0, 0, :4].tolist() == pytest.approx([-8, -8, -8, -4])


def test_a_video_without_valid_frames_has_zeros():
    features, channels = FrameContext()(torch.randn(1, 5, 4), torch.zeros(1, 5, dtype=torch.bool), 1.0)
    assert not features.any()
    assert not channels.any()
    assert torch.isfinite(position_channels(torch.zeros(1, 5, dtype=torch.bool), 1.0)).all()


@pytest.mark.parametrize(("rows", "expected"), [
    pytest.param(1, [0, 3, 6, 9, 12], id="one-row"),
    pytest.param(2, [0, 3, 6, 9, 12], id="two-rows-are-one"),       # Half of 1 is rounded to 0.
    pytest.param(3, [1.5, 3, 6, 9, 10.5], id="three-rows"),
    pytest.param(4, [3, 4.5, 6, 7.5, 9], id="four-rows-are-five"),    # Half of 3 is rounded to 2.
    pytest.param(99, [6, 6, 6, 6, 6], id="all-rows"),
])
def test_moving_averages_are_rounded_to_odd_windows(rows, expected):
    x = torch.arange(0.0, 15, 3).reshape(1, 5, 1)
    assert moving_average(x, torch.ones(1, 5, 1), rows)[0, :, 0].tolist() == pytest.approx(expected)
