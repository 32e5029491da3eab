"""Baselines of video summarization: random scores, ridge regression, title similarity, and human agreement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from datasets.annotations.summarization_h5 import SummarizedVideo
from datasets.eval import rank_correlation
from datasets.eval.summarization import annotator_scores, eval_summaries, human_metrics, mean_metrics
from pipelines.selection.knapsack import key_frames

METRICS = ("kendall", "spearman", "f1")
NUM_RANDOM_SEEDS = 20
RIDGE_PENALTY = 0.02        # Share of the features' total variance.
RIDGE_WINDOW_ROWS = 5       # Features are averaged over a window of this length.
RIDGE_SIMILAR_SHARE = 0.75  # Share of the scores that similar frames contribute, as in the published CLIP-It weights.


def measure(scores: Mapping[str, np.ndarray], videos: Mapping[str, SummarizedVideo], names: Sequence[str],
            reduce: str = "avg") -> dict[str, float]:
    """Return the mean metrics of some videos' scores, see `video_metrics`.

    Args:
        scores: (T,) scores by video.
        videos: annotations by video.
        names: the videos to measure.
        reduce: F1 over users, `avg` as usual for TVSum or `max` as usual for SumMe. F1 is 0 if the file has no user
            summaries.
    """
    metrics = mean_metrics(eval_summaries({name: scores[name] for name in names},
                                          {name: videos[name] for name in names}, key_frames))
    return named_metrics([metrics["kendall"], metrics["spearman"], metrics.get(f"f1_{reduce}", 0.0)])


def named_metrics(values: Iterable[float]) -> dict[str, float]:
    """Return values in the order of `METRICS` by name, rounded to four decimals."""
    return {key: round(float(value), 4) for key, value in zip(METRICS, values, strict=True)}


def compute_baselines(videos: Mapping[str, SummarizedVideo], folds: Sequence[dict], num_shared: int = 0,
                      reduce: str = "avg") -> dict[str, dict[str, float]]:
    """Compute the metrics of baselines and of human annotators over all folds.

    Args:
        videos: annotations by video.
        folds: dicts with `train_keys` and `test_keys`.
        num_shared: number of trailing feature columns in the embedding space of the sentences; 0 for none.
        reduce: see `measure`.

    Returns:
        Metrics by baseline: `random`; `ridge`, and `ridge, alike`, whose scores also spread to similar frames;
        `title`, the similarity to the title; `raters' mean`, the mean of all raters against each of them, which
        includes that rater; `other raters`, the mean of the other raters against each; `human`, each annotator
        against each other one. A baseline is omitted if the file lacks the annotations that it needs.
    """
    def over_folds(score: Callable[[SummarizedVideo], np.ndarray]) -> dict[str, float]:
        return _mean([measure({name: score(videos[name]) for name in fold["test_keys"]}, videos, fold["test_keys"],
                              reduce) for fold in folds])

    columns = dict(random=_mean([over_folds(_random_scores(seed)) for seed in range(NUM_RANDOM_SEEDS)]))
    for name, similar_share in (("ridge", 0), ("ridge, alike", RIDGE_SIMILAR_SHARE)):
        columns[name] = _mean([
            measure(ridge_scores(videos, fold["train_keys"], fold["test_keys"], num_shared, similar_share), videos,
                    fold["test_keys"], reduce) for fold in folds])
    titles = [video.text for video in videos.values() if video.text is not None]
    if num_shared and len(titles) == len(videos):
        mean = np.mean([title.mean(axis=0) for title in titles], axis=0)
        columns["title"] = over_folds(lambda video: _title_scores(video, num_shared, mean))
    if all(video.user_scores is not None for video in videos.values()):
        columns["raters' mean"] = over_folds(lambda video: annotator_scores(video).mean(axis=0))
        columns["other raters"] = _mean([_other_raters([videos[name] for name in fold["test_keys"]])
                                         for fold in folds])
    agreement = [human_metrics({name: videos[name] for name in fold["test_keys"]}) for fold in folds]
    columns["human"] = {key.removesuffix(f"_{reduce}"): round(value, 4) for key, value in mean_metrics(
        dict(enumerate(agreement))).items() if key in ("kendall", "spearman", f"f1_{reduce}")}
    return columns


def ridge_scores(videos: Mapping[str, SummarizedVideo], train: Sequence[str], test: Sequence[str],
                 num_shared: int = 0, similar_share: float = 0) -> dict[str, np.ndarray]:
    """Predict `gtscore` by a ridge regression on the smoothed features; both are centered per video.

    Args:
        videos: annotations by video.
        train: names of the training videos, which all have the same weight.
        test: names of the test videos.
        num_shared: number of trailing feature columns that are not used.
        similar_share: share of a score that comes from the video's similar frames, see `CLIPIt`.

    Returns:
        (T,) scores of the test videos.
    """
    rows = {}
    for name in [*train, *test]:
        features = videos[name].features[:, :videos[name].features.shape[1] - num_shared].astype(np.float64)
        sums = np.pad(np.cumsum(features, axis=0), ((1, 0), (0, 0)))
        row = np.arange(len(features))
        first = np.maximum(row - RIDGE_WINDOW_ROWS // 2, 0)
        last = np.minimum(row + RIDGE_WINDOW_ROWS // 2 + 1, len(features))
        mean = (sums[last] - sums[first]) / (last - first)[:, None]
        rows[name] = mean - mean.mean(axis=0)
    A = sum(rows[name].T @ rows[name] / len(rows[name]) for name in train)
    b = sum(rows[name].T @ (videos[name].gtscore - videos[name].gtscore.mean()) / len(rows[name]) for name in train)
    weights = np.linalg.solve(A + RIDGE_PENALTY * np.trace(A) * np.eye(len(A)), b)
    return {name: _spread_to_similar(rows[name], rows[name] @ weights, similar_share) for name in test}


def _spread_to_similar(rows: np.ndarray, scores: np.ndarray, share: float) -> np.ndarray:
    """Mix each frame's score with those of the frames whose features (T, V) are similar."""
    if not share:
        return scores
    return (1 - share) * _standardize(scores) + share * _standardize(rows @ (rows.T @ _standardize(scores)))


def _standardize(scores: np.ndarray) -> np.ndarray:
    return (scores - scores.mean()) / max(float(scores.std()), 1e-12)


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: round(float(np.mean([row[key] for row in rows])), 4) for key in METRICS if key in rows[0]}


def _other_raters(videos: Sequence[SummarizedVideo]) -> dict[str, float]:
    """Predict each rater by the mean of the others; return the mean over raters, then over videos."""
    rows = []
    for video in videos:
        scores = annotator_scores(video)
        users = scores[scores.min(axis=1) < scores.max(axis=1)]
        rows.append(np.mean([rank_correlation(np.delete(users, i, axis=0).mean(axis=0), users[i:i + 1])
                             for i in range(len(users))], axis=0))
    return dict(zip(METRICS, map(float, np.mean(rows, axis=0)), strict=False))


def _random_scores(seed: int) -> Callable[[SummarizedVideo], np.ndarray]:
    r = np.random.default_rng(seed)
    return lambda video: r.random(len(video.picks))


def _title_scores(video: SummarizedVideo, num_shared: int, mean_title: np.ndarray) -> np.ndarray:
    """Return the cosine of each frame, centered per video, and the title, centered over all titles."""
    rows = video.features[:, -num_shared:] - video.features[:, -num_shared:].mean(axis=0)
    cosines = rows @ (video.text - mean_title).T / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return cosines.mean(axis=1)
