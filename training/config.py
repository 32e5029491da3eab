"""Checking a config before anything is built: unknown names and keys, each with the nearest known."""

from __future__ import annotations

import inspect

import torch
from nncore import Registry
from nncore.dataset import DATASETS
from nncore.engine import HOOKS
from nncore.nn import MODELS
from torch.utils.data import DataLoader

from common.build import nearest
from common.errors import InputError

from . import hooks  # noqa: F401  registers them
from .loaders import OWN_KEYS

TOP_KEYS = {
    "model": "the model, built from MODELS",
    "data": "datasets by split: train, val and perhaps test",
    "stages": "one stage or a list: epochs, optimizer, lr_schedule, warmup, validation, grad_clip",
    "hooks": "further nncore hooks",
    "seed": "random seed",
    "amp": "mixed precision: None, 'bf16' or 'fp16'",
    "early_stop": "dict(patience=N): stop after N validations without a better one",
    "best_keys": "metrics in order of preference; the first one present says which epoch is best",
    "floors": "whether evaluation prints random, shuffled, zero-shot and oracle scores beside",
    "encoders": "what makes the features: visual, text, audio",
    "summarizer": "options of the summarizer: sigma_clips, max_shot_s, max_iou, max_moments",
    "window_clips": "clips that the model was trained on; longer videos are read in windows of it",
}
AMP = (None, "bf16", "bfloat16", "fp16", "float16")
SPLITS = ("train", "val", "test")
STAGE_KEYS = ("epochs", "optimizer", "lr_schedule", "warmup", "validation", "grad_clip", "loss")
VALIDATION_KEYS = ("interval", "offset")


def check_config(cfg: dict, path: str, needs: tuple[str, ...] = ("model", "data", "stages")) -> None:
    """Checks names and keys of a whole config.

    Args:
        cfg: as `common.config.load_config` gives it.
        path: the config's file, for the message.
        needs: top-level keys that must be there.

    Raises:
        InputError: lists all the faults found, each with its place in the config.
    """
    faults = [f"no {key!r}, which is {TOP_KEYS[key]}" for key in needs if key not in cfg]
    faults += [f"unknown key {key!r}; {nearest(key, TOP_KEYS)}" for key in cfg if key not in TOP_KEYS]
    faults += _check_types(cfg.get("model"), "model", MODELS, torch.nn)
    faults += _check_types(cfg.get("encoders"), "encoders", MODELS)
    faults += _check_types(cfg.get("hooks"), "hooks", HOOKS)
    for split, dataset in cfg.get("data", {}).items():
        where = f"data.{split}"
        if split not in SPLITS:
            faults.append(f"{where}: unknown split; {nearest(split, SPLITS)}")
            continue
        own = {k: v for k, v in dataset.items() if k != "loader"}
        if "type" not in own:
            faults.append(f"{where}: no 'type'; known: {', '.join(sorted(DATASETS.keys()))}")
        faults += _check_types(own, where, DATASETS)
        loader_keys = [*inspect.signature(DataLoader).parameters, *OWN_KEYS]
        faults += _check_keys(dataset.get("loader", {}), f"{where}.loader", loader_keys)
    faults += _check_keys(cfg.get("early_stop") or {}, "early_stop", ("patience",))
    if cfg.get("amp") not in AMP:
        faults.append(f"amp: {cfg['amp']!r} is none of {', '.join(map(repr, AMP))}")
    stages = cfg.get("stages", [])
    for i, stage in enumerate(stages if isinstance(stages, (list, tuple)) else [stages]):
        faults += _check_stage(stage, f"stages[{i}]")
    if faults:
        raise InputError(f"{path}: " + "\n  ".join(faults))


def _check_stage(stage: dict, where: str) -> list[str]:
    faults = _check_keys(stage, where, STAGE_KEYS)
    faults += [f"{where}: no {key!r}" for key in ("epochs", "optimizer") if key not in stage]
    faults += _check_keys(stage.get("validation") or {}, f"{where}.validation", VALIDATION_KEYS)
    if isinstance(stage.get("optimizer"), dict):
        faults += _check_types(stage["optimizer"], f"{where}.optimizer", Registry("optimizer"), torch.optim)
    return faults


def _check_types(cfg: object, where: str, registry: Registry, module: object = None) -> list[str]:
    """Faults of every dict with a `type`, at any depth: names in the registry (or module), keys in the signature."""
    if isinstance(cfg, (list, tuple)):
        return [f for i, item in enumerate(cfg) for f in _check_types(item, f"{where}[{i}]", registry, module)]
    if not isinstance(cfg, dict):
        return []
    faults = []
    if isinstance(cfg.get("type"), str):
        name = cfg["type"]
        built = registry.get(name) or getattr(module, name, None)
        if built is None:
            known = registry.keys() or [n for n in dir(module) if inspect.isclass(getattr(module, n))]
            faults.append(f"{where}: no {registry.name} is called {name!r}; {nearest(name, known)}")
        else:
            faults += _check_keys({k: v for k, v in cfg.items() if k != "type"}, f"{where}: {name}",
                                  inspect.signature(built).parameters)
    for key, value in cfg.items():
        faults += _check_types(value, f"{where}.{key}", registry, module)
    return faults


def _check_keys(cfg: dict, where: str, known) -> list[str]:
    if any(getattr(p, "kind", None) is inspect.Parameter.VAR_KEYWORD for p in getattr(known, "values", tuple)()):
        return []
    return [f"{where}: unknown key {key!r}; {nearest(key, known)}" for key in cfg if key not in known]
