"""Validation of a config before anything is built. Errors for unknown names and keys suggest the closest known one."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping

import torch
from nncore import Registry
from nncore.dataset import DATASETS
from nncore.engine import HOOKS
from nncore.nn import MODELS
from torch.utils.data import DataLoader

from common.build import suggest
from common.errors import ConfigError, InputError

from . import hooks  # noqa: F401  Registers the hooks.
from .config_schema import has_validation, loader_errors, stage_errors, top_level_errors
from .loaders import EXTRA_LOADER_KEYS

TOP_LEVEL_KEYS = {
    "model": "the model, a dict with a type from MODELS",
    "data": "datasets by split: train, val and optionally test",
    "stages": "one stage or a list of stages: epochs, optimizer, lr_schedule, warmup, validation, grad_clip",
    "hooks": "additional nncore hooks",
    "seed": "random seed",
    "amp": "mixed precision: None, 'bf16', 'fp16', or 'auto' for bf16 on hardware that supports it",
    "early_stop": "dict(patience=N): stop after N validations without improvement",
    "best_keys": "metrics in order of preference; the first one present selects the best epoch",
    "keep": "dict(last=True, every=0): write last.pth, and epoch_N.pth at this interval; 0 writes none",
    "baselines": "evaluate random, shuffled-query, zero-shot and oracle baselines too",
    "encoders": "encoders of the features: visual, text, audio",
    "summarizer": "options of the summarizer: sigma_clips, max_shot_s, max_iou, max_moments",
    "window_clips": "number of clips the model was trained on; longer videos are processed in windows of this length",
}
DEPRECATED_KEYS = {"floors": "baselines"}   # Old names of top-level keys, accepted for one release.
SPLIT_PURPOSES = dict(train="to train on", val="to select the best epoch on")
AMP_VALUES = (None, "auto", "bf16", "bfloat16", "fp16", "float16")
SPLITS = ("train", "val", "test")
# `make_loader` sets these arguments of DataLoader, so a config must not.
RESERVED_LOADER_KEYS = ("dataset", "sampler", "batch_sampler", "collate_fn", "worker_init_fn", "generator")
STAGE_KEYS = ("epochs", "optimizer", "lr_schedule", "warmup", "validation", "grad_clip", "loss")
EVALUATION_KEYS = ("model", "data")
TRAINING_KEYS = (*EVALUATION_KEYS, "stages")


def check_config(cfg: dict, path: str, required: tuple[str, ...] = TRAINING_KEYS) -> None:
    """Check names, keys and values of a complete config.

    Args:
        cfg: the config that `common.config.load_config` returned.
        path: file of the config, for the error message.
        required: top-level keys that must be present; with `stages`, the config must be able to train.

    Raises:
        InputError: lists all errors with their locations in the config.
    """
    errors = config_errors(cfg, required)
    if errors:
        raise InputError(path, format_errors(errors))


def format_errors(errors: Iterable[InputError]) -> str:
    """Format errors as one message with a line for each."""
    return "\n  ".join(map(str, errors))


def uses_baselines(cfg: Mapping) -> bool:
    """Return True if the evaluation computes baselines too.

    The deprecated key takes precedence, since only a user's config can contain it, and its base may set the new one.
    """
    return bool(cfg.get("floors", cfg.get("baselines", False)))


def is_within(error: ConfigError, location: str) -> bool:
    """Return True if an error is at a location of the config or inside it."""
    return error.location is not None and (
        error.location == location or error.location.startswith((f"{location}.", f"{location}[")))


def config_errors(cfg: dict, required: tuple[str, ...] = TRAINING_KEYS) -> list[ConfigError]:
    """Return all errors of a config, see `check_config`."""
    errors = [ConfigError(key, "missing", f"set it to {TOP_LEVEL_KEYS[key]}") for key in required if key not in cfg]
    errors += [ConfigError(None, f"unknown key {key!r}", suggest(key, TOP_LEVEL_KEYS)) for key in cfg
               if key not in TOP_LEVEL_KEYS and key not in DEPRECATED_KEYS]
    for key in ("model", "encoders", "data"):
        if key in cfg and not isinstance(cfg[key], dict):
            errors.append(ConfigError(key, f"{cfg[key]!r} is not a dict{'' if key == 'data' else ' with a type'}"))
    errors += _type_errors(cfg.get("model"), "model", MODELS, torch.nn)
    errors += _type_errors(cfg.get("encoders"), "encoders", MODELS)
    errors += _type_errors(cfg.get("hooks"), "hooks", HOOKS)
    errors += top_level_errors(cfg)
    if not _is_amp(cfg.get("amp")):
        errors.append(ConfigError("amp", f"{cfg['amp']!r} is not one of {', '.join(map(repr, AMP_VALUES))}"))
    errors += _data_errors(cfg, required)
    stages = cfg.get("stages", [])
    stages = list(stages) if isinstance(stages, (list, tuple)) else [stages]
    for i, stage in enumerate(stages):
        errors += _stage_errors(stage, f"stages[{i}]")
    if "stages" in required and "stages" in cfg and not has_validation([s for s in stages if isinstance(s, dict)]):
        errors.append(ConfigError("stages", "no epoch is validated, so no best epoch can be selected",
                                  "set validation=dict(interval=1)"))
    return errors


def _is_amp(value: object) -> bool:
    return value is None or (isinstance(value, str) and value in AMP_VALUES)


def _data_errors(cfg: dict, required: tuple[str, ...]) -> list[ConfigError]:
    if not isinstance(cfg.get("data"), dict):   # `config_errors` reports it.
        return []
    has_masks = not isinstance(cfg.get("model"), dict) or cfg["model"].get("mask_padding", True)
    data = cfg["data"]
    errors = [error for split, dataset in data.items() for error in _split_errors(split, dataset, has_masks)]
    if "data" in required:
        splits = ("train", "val") if "stages" in required else ()
        errors += [ConfigError("data", f"no {split!r} split {SPLIT_PURPOSES[split]}") for split in splits
                   if split not in data]
        if not splits and "val" not in data and "test" not in data:
            errors.append(ConfigError("data", "neither a 'val' nor a 'test' split to evaluate on"))
    return errors


def _split_errors(split: str, dataset: object, has_masks: bool) -> list[ConfigError]:
    location = f"data.{split}"
    if split not in SPLITS:
        return [ConfigError(location, "unknown split", suggest(split, SPLITS))]
    if not isinstance(dataset, dict) or not isinstance(dataset.get("loader", {}), dict):
        return [ConfigError(location, f"{dataset!r} is not a dict with a type, or its loader is not a dict")]
    arguments, loader = {k: v for k, v in dataset.items() if k != "loader"}, dataset.get("loader", {})
    errors = [] if "type" in arguments else [
        ConfigError(location, "no 'type'", f"known: {', '.join(sorted(DATASETS.keys()))}")]
    errors += _type_errors(arguments, location, DATASETS)
    loader_keys = [key for key in inspect.signature(DataLoader).parameters if key not in RESERVED_LOADER_KEYS]
    errors += _unknown_keys(loader, f"{location}.loader", [*loader_keys, *EXTRA_LOADER_KEYS])
    errors += loader_errors(loader, f"{location}.loader", is_training=split == "train")
    if split != "train" and not has_masks and loader.get("batch_size", 1) != 1 and not loader.get("same_length"):
        errors.append(ConfigError(
            f"{location}.loader", "padding in a batch changes the predictions of a model with mask_padding=False",
            "set same_length=True, or batch_size=1"))
    return errors


def _stage_errors(stage: object, location: str) -> list[ConfigError]:
    if not isinstance(stage, dict):
        return [ConfigError(location, f"{stage!r} is not a dict of {', '.join(STAGE_KEYS)}")]
    errors = _unknown_keys(stage, location, STAGE_KEYS)
    errors += [ConfigError(location, f"no {key!r}") for key in ("epochs", "optimizer") if key not in stage]
    if isinstance(stage.get("optimizer"), dict):
        errors += _type_errors(stage["optimizer"], f"{location}.optimizer", Registry("optimizer"), torch.optim)
    return errors + stage_errors(stage, location)


def _type_errors(cfg: object, location: str, registry: Registry, module: object = None) -> list[ConfigError]:
    """Check every dict with a `type`, at any depth: its name in the registry or module, its keys in the signature."""
    if isinstance(cfg, (list, tuple)):
        return [e for i, item in enumerate(cfg) for e in _type_errors(item, f"{location}[{i}]", registry, module)]
    if not isinstance(cfg, dict):
        return []
    errors = []
    if isinstance(cfg.get("type"), str):
        name = cfg["type"]
        built = registry.get(name) or getattr(module, name, None)
        if built is None:
            known = registry.keys() or [n for n in dir(module) if inspect.isclass(getattr(module, n))]
            errors.append(ConfigError(location, f"no {registry.name} is called {name!r}", suggest(name, known)))
        else:
            errors += _unknown_keys({k: v for k, v in cfg.items() if k != "type"}, location,
                                    inspect.signature(built).parameters, name)
    for key, value in cfg.items():
        errors += _type_errors(value, f"{location}.{key}", registry, module)
    return errors


def _unknown_keys(cfg: dict, location: str, known: Iterable[str] | Mapping[str, inspect.Parameter],
                  type_name: str = "") -> list[ConfigError]:
    """Return an error for every key that is not known; a signature with **kwargs accepts any key."""
    if isinstance(known, Mapping) and any(p.kind is p.VAR_KEYWORD for p in known.values()):
        return []
    prefix = f"{type_name}: " if type_name else ""
    return [ConfigError(location, f"{prefix}unknown key {key!r}", suggest(key, known)) for key in cfg
            if key not in known]
