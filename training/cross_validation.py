"""Trains a config on every fold of its split file, with several seeds, and reports what the scores are worth."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import datasets
from common.config import load_config
from common.errors import InputError
from common.files import make_folder, write_json
from common.paths import ROOT
from datasets.annotations.summarization_h5 import SummarizedVideo, read_folds, read_summarized
from datasets.eval import rank_correlation
from datasets.eval.summarization import annotators, eval_summaries, human_metrics, mean_metrics
from pipelines.selection.knapsack import key_frames

from .checkpoints import plain
from .config import check_config
from .launcher import launch
from .rescoring import OWN, check_sentences, rescored

RANDOM_SEEDS = 20
RIDGE_LAMBDA = 0.02    # of the features' total variance
RIDGE_ROWS = 5         # that features are averaged over
RIDGE_ALIKE = 0.75     # share of the ridge's second row that comes from the frames alike, as in the shipped model
METRICS = ("kendall", "spearman", "f1")
CODE = ("models/*.py", "models/blocks/*.py", "datasets/summarization_*.py", "training/launcher.py",
        "training/loaders.py", "training/hooks/*.py")   # a change in which may change what is trained


def cross_validate(config: str, seeds: Sequence[int], work_dir: str | Path | None = None, *,
                   changes: Mapping[str, Any] | None = None, sentences: str = OWN, fresh: bool = False) -> dict:
    """Trains and tests every fold with every seed, by `training.launcher.launch`.

    What is done stands in the work dir and is not done again, so an interrupted call goes on; unless the config, the
    bytes of the h5 file or of the split file, or the code that trains have changed since.

    Args:
        config: of a `SummarizationH5` with a split file; its `best_keys` may not choose among epochs on the
            tested fold, so it must validate its last epoch alone.
        seeds: one training each.
        work_dir: `work_dirs/<config's name>_folds` when left out, with the changes in its name.
        changes: of the config, by dotted keys, e.g. `{"model.alike": 0}`.
        sentences: that the tested videos are scored with, see `SENTENCES`.
        fresh: train everything anew.

    Returns:
        `model`: mean, `spread_seeds` and `spread_folds` (deviations of the means) of Kendall's tau, Spearman's
        rho and F1 in per cent, over users as the dataset's `f1` says; `folds` by seed; `floors` by name; `earlier`,
        how many of the `trainings` stood there already. Also in the work dir's `folds.json`.

    Raises:
        InputError: a fault in config or data, or a config that chooses its epoch on the tested fold.
    """
    datasets.register()
    check_config(load_config(config), config)
    check_sentences(sentences)
    changes = dict(changes or {})
    work = make_folder(work_dir or Path("work_dirs") / re.sub(
        r"[^\w.=-]+", "_", "_".join([f"{Path(config).stem}_folds", *(f"{k}={v}" for k, v in changes.items())])))
    leaf = _leaf(work / "config.py", config, changes)
    cfg = load_config(leaf)
    check_config(cfg, str(config))
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
    inputs = {name: _sha256(path) for name, path in (("h5", data["h5_path"]), ("split", data["split_path"]))}
    inputs["code"] = _sha256(*sorted(path for pattern in CODE for path in ROOT.glob(pattern)))
    trained: list[bool] = []

    def fold_scores(fold: int, seed: int) -> dict[str, np.ndarray]:
        folder, anew = _train(leaf, work, fold, seed, inputs, fresh)
        trained.append(anew)
        if sentences == OWN:
            return _read_scores(folder / "scores.jsonl")
        return rescored(folder, {name: videos[name] for name in folds[fold]["test_keys"]}, sentences)

    by_seed = {seed: [measure(fold_scores(fold, seed), videos, names["test_keys"], reduce)
                      for fold, names in enumerate(folds)] for seed in seeds}
    table = np.array([[[fold[key] for key in METRICS] for fold in rows] for rows in by_seed.values()])   # seed, fold
    result = dict(config=str(config), changes={key: str(value) for key, value in changes.items()}, sentences=sentences,
                  seeds=list(seeds), by_annotator=all(v.user_scores is not None for v in videos.values()),
                  trainings=len(trained), earlier=trained.count(False), model=dict(
        mean=_named(table.mean(axis=(0, 1))), spread_seeds=_named(table.mean(axis=1).std(axis=0)),
        spread_folds=_named(table.mean(axis=0).std(axis=0))), folds={str(k): v for k, v in by_seed.items()},
        floors=floors(videos, folds, sum(_shared_width(data, key) for key in features), reduce))
    write_json(work / "folds.json", result)
    return result


def _leaf(path: Path, base: str | Path, changes: Mapping[str, Any]) -> Path:
    """Writes a config that changes another one at dotted keys."""
    tree: dict[str, Any] = {}
    for dotted, value in changes.items():
        node, (*above, key) = tree, dotted.split(".")
        for name in above:
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                raise InputError(f"--set {dotted}: another one sets {name!r} itself; leave one out")
        node[key] = value
    odd = [name for name in tree if not name.isidentifier()]
    if odd:
        raise InputError(f"--set {odd[0]}: no key of a config; write KEY.KEY=VALUE, e.g. model.alike=0")
    lines = [f"_base_ = {str(Path(base).resolve())!r}", *(f"{name} = {value!r}" for name, value in tree.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _sha256(*paths: str | Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def _train(base: Path, work: Path, fold: int, seed: int, inputs: Mapping[str, str],
           fresh: bool) -> tuple[Path, bool]:
    """The folder of a fold's training, and whether it was trained now: not where one of the same stands there."""
    folder = make_folder(work / f"fold{fold}_seed{seed}")
    dump, identity = folder / "scores.jsonl", folder / "config.json"
    leaf = _leaf(folder / "config.py", base, {"data.train.fold": fold, "data.val.fold": fold})
    resolved = json.dumps(dict(config=plain(load_config(leaf)), **inputs), default=str, sort_keys=True)
    if not fresh and dump.is_file() and identity.is_file() and identity.read_text(encoding="utf-8") == resolved:
        return folder, False
    identity.unlink(missing_ok=True)   # so that what is half done is never taken for this
    launch(str(leaf), seed=seed, work_dir=str(folder), dump=str(dump))
    identity.write_text(resolved, encoding="utf-8")
    return folder, True


def _read_scores(path: Path) -> dict[str, np.ndarray]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
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
        Metrics by column; those of people have those alone that the file allows: `raters' mean`, the mean of all raters
        against each of them, who is among them; `other raters`, the mean of the others against each; `human`, each
        against each of the others.
    """
    def over(score: Callable[[SummarizedVideo], np.ndarray]) -> dict[str, float]:
        return _mean([measure({name: score(videos[name]) for name in fold["test_keys"]}, videos, fold["test_keys"],
                              reduce) for fold in folds])

    columns = dict(random=_mean([over(_random(seed)) for seed in range(RANDOM_SEEDS)]))
    for name, alike in (("ridge", 0), ("ridge, alike", RIDGE_ALIKE)):
        columns[name] = _mean([measure(ridge(videos, fold["train_keys"], fold["test_keys"], shared, alike), videos,
                                       fold["test_keys"], reduce) for fold in folds])
    if shared and all(video.text is not None for video in videos.values()):
        mean = np.mean([video.text.mean(axis=0) for video in videos.values()], axis=0)
        columns["title"] = over(lambda video: _title(video, shared, mean))
    if all(video.user_scores is not None for video in videos.values()):
        columns["raters' mean"] = over(lambda video: annotators(video).mean(axis=0))
        columns["other raters"] = _mean([_others_mean([videos[name] for name in fold["test_keys"]]) for fold in folds])
    people = [human_metrics({name: videos[name] for name in fold["test_keys"]}) for fold in folds]
    columns["human"] = {key.removesuffix(f"_{reduce}"): round(value, 4) for key, value in mean_metrics(
        dict(enumerate(people))).items() if key in ("kendall", "spearman", f"f1_{reduce}")}
    return columns


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: round(float(np.mean([row[key] for row in rows])), 4) for key in METRICS if key in rows[0]}


def _others_mean(videos: Sequence[SummarizedVideo]) -> dict[str, float]:
    """The mean of all raters but one as a prediction of that one; mean over raters, then videos."""
    rows = []
    for video in videos:
        users = video.user_scores[video.user_scores.min(axis=1) < video.user_scores.max(axis=1)]
        rows.append(np.mean([rank_correlation(np.delete(users, i, axis=0).mean(axis=0), users[i:i + 1])
                             for i in range(len(users))], axis=0))
    return dict(zip(METRICS, map(float, np.mean(rows, axis=0)), strict=False))


def _random(seed: int) -> Callable[[SummarizedVideo], np.ndarray]:
    r = np.random.default_rng(seed)
    return lambda video: r.random(len(video.picks))


def _title(video: SummarizedVideo, shared: int, mean: np.ndarray) -> np.ndarray:
    """The cosine of each frame, centred by its video, and the title, centred by all titles."""
    rows = video.features[:, -shared:] - video.features[:, -shared:].mean(axis=0)
    cosines = rows @ (video.text - mean).T / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return cosines.mean(axis=1)


def ridge(videos: dict[str, SummarizedVideo], train: Sequence[str], test: Sequence[str],
          shared: int = 0, alike: float = 0) -> dict[str, np.ndarray]:
    """Ridge regression of gtscore on the features but the shared ones, both centred by their video.

    Args:
        alike: share of a score that comes from the frames of the video that look alike, see `CLIPIt`.

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
    return {name: (1 - alike) * _standardised(rows[name] @ weights)
            + alike * _standardised(rows[name] @ (rows[name].T @ _standardised(rows[name] @ weights))) if alike
            else rows[name] @ weights for name in test}


def _standardised(scores: np.ndarray) -> np.ndarray:
    return (scores - scores.mean()) / max(float(scores.std()), 1e-12)


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
    taken = f"taken from an earlier run: {result['earlier']} of {result['trainings']} trainings"
    lines = [taken] if result["earlier"] else []
    lines.append(f"{'':14}" + "".join(f"{key:>20}" for key in METRICS))
    lines.append(f"{'model':14}" + "".join(
        f"{model['mean'][key]:>12.3f} ± {model['spread_seeds'][key]:.3f}" for key in METRICS) + "   ± over seeds")
    lines.append(f"{'':14}" + "".join(
        f"{'':>12} ± {model['spread_folds'][key]:.3f}" for key in METRICS) + "   ± over folds")
    lines += [f"{name:14}" + "".join(f"{row[key]:>20.3f}" if key in row else f"{'-':>20}" for key in METRICS)
              for name, row in result["floors"].items() if row]
    if not result["by_annotator"]:
        lines.append("kendall and spearman are with the annotators' mean, gtscore, since the file has no user_scores: "
                     "higher than with each annotator, and not to be compared")
    return "\n".join(lines)
