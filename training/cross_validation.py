"""Trains a config on every fold of its split file, with several seeds, and reports what the scores are worth."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import datasets
from common.config import load_config
from common.errors import InputError
from common.files import make_folder, write_json
from datasets.eval.summaries import eval_summaries, human_metrics, mean_metrics
from datasets.summarization_labels import SummarizedVideo, read_folds, read_summarized
from pipelines.selection import key_frames

from .checkpoints import plain
from .config import check_config
from .launcher import launch

RANDOM_SEEDS = 20
RIDGE_LAMBDA = 0.02    # of the features' total variance
RIDGE_ROWS = 5         # that features are averaged over
METRICS = ("kendall", "spearman", "f1")


def cross_validate(config: str, seeds: Sequence[int], work_dir: str | Path | None = None) -> dict:
    """Trains and tests every fold with every seed, by `training.launcher.launch`.

    What is done stands in the work dir and is not done again, so an interrupted call goes on.

    Args:
        config: of a `SummarizationH5` with a split file; its `best_keys` may not choose among epochs on the
            tested fold, so it must validate its last epoch alone.
        seeds: one training each.
        work_dir: `work_dirs/<config's name>_folds` when left out.

    Returns:
        `model`: mean, `spread_seeds` and `spread_folds` (deviations of the means) of Kendall's tau, Spearman's
        rho and F1 in per cent, over users as the dataset's `f1` says; `folds` by seed; `floors` by name. Also in
        the work dir's `folds.json`.

    Raises:
        InputError: a fault in config or data, or a config that chooses its epoch on the tested fold.
    """
    cfg = load_config(config)
    datasets.register()
    check_config(cfg, config)
    data = cfg.data["val"]
    stages = cfg.stages if isinstance(cfg.stages, list) else [cfg.stages]
    if data.get("split_path") is None or data.get("part") != "test":
        raise InputError(f"{config}: data.val has no split_path, or its part is not 'test'; name a config with folds")
    if stages[-1].validation.interval < sum(stage.epochs for stage in stages):
        raise InputError(f"{config}: validates more than its last epoch, so the best would be chosen on the tested "
                         f"fold; set validation=dict(interval={stages[-1].epochs})")
    folds = read_folds(data["split_path"])
    features = data.get("features", "features")
    features = [features] if isinstance(features, str) else list(features)
    videos = read_summarized(data["h5_path"], None, tuple(features), data.get("text"))
    reduce = data.get("f1", "avg")
    work = make_folder(work_dir or Path("work_dirs") / f"{Path(config).stem}_folds")
    by_seed = {seed: [measure(_scores(config, work, fold, seed), videos, names["test_keys"], reduce)
                      for fold, names in enumerate(folds)] for seed in seeds}
    table = np.array([[[fold[key] for key in METRICS] for fold in rows] for rows in by_seed.values()])   # seed, fold
    result = dict(config=str(config), seeds=list(seeds), model=dict(
        mean=_named(table.mean(axis=(0, 1))), spread_seeds=_named(table.mean(axis=1).std(axis=0)),
        spread_folds=_named(table.mean(axis=0).std(axis=0))), folds={str(k): v for k, v in by_seed.items()},
        floors=floors(videos, folds, sum(_shared_width(data, key) for key in features), reduce))
    write_json(work / "folds.json", result)
    return result


def _scores(config: str, work: Path, fold: int, seed: int) -> dict[str, np.ndarray]:
    """The tested fold's scores by video, trained unless a finished training stands in the work dir."""
    folder = make_folder(work / f"fold{fold}_seed{seed}")
    dump, leaf = folder / "scores.jsonl", folder / "config.py"
    text = f'_base_ = {str(Path(config).resolve())!r}\ndata = dict(train=dict(fold={fold}), val=dict(fold={fold}))\n'
    identity = folder / "config.json"
    leaf.write_text(text, encoding="utf-8")
    resolved = json.dumps(plain(load_config(leaf)), default=str, sort_keys=True)
    if not (dump.is_file() and identity.is_file() and identity.read_text(encoding="utf-8") == resolved):
        launch(str(leaf), seed=seed, work_dir=str(folder), dump=str(dump))
        identity.write_text(resolved, encoding="utf-8")
    lines = [json.loads(line) for line in dump.read_text(encoding="utf-8").splitlines()]
    return {line["vid"]: np.array(line["pred_saliency_scores"]) for line in lines}


def measure(scores: dict[str, np.ndarray], videos: dict[str, SummarizedVideo], names: Sequence[str],
            reduce: str = "avg") -> dict[str, float]:
    """The mean metrics of some videos' scores, see `video_metrics`.

    Args:
        reduce: F1 over users, `avg` as on TVSum or `max` as on SumMe; it is 0 where the file has no summaries.
    """
    metrics = mean_metrics(eval_summaries({name: scores[name] for name in names},
                                          {name: videos[name] for name in names}, key_frames))
    return _named([metrics["kendall"], metrics["spearman"], metrics.get(f"f1_{reduce}", 0.0)])


def floors(videos: dict[str, SummarizedVideo], folds: list[dict], shared: int = 0,
           reduce: str = "avg") -> dict[str, dict]:
    """What the metrics are worth: the same for chance, for algebra, for the title's words, and for people.

    Args:
        shared: how many of the features' last columns lie in the sentences' space; 0 for none.
        reduce: see `measure`.

    Returns:
        Metrics by column; `human` has those alone that the file allows.
    """
    def over(score: Callable[[SummarizedVideo], np.ndarray]) -> dict[str, float]:
        return _mean([measure({name: score(videos[name]) for name in fold["test_keys"]}, videos, fold["test_keys"],
                              reduce) for fold in folds])

    columns = dict(random=_mean([over(_random(seed)) for seed in range(RANDOM_SEEDS)]))
    columns["ridge"] = _mean([measure(ridge(videos, fold["train_keys"], fold["test_keys"], shared), videos,
                                      fold["test_keys"], reduce) for fold in folds])
    if shared and all(video.text is not None for video in videos.values()):
        mean = np.mean([video.text.mean(axis=0) for video in videos.values()], axis=0)
        columns["title"] = over(lambda video: _title(video, shared, mean))
    people = [human_metrics({name: videos[name] for name in fold["test_keys"]}) for fold in folds]
    columns["human"] = {key.removesuffix(f"_{reduce}"): round(value, 4) for key, value in mean_metrics(
        dict(enumerate(people))).items() if key in ("kendall", "spearman", f"f1_{reduce}")}
    return columns


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return _named(np.mean([[row[key] for key in METRICS] for row in rows], axis=0))


def _random(seed: int) -> Callable[[SummarizedVideo], np.ndarray]:
    r = np.random.default_rng(seed)
    return lambda video: r.random(len(video.picks))


def _title(video: SummarizedVideo, shared: int, mean: np.ndarray) -> np.ndarray:
    """The cosine of each frame, centred by its video, and the title, centred by all titles."""
    rows = video.features[:, -shared:] - video.features[:, -shared:].mean(axis=0)
    cosines = rows @ (video.text - mean).T / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return cosines.mean(axis=1)


def ridge(videos: dict[str, SummarizedVideo], train: Sequence[str], test: Sequence[str],
          shared: int = 0) -> dict[str, np.ndarray]:
    """Ridge regression of gtscore on the features but the shared ones, both centred by their video.

    Returns:
        Scores of the tested videos; each trained video weighs alike.
    """
    rows = {}
    for name in [*train, *test]:
        features = videos[name].features[:, :videos[name].features.shape[1] - shared].astype(np.float64)
        sums = np.pad(np.cumsum(features, axis=0), ((1, 0), (0, 0)))
        row = np.arange(len(features))
        first, last = np.maximum(row - RIDGE_ROWS // 2, 0), np.minimum(row + RIDGE_ROWS // 2 + 1, len(features))
        mean = (sums[last] - sums[first]) / (last - first)[:, None]
        rows[name] = mean - mean.mean(axis=0)
    A = sum(rows[name].T @ rows[name] / len(rows[name]) for name in train)
    b = sum(rows[name].T @ (videos[name].gtscore - videos[name].gtscore.mean()) / len(rows[name]) for name in train)
    weights = np.linalg.solve(A + RIDGE_LAMBDA * np.trace(A) * np.eye(len(A)), b)
    return {name: rows[name] @ weights for name in test}


def _shared_width(data: dict, key: str) -> int:
    """Columns of a feature key that lie in the sentences' space, by its name."""
    if key != "features_shared":
        return 0
    first = next(iter(read_summarized(data["h5_path"], None, (key,)).values()))
    return first.features.shape[1]


def _named(values: Sequence[float]) -> dict[str, float]:
    return {key: round(float(value), 4) for key, value in zip(METRICS, values, strict=True)}


def format_result(result: dict) -> str:
    """The result as a table for the screen."""
    model = result["model"]
    lines = [f"{'':14}" + "".join(f"{key:>20}" for key in METRICS)]
    lines.append(f"{'model':14}" + "".join(
        f"{model['mean'][key]:>12.3f} ± {model['spread_seeds'][key]:.3f}" for key in METRICS) + "   ± over seeds")
    lines.append(f"{'':14}" + "".join(
        f"{'':>12} ± {model['spread_folds'][key]:.3f}" for key in METRICS) + "   ± over folds")
    lines += [f"{name:14}" + "".join(f"{row[key]:>20.3f}" if key in row else f"{'-':>20}" for key in METRICS)
              for name, row in result["floors"].items() if row]
    return "\n".join(lines)
