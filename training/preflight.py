"""Checks before a training: everything is built and read once, and all errors are reported in one message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import torch.nn as nn
from nncore.engine import comm
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from common.errors import ConfigError, InputError

from .config import format_errors, is_within
from .dry_run import build_model, dry_run_errors
from .loaders import build_loader

MAX_SHOWN_ERRORS = 30


def build_checked(cfg: dict, config: str, config_errors: Sequence[ConfigError], seed: int,
                  best_keys: list[str] | None) -> tuple[dict[str, DataLoader], nn.Module]:
    """Build a loader per split and the model, and check that they fit together.

    Args:
        cfg: the config.
        config: file of the config, for the error message.
        config_errors: errors that are already known; the parts of the config that they concern are not built.
        seed: random seed of the loaders.
        best_keys: see `dry_run_errors`.

    Raises:
        InputError: lists all errors of config, labels, features and model.
    """
    loaders, data_errors = _build_loaders(cfg, config_errors, seed)
    model: nn.Module | None = None
    errors: list[InputError] = list(config_errors)
    if not any(is_within(error, "model") for error in config_errors):
        try:
            model = build_model(cfg["model"])
        except InputError as err:
            errors.append(err)
    if model is not None and not errors and not data_errors:
        data_errors = dry_run_errors(model, loaders, best_keys)
    if model is None or errors or data_errors:
        raise _combined(config, errors, data_errors)
    return loaders, model


def _build_loaders(cfg: dict, config_errors: Sequence[ConfigError],
                   seed: int) -> tuple[dict[str, DataLoader], list[ConfigError]]:
    """Build the loaders of all splits without config errors, and read their labels and features."""
    loaders: dict[str, DataLoader] = {}
    errors: list[ConfigError] = []
    file_errors: list[ConfigError] = []
    for split, split_cfg in cfg["data"].items() if isinstance(cfg.get("data"), dict) else ():
        location = f"data.{split}"
        if any(is_within(error, location) for error in config_errors):
            continue
        try:
            loaders[split] = build_loader(split_cfg, seed)
            found: Iterable = _dataset_errors(split, loaders[split].dataset)
        except InputError as err:   # The other splits are still checked.
            valid_part = getattr(err, "dataset", None)   # The dataset of those labels that are valid.
            errors.append(ConfigError(location, str(err)))
            found = _dataset_errors(split, valid_part) if valid_part else ()
        file_errors += [ConfigError(location, str(error)) for error in found]
    return loaders, [*errors, *_merge_splits(file_errors)]


def _merge_splits(errors: Sequence[ConfigError]) -> list[ConfigError]:
    """Merge equal errors of several splits, such as a missing folder that they share."""
    locations: dict[str, list[str]] = {}
    for error in errors:
        locations.setdefault(error.problem, []).append(str(error.location))
    return [ConfigError(", ".join(dict.fromkeys(found)), problem) for problem, found in locations.items()]


def _dataset_errors(split: str, dataset: Dataset) -> list:
    """Check a split's labels and features; a dataset without `check` has read and checked them when it was built."""
    if not hasattr(dataset, "check"):
        return []
    disable = None if comm.is_main_process() else True   # None shows the progress bar on a terminal only.
    return dataset.check(partial(tqdm, desc=f"checking {split}", disable=disable, leave=False))


def _combined(config: str, errors: Sequence[InputError], data_errors: Sequence[ConfigError]) -> InputError:
    """Return one error that lists those of the config and those of the data."""
    lines = [format_errors(errors)] if errors else []
    if data_errors:
        num = len(data_errors)
        lines += [f"{num} error{'s' * (num > 1)} in the data:", *map(str, data_errors[:MAX_SHOWN_ERRORS])]
    if len(data_errors) > MAX_SHOWN_ERRORS:
        lines.append(f"and {len(data_errors) - MAX_SHOWN_ERRORS} more")
    return InputError(config if errors else None, "\n  ".join(lines))
