"""Validation of config values that nncore and torch would reject in the middle of a training, or not at all."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TypeGuard

import torch
from nncore import CfgNode
from nncore.engine.hooks.lr_updater import POLICIES
from nncore.optim import build_optimizer

from common.build import suggest
from common.errors import ConfigError

SCHEDULE_TYPES = ("iter", "epoch")
WARMUP_POLICIES = ("linear", "exp", "constant")
WARMUP_KEYS = ("type", "policy", "steps", "ratio")
# nncore passes these arguments to a learning rate policy; the others come from the config.
POLICY_ARGUMENTS = ("base_lr", "progress", "max_progress", "kwargs")
BOOLEAN_LOADER_KEYS = ("shuffle", "drop_last", "same_length", "pin_memory", "persistent_workers")


def is_int(value: object, minimum: int) -> TypeGuard[int]:
    """Return True for an integer of at least `minimum`; a bool does not count as an integer."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def stage_errors(stage: dict, location: str) -> list[ConfigError]:
    """Return the errors in numbers, optimizer and schedules of one stage.

    Args:
        stage: config of the stage.
        location: its location in the config, e.g. `stages[0]`.
    """
    errors = []
    if "epochs" in stage and not is_int(stage["epochs"], 1):
        errors.append(_not_int(f"{location}.epochs", stage["epochs"], 1))
    errors += _optimizer_errors(stage.get("optimizer"), f"{location}.optimizer")
    errors += _schedule_errors(stage.get("lr_schedule"), f"{location}.lr_schedule")
    errors += _warmup_errors(stage.get("warmup"), f"{location}.warmup")
    clip = stage.get("grad_clip")
    if clip is not None:
        known = [key for key in inspect.signature(torch.nn.utils.clip_grad_norm_).parameters if key != "parameters"]
        errors += _dict_errors(clip, f"{location}.grad_clip", known, ("max_norm",))
    validation = stage.get("validation")
    if validation is not None:
        errors += _dict_errors(validation, f"{location}.validation", ("interval", "offset"), ("interval",))
        errors += [_not_int(f"{location}.validation.{key}", validation[key], 0) for key in ("interval", "offset")
                   if isinstance(validation, dict) and key in validation and not is_int(validation[key], 0)]
    return errors


def has_validation(stages: Sequence[dict]) -> bool:
    """Return True if at least one epoch is validated, so that a best epoch exists."""
    for stage in stages:
        cfg, epochs = stage.get("validation"), stage.get("epochs")
        if not isinstance(cfg, dict) or not is_int(epochs, 1) or not is_int(cfg.get("interval"), 1):
            continue
        offset = cfg.get("offset", 0)
        if is_int(offset, 0) and any(e > offset for e in range(cfg["interval"], epochs + 1, cfg["interval"])):
            return True
    return False


def loader_errors(loader: dict, location: str, is_training: bool) -> list[ConfigError]:
    """Return the errors in the values of a loader's options.

    Args:
        loader: options of the loader.
        location: its location in the config, e.g. `data.train.loader`.
        is_training: True for the loader of the train split.
    """
    errors = []
    if not is_int(loader.get("batch_size", 1), 1):
        errors.append(_not_int(f"{location}.batch_size", loader["batch_size"], 1))
    if loader.get("num_workers", 0) != "auto" and not is_int(loader.get("num_workers", 0), 0):
        errors.append(ConfigError(f"{location}.num_workers",
                                  f"{loader['num_workers']!r} is neither an integer of at least 0 nor 'auto'"))
    errors += [ConfigError(f"{location}.{key}", f"{loader[key]!r} is neither True nor False")
               for key in BOOLEAN_LOADER_KEYS if not isinstance(loader.get(key, False), bool)]
    if is_training and loader.get("persistent_workers"):
        errors.append(ConfigError(
            f"{location}.persistent_workers", "keeps the workers' random states from epoch to epoch, which a resumed "
            "training cannot restore", "leave it out"))
    return errors


def top_level_errors(cfg: dict) -> list[ConfigError]:
    """Return the errors in the values of the top-level keys `best_keys`, `early_stop`, `keep` and `seed`."""
    keys, early, keep = cfg.get("best_keys"), cfg.get("early_stop"), cfg.get("keep")
    errors = []
    is_list = isinstance(keys, (list, tuple)) and keys and all(isinstance(k, str) for k in keys)
    if keys is not None and not is_list:
        errors.append(ConfigError("best_keys", f"{keys!r} is not a list of metrics"))
    if early is not None:
        errors += _dict_errors(early, "early_stop", ("patience",), ("patience",))
        if isinstance(early, dict) and not is_int(early.get("patience", 1), 0):
            errors.append(_not_int("early_stop.patience", early["patience"], 0))
    if keep is not None:
        errors += _dict_errors(keep, "keep", ("last", "every"), ())
        if isinstance(keep, dict) and not is_int(keep.get("every", 0), 0):
            errors.append(ConfigError("keep.every", f"{keep['every']!r} is not a number of epochs, or 0 for none"))
        if isinstance(keep, dict) and not isinstance(keep.get("last", True), bool):
            errors.append(ConfigError("keep.last", f"{keep['last']!r} is neither True nor False"))
    if cfg.get("seed") is not None and not is_int(cfg["seed"], 0):
        errors.append(_not_int("seed", cfg["seed"], 0))
    return errors


def _not_int(location: str, value: object, minimum: int) -> ConfigError:
    return ConfigError(location, f"{value!r} is not an integer of at least {minimum}")


def _dict_errors(value: object, location: str, known: Sequence[str], required: Sequence[str]) -> list[ConfigError]:
    if not isinstance(value, dict):
        return [ConfigError(location, f"{value!r} is not a dict of {', '.join(known)}")]
    unknown = [ConfigError(location, f"unknown key {key!r}", suggest(key, known)) for key in value if key not in known]
    return unknown + [ConfigError(location, f"no {key!r}") for key in required if key not in value]


def _optimizer_errors(cfg: object, location: str) -> list[ConfigError]:
    """Build the optimizer for one weight, because each optimizer checks its own arguments."""
    if not isinstance(cfg, dict):
        return [] if cfg is None else [ConfigError(location, f"{cfg!r} is not a dict with a type")]
    optimizer = getattr(torch.optim, str(cfg.get("type")), None)
    if optimizer is None:   # `config_errors` reports an unknown type.
        return [ConfigError(location, "no 'type'", "specify an optimizer, e.g. Adam")] if "type" not in cfg else []
    parameters = inspect.signature(optimizer).parameters
    accepts_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if not accepts_any and any(key not in parameters for key in cfg if key != "type"):
        return []   # `config_errors` reports unknown keys.
    try:
        build_optimizer(CfgNode(cfg), params=[torch.nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError, RuntimeError, KeyError) as err:
        return [ConfigError(location, str(err))]
    return []


def _schedule_errors(cfg: object, location: str) -> list[ConfigError]:
    if cfg is None:
        return []
    if not isinstance(cfg, dict) or cfg.get("type") not in SCHEDULE_TYPES or cfg.get("policy") not in POLICIES:
        shown = dict(cfg) if isinstance(cfg, dict) else cfg
        return [ConfigError(location, f"{shown!r} needs type, one of {', '.join(SCHEDULE_TYPES)}, and policy, one of "
                            f"{', '.join(sorted(POLICIES.keys()))}")]
    policy = POLICIES.get(cfg["policy"])
    arguments = [k for k in inspect.signature(policy).parameters if k not in POLICY_ARGUMENTS]
    known = ["type", "policy", *arguments]
    errors = [ConfigError(location, f"unknown key {key!r}", suggest(key, known)) for key in cfg if key not in known]
    try:
        rate = policy(0.1, **{k: v for k, v in cfg.items() if k in known}, progress=1, max_progress=10)
        errors += [] if isinstance(rate, (int, float)) else [
            ConfigError(location, f"the policy returns {rate!r}, which is not a number")]
    except (ValueError, TypeError, ArithmeticError) as err:
        errors.append(ConfigError(location, str(err)))
    return errors


def _warmup_errors(cfg: object, location: str) -> list[ConfigError]:
    if cfg is None:
        return []
    errors = _dict_errors(cfg, location, WARMUP_KEYS, WARMUP_KEYS)
    if errors or not isinstance(cfg, dict):
        return errors
    if cfg["type"] not in SCHEDULE_TYPES or cfg["policy"] not in WARMUP_POLICIES:
        errors.append(ConfigError(location, f"type must be one of {', '.join(SCHEDULE_TYPES)}, and policy one of "
                                  f"{', '.join(WARMUP_POLICIES)}"))
    if not is_int(cfg["steps"], 1):
        errors.append(_not_int(f"{location}.steps", cfg["steps"], 1))
    if isinstance(cfg["ratio"], bool) or not isinstance(cfg["ratio"], (int, float)) or not 0 <= cfg["ratio"] <= 1:
        errors.append(ConfigError(f"{location}.ratio", f"{cfg['ratio']!r} is not a number from 0 to 1"))
    return errors
