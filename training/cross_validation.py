"""Cross-validation: train a config on every fold of its split file with several seeds, and compare with baselines."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import datasets
from common.config import load_config
from common.errors import ConfigError, InputError
from common.files import make_folder, write_json
from common.paths import ROOT
from datasets.annotations.summarization_h5 import SummarizedVideo, read_folds, read_summarization_h5

from .checkpoints import to_builtins
from .config import check_config
from .launcher import launch
from .rescoring import OWN_SENTENCES, check_sentences, rescore_videos
from .summarization_baselines import METRICS, compute_baselines, measure, named_metrics

# A change in these files may change the weights, so earlier trainings are not reused.
CODE = ("models/*.py", "models/blocks/*.py", "datasets/summarization_*.py", "training/launcher.py",
        "training/engine.py", "training/loaders.py", "training/hooks/*.py")
ROW_TITLES = {"ridge, alike": "ridge + similar"}   # The other rows are titled by their key.


def cross_validate(config: str, seeds: Sequence[int], work_dir: str | Path | None = None, *,
                   changes: Mapping[str, Any] | None = None, sentences: str = OWN_SENTENCES,
                   fresh: bool = False) -> dict:
    """Train and test every fold with every seed, by `training.launcher.launch`.

    Finished trainings in the work dir are reused, so an interrupted call continues where it stopped. A training is
    repeated if the config, the content of the h5 file or of the split file, or the training code has changed.

    Args:
        config: config of a `SummarizationH5` dataset with a split file. It must validate its last epoch only, because
            `best_keys` would otherwise select an epoch on the test fold.
        seeds: random seeds; each fold is trained once with each.
        work_dir: `work_dirs/<name of the config>_folds` by default, with the changes appended.
        changes: changes to the config by dotted keys, e.g. `{"model.alike": 0}`.
        sentences: sentences that the test videos are scored with, a key of `SENTENCE_SOURCES`.
        fresh: repeat all trainings.

    Returns:
        `model`: mean, `spread_seeds` and `spread_folds` (standard deviations of the means) of Kendall's tau,
        Spearman's rho and F1 in per cent, over users as the dataset's `f1` states; `folds` by seed; `baselines` by
        name (`floors` is a deprecated name of the same); `trainings`, and `earlier`, the number of them that were
        reused. The work dir's `folds.json` has the same content.

    Raises:
        InputError: an error in config or data, or a config that selects its epoch on the test fold.
    """
    datasets.register()
    check_config(load_config(config), config)
    check_sentences(sentences)
    changes = dict(changes or {})
    name = "_".join([f"{Path(config).stem}_folds", *(f"{k}={v}" for k, v in changes.items())])
    work_dir = make_folder(work_dir or Path("work_dirs") / re.sub(r"[^\w.=-]+", "_", name))
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


def _checked_data(path: Path, shown: str) -> dict:
    """Return the val split of a config for cross-validation.

    Args:
        path: the config with all changes.
        shown: the file that messages name, which is the config of the user.

    Raises:
        InputError: the config is invalid, has no folds, or selects its epoch on the test fold.
    """
    cfg = load_config(path)
    check_config(cfg, shown)
    data = cfg.data["val"]
    stages = cfg.stages if isinstance(cfg.stages, list) else [cfg.stages]
    if data.get("split_path") is None or data.get("part") != "test":
        raise ConfigError(f"{shown}: data.val", "no split_path, or its part is not 'test'",
                          "name a config with folds")
    if stages[-1].validation.interval < sum(stage.epochs for stage in stages):
        raise ConfigError(f"{shown}: stages", "validates more than its last epoch, so the best epoch would be selected "
                          "on the test fold", f"set validation=dict(interval={stages[-1].epochs})")
    return data


def _summarize_folds(by_seed: Mapping[int, Sequence[Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    table = np.array([[[fold[key] for key in METRICS] for fold in rows] for rows in by_seed.values()])   # seed, fold
    return dict(mean=named_metrics(table.mean(axis=(0, 1))), spread_seeds=named_metrics(table.mean(axis=1).std(axis=0)),
                spread_folds=named_metrics(table.mean(axis=0).std(axis=0)))


def _write_derived_config(path: Path, base: str | Path, changes: Mapping[str, Any]) -> Path:
    """Write a config that changes another one at dotted keys."""
    tree: dict[str, Any] = {}
    for dotted, value in changes.items():
        node, (*parents, key) = tree, dotted.split(".")
        for name in parents:
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                raise InputError(None, f"--set {dotted}: another --set replaces {name!r} completely",
                                 "leave one of them out")
        node[key] = value
    invalid = [name for name in tree if not name.isidentifier()]
    if invalid:
        raise InputError(None, f"--set {invalid[0]}: not a config key", "write KEY.KEY=VALUE, e.g. model.alike=0")
    lines = [f"_base_ = {str(Path(base).resolve())!r}", *(f"{name} = {value!r}" for name, value in tree.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _input_fingerprint(data: dict) -> dict[str, str]:
    """Return checksums of the dataset, the split and the training code, by name."""
    return dict(h5=_sha256(data["h5_path"]), split=_sha256(data["split_path"]),
                code=_sha256(*sorted(path for pattern in CODE for path in ROOT.glob(pattern))))


def _sha256(*paths: str | Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def _train_fold(base: Path, work_dir: Path, fold: int, seed: int, fingerprint: Mapping[str, str],
                fresh: bool) -> tuple[Path, bool]:
    """Train one fold, unless its folder holds a finished training with the same inputs.

    Returns:
        The fold's folder, and True if it was trained now.
    """
    folder = make_folder(work_dir / f"fold{fold}_seed{seed}")
    scores, identity = folder / "scores.jsonl", folder / "config.json"
    fold_config = _write_derived_config(folder / "config.py", base, {"data.train.fold": fold, "data.val.fold": fold})
    resolved = json.dumps(dict(config=to_builtins(load_config(fold_config)), **fingerprint), default=str,
                          sort_keys=True)
    if not fresh and scores.is_file() and identity.is_file() and identity.read_text(encoding="utf-8") == resolved:
        return folder, False
    identity.unlink(missing_ok=True)   # An interrupted training must not pass for a finished one.
    launch(str(fold_config), seed=seed, work_dir=str(folder), dump=str(scores))
    identity.write_text(resolved, encoding="utf-8")
    return folder, True


def _read_scores(path: Path) -> dict[str, np.ndarray]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {line["vid"]: np.array(line["pred_saliency_scores"]) for line in lines}


def _shared_width(data: dict, key: str) -> int:
    """Return the number of a feature key's columns in the sentences' embedding space; the name identifies it."""
    if key != "features_shared":
        return 0
    first: SummarizedVideo = next(iter(read_summarization_h5(data["h5_path"], None, (key,)).values()))
    return first.features.shape[1]


def format_result(result: Mapping[str, Any]) -> str:
    """Format what `cross_validate` returns as a table."""
    model = result["model"]
    reused = f"reused {result['earlier']} of {result['trainings']} trainings from an earlier run"
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
        lines.append("Kendall and spearman compare with the annotators' mean (gtscore), because the file has no "
                     "user_scores. They are higher than with each annotator, and not comparable with those.")
    return "\n".join(lines)
