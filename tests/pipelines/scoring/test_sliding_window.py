import numpy as np
import pytest
import torch
import torch.nn as nn

from models import UMT
from models.clip_it import CLIPIt
from models.clip_it_modelscope import CLIPItModelScope
from pipelines.scoring.clip_it import CLIPItScorer
from pipelines.scoring.scorers import Scorer
from pipelines.scoring.sliding_window import SlidingWindowScorer, merge_moments, score_windows, window_starts
from tests.pipelines.fakes import color_encoders

ENCODER = dict(type="UniModalEncoder", dims=[3, 8], enc_cfg=dict(type="EncoderLayer"))
QUERY_GENERATOR = dict(type="QueryGenerator", dims=[4, 8], enc_cfg=dict(type="Attention"))
QUERY_DECODER = dict(type="QueryDecoder", dims=8, dec_cfg=dict(type="DecoderLayer"))


class Ramp(nn.Module):
    """A model that returns the first feature of every clip, and a moment at each clip whose second feature is 1."""

    def __init__(self, boundary: bool = True):
        super().__init__()
        self.boundary, self.seen = boundary, []

    def forward(self, data: dict, mode: str) -> dict:
        assert mode == "test"
        assert (data["saliency"] == 1).all()
        video = data["video"]
        self.seen.append((int(video[0, 0, 2]), video.shape[1], {k: tuple(v.shape) for k, v in data.items()}))
        out = dict(saliency=video[..., 0])
        if self.boundary:
            at = torch.nonzero(video[0, :, 1]).flatten().float()
            out["boundary"] = torch.stack((2 * at, 2 * at + 2, 0.5 + 0 * at), dim=-1)[None]
        return dict(_out=out)


def clips(n: int, moments: list[int] = ()) -> np.ndarray:
    features = np.zeros((n, 3))
    features[:, 0] = np.linspace(0, 1, n)
    features[list(moments), 1] = 1
    features[:, 2] = np.arange(n)
    return features


@pytest.mark.parametrize("n, window, starts", [
    (1, 75, [0]), (75, 75, [0]), (76, 75, [0, 1]), (150, 75, [0, 37, 74, 75]), (10, 4, [0, 2, 4, 6]),
    (3, 1, [0, 1, 2]),
])
def test_windows_overlap_by_half_and_reach_the_end(n, window, starts):
    assert window_starts(n, window) == starts
    covered = {i for s in starts for i in range(s, min(s + window, n))}
    assert covered == set(range(n))


@pytest.mark.parametrize("n", [1, 5, 20, 33])
def test_the_complete_curve_and_every_moment_are_returned_once(n):
    every = list(range(n))
    curve, moments = score_windows(Ramp(), clips(n, every), None, None, 8, 2.0)
    np.testing.assert_allclose(curve, np.linspace(0, 1, n), atol=1e-6)
    assert sorted(moments) == [(2.0 * i, 2.0 * i + 2, 0.5) for i in every]


class Local(nn.Module):
    """A model with a receptive field of two clips on either side.

    Saliency is a weighted mean of the first feature; each run of ones in the second feature is a moment.
    """

    def forward(self, data: dict, mode: str) -> dict:
        video = data["video"]
        kernel = torch.tensor([0.1, 0.2, 0.4, 0.2, 0.1]).reshape(1, 1, 5)
        saliency = nn.functional.conv1d(video[:, None, :, 0], kernel, padding=2)[:, 0]
        steps = torch.diff(nn.functional.pad(video[0, :, 1], (1, 1)))
        begins, ends = torch.nonzero(steps == 1).flatten(), torch.nonzero(steps == -1).flatten()
        boundary = [[2.0 * a, 2.0 * b, float(video[0, a, 2])] for a, b in zip(begins, ends, strict=True)]
        return dict(_out=dict(saliency=saliency, boundary=torch.tensor(boundary).reshape(1, -1, 3)))


@pytest.mark.parametrize("seed", range(20))
def test_windows_equal_one_pass_if_no_feature_is_near_a_window_edge(seed):
    rng, window = np.random.default_rng(seed), 16
    n = int(rng.integers(17, 90))
    edges = {edge for start in window_starts(n, window) for edge in (start, start + window)} - {0, n}
    free = np.array([all(abs(i + 0.5 - edge) > 2 for edge in edges) for i in range(n)])
    features = np.zeros((n, 3))
    features[:, 0] = rng.random(n) * free
    features[:, 1] = (rng.random(n) < 0.8) & free
    features[:, 2] = rng.uniform(0.2, 1, n)
    curve, moments = score_windows(Local(), features, None, None, window, 2.0)
    expected_curve, expected_moments = score_windows(Local(), features, None, None, n, 2.0)
    np.testing.assert_allclose(curve, expected_curve, atol=1e-6)
    assert moments == expected_moments
    assert len(moments) > 1


def test_a_moment_with_different_bounds_in_two_windows_is_kept():
    class Early(nn.Module):
        def forward(self, data, mode):
            at = float(torch.argmax(data["video"][0, :, 1])) + (0.6 if data["video"][0, 0, 2] == 0 else -0.6)
            boundary = torch.tensor([[[2 * at - 6, 2 * at + 6, 0.9]]])
            return dict(_out=dict(saliency=data["video"][..., 0], boundary=boundary))

    # Clip 12 is equally far from the centers of both windows, which start at clips 0 and 8.
    features = clips(24, [12])
    best, other = score_windows(Early(), features, None, None, 16, 2.0)[1]
    assert best[2] == pytest.approx(0.9)
    assert other[2] == pytest.approx(0.9 * np.exp(-(4.8 / 7.2) ** 2 / 0.4))
    assert {round(best[0], 1), round(other[0], 1)} == {16.8, 19.2}


def test_duplicate_moments_and_moments_of_low_score_are_removed():
    found = [(0, 10, 0.8), (40, 60, 0.9), (0, 10, 0.7), (70, 80, 0.02), (5, 15, 0.5), (80, 90, 0.095)]
    kept = merge_moments(found)
    overlapping = pytest.approx(0.5 * np.exp(-(1 / 3) ** 2 / 0.4))
    assert kept == [(40, 60, 0.9), (0, 10, 0.8), (5, 15, overlapping), (80, 90, 0.095)]
    assert merge_moments([]) == []
    assert merge_moments([(1, 2, 0.0)]) == [(1, 2, 0.0)]


def test_overlapping_windows_are_averaged_with_triangular_weights():
    class WindowStart(Ramp):
        def forward(self, data, mode):
            return dict(_out=dict(saliency=torch.full((1, 4), float(data["video"][0, 0, 2]))))

    # The windows start at clips 0 and 2.
    curve, moments = score_windows(WindowStart(), clips(6), None, None, 4, 2.0)
    np.testing.assert_allclose(curve, [0, 0, (2 * 0 + 1 * 2) / 3, (1 * 0 + 2 * 2) / 3, 2, 2], atol=1e-6)
    assert moments == []


def test_the_model_receives_windows_of_all_features():
    model = Ramp(boundary=False)
    score_windows(model, clips(10), np.zeros((10, 7)), np.zeros((5, 4)), 8, 2.0)
    shapes = dict(video=(1, 8, 3), saliency=(1, 8), audio=(1, 8, 7), query=(1, 5, 4))
    assert model.seen == [(0, 8, shapes), (2, 8, shapes)]


@pytest.mark.parametrize("model, accepts_text, requires_text", [
    pytest.param(lambda: UMT(video_enc=ENCODER, query_gen=QUERY_GENERATOR, query_dec=QUERY_DECODER), True, True,
                 id="umt"),
    pytest.param(lambda: UMT(video_enc=ENCODER, query_gen=dict(type="QueryGenerator"), query_dec=QUERY_DECODER),
                 False, False, id="umt_with_learned_query"),
    pytest.param(lambda: UMT(video_enc=ENCODER), False, False, id="umt_without_query"),
    pytest.param(lambda: CLIPIt(video_dims=3, text_dims=3), True, False, id="clip_it"),
    pytest.param(lambda: CLIPItModelScope(dims=8, layers=1), True, False, id="clip_it_of_modelscope"),
])
def test_scorers_accept_and_require_text_like_their_models(model, accepts_text, requires_text):
    built = model()
    if built.scores_whole_video:
        scorer: Scorer = CLIPItScorer(built, color_encoders())
    else:
        scorer = SlidingWindowScorer(built, color_encoders(), ["color"])
    assert scorer.accepts_text is accepts_text
    assert scorer.requires_text is requires_text
