"""Cross-validation: train a config on each fold of its split file with several seeds, and compare it with baselines."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import datasets
from common.config import load_config
from common.errors import ConfigError, InputError, disk_error
from common.files import atomic_path, make_folder, write_json
from common.paths import ROOT
from datasets.annotations.summarization_h5 import SummarizedVideo, read_folds, read_summarization_h5

from .checkpoints import to_builtins
from .config import check_config
from .launcher import launch
from .rescoring import OWN_SENTENCES, check_sentences, rescore_videos
from .summarization_baselines import METRICS, compute_baselines, measure, named_metrics
from .work_dir import numbered_paths

# Runs are reused only if these files are unchanged, because a change in them may change the weights.
TRAINING_CODE = ("models/*.py", "models/blocks/*.py", "datasets/summarization_*.py", "training/launcher.py",
                 "training/engine.py", "training/loaders.py", "training/hooks/*.py")
RERUN = "run the same command again; finished runs are kept"
ROW_TITLES = {"ridge, alike": "ridge + similar"}   # The title of every other row is its key.


def cross_validate(config: str, seeds: Sequence[int], work_dir: str | Path | None = None, *,
                   changes: Mapping[str, Any] | None = None, sentences: str = OWN_SENTENCES,
                   fresh: bool = False) -> dict:
    """Train and test a config on each fold with each seed; each run is a call of `training.launcher.launch`.

    Finished runs in the work dir are reused, so an interrupted cross-validation can be continued. A run is repeated if
    the h5 file, the split file or the training code has changed. If the work dir contains runs of another config, they
    are kept, and the first of `NAME_1`, `NAME_2`, ... that does not is used instead.

    Args:
        config: config of a `SummarizationH5` dataset with a split file. It must validate only the last epoch, because
            `best_keys` would otherwise select an epoch on the test fold.
        seeds: random seeds; each fold is trained once with each seed.
        work_dir: folder of all runs; None for `work_dirs/<name of the config>_folds` with `changes` appended.
        changes: new values for keys of the config, by dotted key, e.g. `{"model.propagation": 0}`.
        sentences: source of the sentences with which the test videos are scored, a key of `SENTENCE_SOURCES`.
        fresh: True to repeat all runs.

    Returns:
        The content of `folds.json` in the work dir. `model` has the `mean` of Kendall's tau, Spearman's rho and F1
        (in percent, aggregated over annotators by the dataset's `f1` option), with `spread_seeds` and `spread_folds`,
        the standard deviations of the means per seed and per fold. `folds` has the metrics of each fold, by seed.
        `baselines` has the metrics of each baseline, by name; `floors` is a deprecated alias of it. `trainings` is
        the number of runs, and `earlier` the number of reused ones.

    Raises:
        InputError: the config or the data is invalid, or the config would select its epoch on the test fold.
    """
    datasets.register()
    check_config(load_config(config), config)
    check_sentences(sentences)
    changes = dict(changes or {})
    name = "_".join([f"{Path(config).stem}_folds", *(f"{k}={v}" for k, v in changes.items())])
    requested = Path(work_dir or Path("work_dirs") / re.sub(r"[^\w.=-]+", "_", name))
    work_dir = _select_work_dir(requested, config, changes)
    if work_dir != requested:
        print(f"{requested} contains runs of another config, so this cross-validation uses {work_dir}", file=sys.stderr)
    changed_config = _write_derived_config(work_dir / "config.py", config, changes)
    data = _checked_data(changed_config, config)
    folds = read_folds(data["split_path"])
    features = data.get("features", "features")
    features = [features] if isinstance(features, str) else list(features)
    videos = read_summarization_h5(data["h5_path"], None, tuple(features), data.get("text"))
    reduce = data.get("f1", "avg")
    fingerprint = _input_fingerprint(data)
    was_trained: list[bool] = []

    def fold_scores(fold: int, seed: int) -> dict[str, np.ndarray]:
        folder, is_new = _train_fold(changed_config, work_dir, fold, seed, fingerprint, fresh)
        was_trained.append(is_new)
        if sentences == OWN_SENTENCES:
            return _read_scores(folder / "scores.jsonl")
        return rescore_videos(folder, {name: videos[name] for name in folds[fold]["test_keys"]}, sentences)

    by_seed = {seed: [measure(fold_scores(fold, seed), videos, names["test_keys"], reduce)
                      for fold, names in enumerate(folds)] for seed in seeds}
    num_shared = sum(_shared_width(data, key) for key in features)
    baselines = compute_baselines(videos, folds, num_shared, reduce)
    result = dict(
        config=str(config), changes={key: str(value) for key, value in changes.items()}, sentences=sentences,
        seeds=list(seeds), by_annotator=all(v.user_scores is not None for v in videos.values()),
        trainings=len(was_trained), earlier=was_trained.count(False), model=_summarize_folds(by_seed),
        folds={str(k): v for k, v in by_seed.items()}, baselines=baselines, floors=baselines)
    write_json(work_dir / "folds.json", result)
    return result


def _checked_data(path: Path, user_config: str) -> dict:
    """Check that a config supports cross-validation, and return its val split.

    Args:
        path: derived config, with all changes.
        user_config: config of the user, which error messages refer to.

    Raises:
        InputError: the config is invalid, has no folds, or would select its epoch on the test fold.
    """
    cfg = load_config(path)
    check_config(cfg, user_config)
    data = cfg.data["val"]
    stages = cfg.stages if isinstance(cfg.stages, list) else [cfg.stages]
    if data.get("split_path") is None or data.get("part") != "test":
        raise ConfigError(f"{user_config}: data.val", "split_path is missing, or part is not 'test'",
                          "use a config with folds")
    if stages[-1].validation.interval < sum(stage.epochs for stage in stages):
        raise ConfigError(f"{user_config}: stages", "validates more than the last epoch, so the best epoch would be "
                          "selected on the test fold", f"set validation=dict(interval={stages[-1].epochs})")
    return data


def _summarize_folds(by_seed: Mapping[int, Sequence[Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the mean of each metric and its spread over seeds and folds; `by_seed` has the metrics of each fold."""
    # The table has the shape (seeds, folds, metrics).
    table = np.array([[[fold[key] for key in METRICS] for fold in rows] for rows in by_seed.values()])
    return dict(mean=named_metrics(table.mean(axis=(0, 1))), spread_seeds=named_metrics(table.mean(axis=1).std(axis=0)),
                spread_folds=named_metrics(table.mean(axis=0).std(axis=0)))


def _select_work_dir(requested: Path, config: str | Path, changes: Mapping[str, Any]) -> Path:
    """Return the first of `NAME`, `NAME_1`, `NAME_2`, ... that contains no finished runs of another config."""
    with tempfile.TemporaryDirectory() as folder:
        derived = _write_derived_config(Path(folder) / "config.py", config, changes)
        own = _without_fold(json.loads(json.dumps(to_builtins(load_config(derived)), default=str)))
    for candidate in numbered_paths(requested):
        records = map(_recorded_config, candidate.glob("fold*_seed*/config.json"))
        if all(record is None or _without_fold(record) == own for record in records):
            return make_folder(candidate)
    raise AssertionError("there are infinitely many candidates")


def _recorded_config(path: Path) -> dict | None:
    """Return the config of a finished run; None if its record is damaged, so that the run is repeated."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _without_fold(config: dict) -> dict:
    """Remove the number of the fold from a config."""
    splits = {split: {key: value for key, value in data.items() if key != "fold"} if isinstance(data, dict) else data
              for split, data in config["data"].items()} if isinstance(config.get("data"), dict) else {}
    return {**config, "data": splits}


def _write_derived_config(path: Path, base: str | Path, changes: Mapping[str, Any]) -> Path:
    """Write a config that inherits from `base` and sets the dotted keys in `changes`."""
    tree: dict[str, Any] = {}
    for dotted, value in changes.items():
        node, (*parents, key) = tree, dotted.split(".")
        for name in parents:
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                raise InputError(None, f"--set {dotted}: another --set sets all of {name!r}",
                                 "leave one of them out")
        node[key] = value
    invalid = [name for name in tree if not name.isidentifier()]
    if invalid:
        raise InputError(None, f"--set {invalid[0]}: not a config key", "write KEY.KEY=VALUE, e.g. model.propagation=0")
    lines = [f"_base_ = {str(Path(base).resolve())!r}", *(f"{name} = {value!r}" for name, value in tree.items())]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _input_fingerprint(data: dict) -> dict[str, str]:
    """Return the checksums of the h5 file, the split file and the training code."""
    return dict(h5=_sha256(data["h5_path"]), split=_sha256(data["split_path"]),
                code=_sha256(*sorted(path for pattern in TRAINING_CODE for path in ROOT.glob(pattern))))


def _sha256(*paths: str | Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def _train_fold(base: Path, work_dir: Path, fold: int, seed: int, fingerprint: Mapping[str, str],
                fresh: bool) -> tuple[Path, bool]:
    """Train one fold with one seed, unless its folder contains a finished run with the same config and inputs.

    Returns:
        The folder of the run, and True if the fold was trained or False if a finished run is reused.
    """
    folder = make_folder(work_dir / f"fold{fold}_seed{seed}")
    scores, record = folder / "scores.jsonl", folder / "config.json"
    fold_config = _write_derived_config(folder / "config.py", base, {"data.train.fold": fold, "data.val.fold": fold})
    resolved = json.dumps(dict(config=to_builtins(load_config(fold_config)), **fingerprint), default=str,
                          sort_keys=True)
    if not fresh and scores.is_file() and record.is_file() and record.read_text(encoding="utf-8") == resolved:
        return folder, False
    record.unlink(missing_ok=True)   # The record exists only for finished runs, so an interrupted run is repeated.
    try:
        launch(str(fold_config), seed=seed, work_dir=str(folder), dump=str(scores), overwrite=True)
    except InputError as err:
        cause = err.__cause__
        full_disk = disk_error(cause, err.path, RERUN) if isinstance(cause, OSError) else None
        raise full_disk or err from cause
    with atomic_path(record) as temporary:
        temporary.write_text(resolved, encoding="utf-8")
    return folder, True


def _read_scores(path: Path) -> dict[str, np.ndarray]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {line["vid"]: np.array(line["pred_saliency_scores"]) for line in lines}


def _shared_width(data: dict, key: str) -> int:
    """Return the number of columns of a feature key that share the embedding space of the sentences.

    These are all columns of `features_shared`, and no columns of any other key.
    """
    if key != "features_shared":
        return 0
    first: SummarizedVideo = next(iter(read_summarization_h5(data["h5_path"], None, (key,)).values()))
    return first.features.shape[1]


def format_result(result: Mapping[str, Any]) -> str:
    """Format the result of `cross_validate` as a table."""
    model = result["model"]
    reused = f"reused {result['earlier']} of {result['trainings']} finished training runs"
    lines = [reused] if result["earlier"] else []
    lines.append(f"{'':16}" + "".join(f"{key:>20}" for key in METRICS))
    lines.append(f"{'model':16}" + "".join(
        f"{model['mean'][key]:>12.3f} ± {model['spread_seeds'][key]:.3f}" for key in METRICS) + "   ± over seeds")
    lines.append(f"{'':16}" + "".join(
        f"{'':>12} ± {model['spread_folds'][key]:.3f}" for key in METRICS) + "   ± over folds")
    lines += [f"{ROW_TITLES.get(name, name):16}"
              + "".join(f"{row[key]:>20.3f}" if key in row else f"{'-':>20}" for key in METRICS)
              for name, row in result["baselines"].items() if row]
    if not result["by_annotator"]:
        lines.append("kendall and spearman compare with the annotators' mean (gtscore), because the h5 file has no "
                     "user_scores. They are higher than, and not comparable to, correlations with single annotators.")
    return "\n".join(lines)
