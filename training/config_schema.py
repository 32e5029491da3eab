"""Values of a config that nncore and torch would refuse late, in the middle of a training, or not at all."""

from __future__ import annotations

import inspect

import torch
from nncore import CfgNode
from nncore.engine.hooks.lr_updater import POLICIES
from nncore.optim import build_optimizer

from common.build import suggest

TYPES = ("iter", "epoch")
WARMUPS = ("linear", "exp", "constant")
GIVEN = ("base_lr", "progress", "max_progress", "kwargs")   # to a policy, by nncore


def is_whole(value: object, least: int) -> bool:
    """Whether a value is a whole number, at least so large."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def stage_faults(stage: dict, where: str) -> list[str]:
    """Faulty numbers, optimizers and schedules of one stage."""
    faults = []
    if "epochs" in stage and not is_whole(stage["epochs"], 1):
        faults.append(f"{where}.epochs: {stage['epochs']!r} is not a whole number above 0")
    faults += _optimizer_faults(stage.get("optimizer"), f"{where}.optimizer")
    faults += _schedule_faults(stage.get("lr_schedule"), f"{where}.lr_schedule")
    faults += _warmup_faults(stage.get("warmup"), f"{where}.warmup")
    clip = stage.get("grad_clip")
    if clip is not None:
        known = [key for key in inspect.signature(torch.nn.utils.clip_grad_norm_).parameters if key != "parameters"]
        faults += _dict_faults(clip, f"{where}.grad_clip", known, ("max_norm",))
    validation = stage.get("validation")
    if validation is not None:
        faults += _dict_faults(validation, f"{where}.validation", ("interval", "offset"), ("interval",))
        faults += [f"{where}.validation.{key}: {validation[key]!r} is not a whole number from {least}"
                   for key, least in (("interval", 0), ("offset", 0))
                   if isinstance(validation, dict) and key in validation and not is_whole(validation[key], least)]
    return faults


def validated(stages: list[dict]) -> bool:
    """Whether any epoch is validated, so that one can be the best."""
    for stage in stages:
        cfg, epochs = stage.get("validation"), stage.get("epochs")
        if not isinstance(cfg, dict) or not is_whole(epochs, 1) or not is_whole(cfg.get("interval"), 1):
            continue
        offset = cfg.get("offset", 0)
        if is_whole(offset, 0) and any(e > offset for e in range(cfg["interval"], epochs + 1, cfg["interval"])):
            return True
    return False


def loader_faults(loader: dict, where: str, trains: bool) -> list[str]:
    """Faulty numbers of a loader."""
    faults = []
    if not is_whole(loader.get("batch_size", 1), 1):
        faults.append(f"{where}.batch_size: {loader['batch_size']!r} is not a whole number above 0")
    if loader.get("num_workers", 0) != "auto" and not is_whole(loader.get("num_workers", 0), 0):
        faults.append(f"{where}.num_workers: {loader['num_workers']!r} is neither a whole number from 0 nor 'auto'")
    faults += [f"{where}.{key}: {loader[key]!r} is neither True nor False"
               for key in ("shuffle", "drop_last", "same_length", "pin_memory", "persistent_workers")
               if not isinstance(loader.get(key, False), bool)]
    if trains and loader.get("persistent_workers"):
        faults.append(f"{where}.persistent_workers: would keep the workers' random states from epoch to epoch, which a "
                      "resumed training cannot have; leave it out")
    return faults


def top_faults(cfg: dict) -> list[str]:
    """Faulty values of keys at the top."""
    keys, early, keep = cfg.get("best_keys"), cfg.get("early_stop"), cfg.get("keep")
    faults = []
    listed = isinstance(keys, (list, tuple)) and keys and all(isinstance(k, str) for k in keys)
    if keys is not None and not listed:
        faults.append(f"best_keys: {keys!r} is not a list of metrics")
    if early is not None:
        faults += _dict_faults(early, "early_stop", ("patience",), ("patience",))
        if isinstance(early, dict) and not is_whole(early.get("patience", 1), 0):
            faults.append(f"early_stop.patience: {early['patience']!r} is not a whole number from 0")
    if keep is not None:
        faults += _dict_faults(keep, "keep", ("last", "every"), ())
        if isinstance(keep, dict) and not is_whole(keep.get("every", 0), 0):
            faults.append(f"keep.every: {keep['every']!r} is not a whole number of epochs, 0 for none")
        if isinstance(keep, dict) and not isinstance(keep.get("last", True), bool):
            faults.append(f"keep.last: {keep['last']!r} is neither True nor False")
    if cfg.get("seed") is not None and not is_whole(cfg["seed"], 0):
        faults.append(f"seed: {cfg['seed']!r} is not a whole number from 0")
    return faults


def _dict_faults(value: object, where: str, known: tuple[str, ...] | list[str], needed: tuple[str, ...]) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is not a dict of {', '.join(known)}"]
    return [f"{where}: unknown key {key!r}; {suggest(key, known)}" for key in value if key not in known] + [
        f"{where}: no {key!r}" for key in needed if key not in value]


def _optimizer_faults(cfg: object, where: str) -> list[str]:
    """Builds it for one weight, since each has limits of its own."""
    if not isinstance(cfg, dict):
        return [] if cfg is None else [f"{where}: {cfg!r} is not a dict with a type"]
    if not hasattr(torch.optim, str(cfg.get("type"))):
        return [f"{where}: no 'type', e.g. Adam"] if "type" not in cfg else []   # others are named with the near ones
    try:
        build_optimizer(CfgNode(cfg), params=[torch.nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError, RuntimeError, KeyError) as err:
        return [] if "unexpected keyword" in str(err) else [f"{where}: {err}"]
    return []


def _schedule_faults(cfg: object, where: str) -> list[str]:
    if cfg is None:
        return []
    if not isinstance(cfg, dict) or cfg.get("type") not in TYPES or cfg.get("policy") not in POLICIES:
        given = dict(cfg) if isinstance(cfg, dict) else cfg
        return [f"{where}: {given!r} needs type, one of {', '.join(TYPES)}, and policy, one of "
                f"{', '.join(sorted(POLICIES.keys()))}"]
    policy = POLICIES.get(cfg["policy"])
    known = [*TYPES, "type", "policy", *(k for k in inspect.signature(policy).parameters if k not in GIVEN)]
    faults = [f"{where}: unknown key {key!r}; {suggest(key, known[2:])}" for key in cfg if key not in known[2:]]
    try:
        rate = policy(0.1, **{k: v for k, v in cfg.items() if k in known}, progress=1, max_progress=10)
        faults += [] if isinstance(rate, (int, float)) else [f"{where}: gives no number"]
    except (ValueError, TypeError, ZeroDivisionError, ArithmeticError) as err:
        faults.append(f"{where}: {err}")
    return faults


def _warmup_faults(cfg: object, where: str) -> list[str]:
    if cfg is None:
        return []
    faults = _dict_faults(cfg, where, ("type", "policy", "steps", "ratio"), ("type", "policy", "steps", "ratio"))
    if faults:
        return faults
    if cfg["type"] not in TYPES or cfg["policy"] not in WARMUPS:
        faults.append(f"{where}: type is one of {', '.join(TYPES)}, policy one of {', '.join(WARMUPS)}")
    if not is_whole(cfg["steps"], 1):
        faults.append(f"{where}.steps: {cfg['steps']!r} is not a whole number above 0")
    if isinstance(cfg["ratio"], bool) or not isinstance(cfg["ratio"], (int, float)) or not 0 <= cfg["ratio"] <= 1:
        faults.append(f"{where}.ratio: {cfg['ratio']!r} is not a number from 0 to 1")
    return faults
