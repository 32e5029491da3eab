"""Checking a config before anything is built: unknown names and keys, each with the nearest known."""

from __future__ import annotations

import inspect

import torch
from nncore import Registry
from nncore.dataset import DATASETS
from nncore.engine import HOOKS
from nncore.nn import MODELS
from torch.utils.data import DataLoader

from common.build import suggest
from common.errors import InputError

from . import hooks  # noqa: F401  registers them
from .config_schema import loader_faults, stage_faults, top_faults, validated
from .loaders import OWN_KEYS

TOP_KEYS = {
    "model": "the model, built from MODELS",
    "data": "datasets by split: train, val and perhaps test",
    "stages": "one stage or a list: epochs, optimizer, lr_schedule, warmup, validation, grad_clip",
    "hooks": "further nncore hooks",
    "seed": "random seed",
    "amp": "mixed precision: None, 'bf16', 'fp16', or 'auto': bf16 where the hardware computes in it",
    "early_stop": "dict(patience=N): stop after N validations without a better one",
    "best_keys": "metrics in order of preference; the first one present says which epoch is best",
    "keep": "dict(last=True, every=0): whether last.pth is kept, and which epochs are kept besides the best",
    "floors": "whether evaluation prints random, shuffled, zero-shot and oracle scores beside",
    "encoders": "what makes the features: visual, text, audio",
    "summarizer": "options of the summarizer: sigma_clips, max_shot_s, max_iou, max_moments",
    "window_clips": "clips that the model was trained on; longer videos are read in windows of it",
}
WHY = dict(train="which is trained on", val="on which the best epoch is chosen")
AMP = (None, "auto", "bf16", "bfloat16", "fp16", "float16")
SPLITS = ("train", "val", "test")
REFUSED = ("dataset", "sampler", "batch_sampler", "collate_fn", "worker_init_fn", "generator")   # made here
STAGE_KEYS = ("epochs", "optimizer", "lr_schedule", "warmup", "validation", "grad_clip", "loss")


def check_config(cfg: dict, path: str, needs: tuple[str, ...] = ("model", "data", "stages")) -> None:
    """Checks names, keys and values of a whole config.

    Args:
        cfg: as `common.config.load_config` gives it.
        path: the config's file, for the message.
        needs: top-level keys that must be there; with `stages` it must be fit to train.

    Raises:
        InputError: lists all the faults found, each with its place in the config.
    """
    faults = config_faults(cfg, needs)
    if faults:
        raise InputError(f"{path}: " + "\n  ".join(faults))


def config_faults(cfg: dict, needs: tuple[str, ...] = ("model", "data", "stages")) -> list[str]:
    """As `check_config`, all the faults as a list; each begins with its place, e.g. `data.train`."""
    faults = [f"no {key!r}, which is {TOP_KEYS[key]}" for key in needs if key not in cfg]
    faults += [f"unknown key {key!r}; {suggest(key, TOP_KEYS)}" for key in cfg if key not in TOP_KEYS]
    for key in ("model", "encoders", "data"):
        if key in cfg and not isinstance(cfg[key], dict):
            faults.append(f"{key}: {cfg[key]!r} is not a dict{'' if key == 'data' else ' with a type'}")
    faults += _check_types(cfg.get("model"), "model", MODELS, torch.nn)
    faults += _check_types(cfg.get("encoders"), "encoders", MODELS)
    faults += _check_types(cfg.get("hooks"), "hooks", HOOKS)
    faults += top_faults(cfg)
    if not _is_amp(cfg.get("amp")):
        faults.append(f"amp: {cfg['amp']!r} is none of {', '.join(map(repr, AMP))}")
    masks = not isinstance(cfg.get("model"), dict) or cfg["model"].get("mask_padding", True)
    data = cfg["data"] if isinstance(cfg.get("data"), dict) else {}
    for split, dataset in data.items():
        faults += _check_split(split, dataset, masks)
    if "data" in needs and isinstance(cfg.get("data"), dict):
        wanted = ("train", "val") if "stages" in needs else ()
        faults += [f"data: no {split!r}, {WHY[split]}" for split in wanted if split not in data]
        if not wanted and "val" not in data and "test" not in data:
            faults.append("data: neither 'val' nor 'test', which are evaluated")
    stages = cfg.get("stages", [])
    stages = list(stages) if isinstance(stages, (list, tuple)) else [stages]
    for i, stage in enumerate(stages):
        faults += _check_stage(stage, f"stages[{i}]")
    if "stages" in needs and "stages" in cfg and not validated([stage for stage in stages if isinstance(stage, dict)]):
        faults.append("stages: no epoch is validated, so none would be the best; set validation=dict(interval=1)")
    return faults


def _is_amp(value: object) -> bool:
    return value is None or (isinstance(value, str) and value in AMP)


def _check_split(split: str, dataset: object, masks: bool) -> list[str]:
    where = f"data.{split}"
    if split not in SPLITS:
        return [f"{where}: unknown split; {suggest(split, SPLITS)}"]
    if not isinstance(dataset, dict) or not isinstance(dataset.get("loader", {}), dict):
        return [f"{where}: {dataset!r} is not a dict with a type, its loader a dict"]
    own, loader = {k: v for k, v in dataset.items() if k != "loader"}, dataset.get("loader", {})
    faults = [] if "type" in own else [f"{where}: no 'type'; known: {', '.join(sorted(DATASETS.keys()))}"]
    faults += _check_types(own, where, DATASETS)
    loader_keys = [key for key in inspect.signature(DataLoader).parameters if key not in REFUSED]
    faults += _check_keys(loader, f"{where}.loader", [*loader_keys, *OWN_KEYS])
    faults += loader_faults(loader, f"{where}.loader", trains=split == "train")
    if split != "train" and not masks and loader.get("batch_size", 1) != 1 and not loader.get("same_length"):
        faults.append(f"{where}.loader: a model with mask_padding=False predicts otherwise in a padded batch; set "
                      "same_length=True, or batch_size=1")
    return faults


def _check_stage(stage: object, where: str) -> list[str]:
    if not isinstance(stage, dict):
        return [f"{where}: {stage!r} is not a dict of {', '.join(STAGE_KEYS)}"]
    faults = _check_keys(stage, where, STAGE_KEYS)
    faults += [f"{where}: no {key!r}" for key in ("epochs", "optimizer") if key not in stage]
    if isinstance(stage.get("optimizer"), dict):
        faults += _check_types(stage["optimizer"], f"{where}.optimizer", Registry("optimizer"), torch.optim)
    return faults + stage_faults(stage, where)


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
            faults.append(f"{where}: no {registry.name} is called {name!r}; {suggest(name, known)}")
        else:
            faults += _check_keys({k: v for k, v in cfg.items() if k != "type"}, f"{where}: {name}",
                                  inspect.signature(built).parameters)
    for key, value in cfg.items():
        faults += _check_types(value, f"{where}.{key}", registry, module)
    return faults


def _check_keys(cfg: dict, where: str, known) -> list[str]:
    if any(getattr(p, "kind", None) is inspect.Parameter.VAR_KEYWORD for p in getattr(known, "values", tuple)()):
        return []
    return [f"{where}: unknown key {key!r}; {suggest(key, known)}" for key in cfg if key not in known]
