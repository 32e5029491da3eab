"""Test the summarization metrics against manual computations and published values, and the baselines."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from common.errors import InputError
from datasets.annotations.summarization_h5 import SummarizedVideo
from datasets.eval.summarization import (
    eval_summaries,
    human_metrics,
    leave_one_out_metrics,
    mean_metrics,
    oracle_metrics,
    random_metrics,
    selected_frames,
    video_metrics,
)
from pipelines.h5_builder import user_summary
from pipelines.selection.knapsack import key_frames
from tests.golden.inputs import key_shot_case, read_golden

SHOTS = np.array([[0, 9], [10, 19], [20, 39], [40, 49], [50, 99]])
PICKS = np.arange(0, 100, 10)


def synthetic_video(user_scores=None, user_summary=None, shots=SHOTS, picks=PICKS, n_frames=100, gtscore=None):
    gtscore = np.arange(len(picks)) / 10 if gtscore is None else np.asarray(gtscore)
    return SummarizedVideo("v", np.zeros((len(picks), 0)), None, gtscore, user_scores, user_summary, shots,
                           np.asarray(picks), n_frames, "")


def kept_frames(*ranges, n_frames=100):
    kept = np.zeros(n_frames, dtype=int)
    for first, last in ranges:
        kept[first:last + 1] = 1
    return kept


@pytest.mark.parametrize("n_frames", [100, 107, 6])
@pytest.mark.parametrize("cuts", [(), (60,)])
def test_a_summary_never_exceeds_the_budget(n_frames, cuts):
    """Keep the best part of the best shot, at least one frame, if every shot is longer than the budget of 15 %."""
    edges = [0, *(cut for cut in cuts if cut < n_frames), n_frames]
    shots = np.stack([edges[:-1], np.array(edges[1:]) - 1], axis=1)
    scores = np.where(np.arange(n_frames) // 10 == 2, 0.9, 0.1) + np.arange(n_frames) * 1e-6
    budget_frames = max(1, int(0.15 * n_frames))
    video = synthetic_video(None, None, shots, np.arange(n_frames), n_frames, scores)
    kept = selected_frames(scores, video, key_frames)
    assert kept.sum() == budget_frames
    assert n_frames < 100 or kept[20:30].all()
    annotated = user_summary(shots, scores)
    assert annotated.sum() == budget_frames
    assert annotated.dtype == np.int8
    found = video_metrics(scores, replace(video, user_summary=annotated[None]), key_frames)
    assert found["f1_avg"] == 100


def test_metrics_of_a_manually_computed_video():
    """Compare with three annotators: shot 1, the best that fits 15 frames, is kept with shot 3, alone, or not."""
    users = np.array([[0, 9, 1, 2, 3, 4, 5, 6, 7, 8], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [1] * 10])
    summaries = np.stack([kept_frames((10, 19), (40, 49)), kept_frames((10, 19)), kept_frames((50, 99))])
    scores = np.array([0, 9, 1, 1, 2, 1, 1, 1, 1, 1.5])
    found = video_metrics(scores, synthetic_video(users, summaries), key_frames)
    assert found["f1_avg"] == pytest.approx(100 * (2 / 3 + 1 + 0) / 3)
    assert found["f1_max"] == 100
    assert found["kendall"] == pytest.approx(np.mean([kendalltau(scores, u).statistic for u in users[:2]]))
    assert found["spearman"] == pytest.approx(np.mean([spearmanr(scores, u).statistic for u in users[:2]]))


def test_f1_of_scores_equals_the_published_values():
    cases = read_golden("key_shots")["cases"]
    assert len(cases) == 2
    for case in map(key_shot_case, cases):
        shots = case["shots"]
        users = np.stack([kept_frames(*shots[user], n_frames=case["n_frames"]) for user in case["user_shots"]])
        video = synthetic_video(None, users, shots, case["picks"], case["n_frames"])
        found = video_metrics(np.array(case["scores"]), video, key_frames)
        assert found["f1_avg"] == pytest.approx(case["f_avg"], abs=1e-9)
        assert found["f1_max"] == pytest.approx(case["f_max"], abs=1e-9)


def test_only_negative_scores_are_shifted():
    """Keep three short shots rather than a long one, which outweighs them only if the minimum is subtracted."""
    shots = np.array([[0, 4], [5, 9], [10, 14], [15, 29], [30, 99]])
    video = synthetic_video(shots=shots, picks=np.array([0, 5, 10, 15, 30]))
    scores = np.array([0.5, 0.5, 0.45, 0.9, 0.4])
    assert np.flatnonzero(selected_frames(scores, video, key_frames)).tolist() == list(range(15))
    assert np.flatnonzero(selected_frames(scores - 1, video, key_frames)).tolist() == list(range(15, 30))
    # Without the shift, the knapsack would select none of the negative shots.
    negative = np.array([-0.3, -0.2, -0.5, -0.9, -1])
    assert np.flatnonzero(selected_frames(negative, video, key_frames)).tolist() == list(range(15))


def test_without_annotators_scores_are_compared_with_gtscore_only():
    found = video_metrics(np.arange(10.0)[::-1], synthetic_video(), key_frames)
    assert found == dict(kendall=pytest.approx(-1), spearman=pytest.approx(-1))


def test_human_agreement_leaves_one_annotator_out():
    a, b, c = np.arange(10.0), np.arange(10.0)[::-1], np.array([1.0, 0, 2, 3, 4, 5, 6, 7, 8, 9])
    summaries = np.stack([kept_frames((0, 9)), kept_frames((0, 19)), kept_frames((40, 49))])
    found = leave_one_out_metrics(synthetic_video(np.stack([a, b, c, np.ones(10)]), summaries))
    pairs = ((a, (b, c)), (b, (a, c)), (c, (a, b)))
    tau = np.mean([np.mean([kendalltau(x, y).statistic for y in others]) for x, others in pairs])
    assert found["kendall"] == pytest.approx(tau)
    assert found["f1_avg"] == pytest.approx((200 / 3 / 2 + 200 / 3 / 2 + 0) / 3)
    assert found["f1_max"] == pytest.approx((200 / 3 + 200 / 3 + 0) / 3)
    assert leave_one_out_metrics(synthetic_video()) == {}
    assert leave_one_out_metrics(synthetic_video(user_summary=summaries[:1])) == {}


def test_random_oracle_and_human_baselines():
    r = np.random.default_rng(0)
    users = np.clip(np.round(np.linspace(1, 5, 10) + r.normal(0, 0.5, (6, 10))), 1, 5)
    summaries = np.stack([kept_frames((40, 49)), *[kept_frames((10, 19))] * 5])
    videos = dict(a=synthetic_video(users, summaries), b=synthetic_video(users[:, ::-1], summaries))
    chance, ceiling = random_metrics(videos, key_frames, 20), oracle_metrics(videos, key_frames)
    assert random_metrics(videos, key_frames, 20) == chance != random_metrics(videos, key_frames, 19)
    assert abs(chance["kendall"]) < 0.15
    assert 5 < chance["f1_avg"] < 60
    own = mean_metrics(eval_summaries({k: v.user_scores.mean(axis=0) for k, v in videos.items()}, videos, key_frames))
    assert ceiling == own
    assert ceiling["spearman"] > 0.8
    assert human_metrics(videos)["f1_avg"] == pytest.approx(100 * (5 * 4 / 5 + 0) / 6)
    mixed = dict(a=videos["a"], b=replace(videos["b"], user_summary=None))
    assert set(oracle_metrics(mixed, key_frames)) == {"kendall", "spearman"}


def test_videos_without_scores_or_labels_are_named():
    with pytest.raises(InputError, match=r"only one of them has: \['a', 'b'\]"):
        eval_summaries(dict(a=np.arange(10)), dict(b=synthetic_video()), key_frames)
    with pytest.raises(InputError, match="at least one"):
        eval_summaries({}, {}, key_frames)
