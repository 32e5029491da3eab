"""A dry run of the model on a few items, which finds data that do not fit it before the training starts."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn as nn
from nncore import CfgNode
from nncore.nn import MODELS
from nncore.parallel import DataContainer
from torch.utils.data import DataLoader

from common.build import build
from common.errors import ConfigError, InputError
from models.blocks import PositionEmbedding
from training.hooks.best_checkpoint_hook import monitored_metric

from .checkpoints import get_random_state, set_random_state
from .loaders import collate

# A model class or its forward pass may raise any of these on arguments or data that do not fit it.
MODEL_ERRORS = (ValueError, TypeError, RuntimeError, KeyError, IndexError, AttributeError, ZeroDivisionError)
NUM_METRIC_ITEMS = 8   # This many items usually show which metrics a validation computes.


def build_model(cfg: CfgNode) -> nn.Module:
    """Build the model of a config.

    Raises:
        InputError: the model's classes reject the config, e.g. heads that do not divide a width.
    """
    try:
        return build(cfg, MODELS, location="model")
    except InputError:
        raise
    except MODEL_ERRORS as err:
        raise ConfigError("model", f"cannot be built ({type(err).__name__}: {err})") from err


def dry_run_errors(model: nn.Module, loaders: Mapping[str, DataLoader],
                   best_keys: list[str] | None) -> list[ConfigError]:
    """Run the model on a few items and return what does not fit; model and random generators are left unchanged.

    Args:
        model: the model, on the CPU.
        loaders: a loader per split, whose labels and features were already checked.
        best_keys: metrics of which a validation must compute at least one; None if nothing is trained.

    Returns:
        Errors located at `data.<split>`: wrong feature widths, a missing stream, too many clips, labels without the
        answers that the model learns, and metrics that `best_keys` does not name.
    """
    state, was_training = get_random_state(), model.training
    errors = []
    try:
        for split, loader in loaders.items():
            errors += _split_errors(model.eval(), loader.dataset, split, best_keys)
    finally:
        model.train(was_training)
        set_random_state(state)
    return errors


def _split_errors(model: nn.Module, dataset: Any, split: str, best_keys: list[str] | None) -> list[ConfigError]:
    location = f"data.{split}"
    errors = _width_errors(model, dataset, location) + _length_errors(model, dataset, location)
    if errors:
        return errors
    try:
        output = _outputs(model, dataset, 1)[0]
    except MODEL_ERRORS as err:
        return [ConfigError(location, f"the model cannot process its items ({err})",
                            "compare the widths in the config with those of the features")]
    if best_keys is None or split not in ("train", "val"):
        return []
    errors = _label_errors(model, dataset, output, location)
    return errors if errors or split == "train" else _metric_errors(model, dataset, best_keys, location)


def _width_errors(model: nn.Module, dataset: Any, location: str) -> list[ConfigError]:
    """Compare feature widths with those of UMT's streams; for other models, only a forward pass finds an error."""
    errors, item = [], dataset[0]
    for stream, part, folders in (("video", "video_enc", "video_path"), ("audio", "audio_enc", "audio_path"),
                                  ("query", "query_gen", "query_path")):
        expected = getattr(getattr(model, part, None), "in_dims", None)
        paths = getattr(dataset, folders, None) or getattr(dataset, "glove_path", None)
        paths = paths if isinstance(paths, list) else [paths]
        if expected is None or (stream == "query" and "query" not in item):
            continue
        if stream not in item:
            errors.append(ConfigError(location, f"no {folders}, but model.{part} reads {stream} features of width "
                                      f"{expected}", f"set {folders}, or remove {part}"))
        elif item[stream].data.shape[-1] != expected:
            found = " + ".join(str(path) for path in paths)
            together = " together" if len(paths) > 1 else ""
            errors.append(ConfigError(
                location, f"{found}: features of width {item[stream].data.shape[-1]}{together}, but model.{part} "
                f"expects {expected}, its dims[0]", "specify the features that the model was trained on"))
    return errors


def _length_errors(model: nn.Module, dataset: Any, location: str) -> list[ConfigError]:
    """Find a video with more clips than the model has position embeddings."""
    limit = min((m.pe.size(1) for m in model.modules() if isinstance(m, PositionEmbedding)), default=None)
    if limit is None:
        return []
    lengths = [dataset.expected_clips(label) for label in dataset.labels] if hasattr(dataset, "expected_clips") else []
    known = lengths if lengths and None not in lengths else [dataset.num_clips(dataset.labels[0])]
    longest = max(range(len(known)), key=known.__getitem__)
    return [] if known[longest] <= limit else [ConfigError(
        location, f"{dataset.labels[longest]['vid']}: {known[longest]} clips, but the model has positions for {limit}, "
        "its max_len", "raise max_len, or cut the video")]


def _outputs(model: nn.Module, dataset: Any, num_items: int) -> list[dict]:
    """Return the model's outputs for the first items, one by one."""
    num_items = min(num_items, len(dataset))
    with torch.no_grad():
        return [model(_unwrap(collate([dataset[i]])), mode="test")["_out"] for i in range(num_items)]


def _unwrap(batch: dict) -> dict:
    return {key: value.data[0] if isinstance(value, DataContainer) else value for key, value in batch.items()}


def _label_errors(model: nn.Module, dataset: Any, output: dict, location: str) -> list[ConfigError]:
    absent = dataset.missing_annotations() if hasattr(dataset, "missing_annotations") else []
    learns_saliency = any(getattr(getattr(module, "saliency_loss", None), "_loss_weight", 0)
                          for module in model.modules())
    missing = [key for key, is_learned in (("relevant_windows", "boundary" in output),
                                           ("saliency_scores", learns_saliency)) if is_learned and key in absent]
    return [ConfigError(location, f"{dataset.label_path}: no line has {' and '.join(missing)}, which the model learns",
                        "specify a label file that has them")] if missing else []


def _metric_errors(model: nn.Module, dataset: Any, best_keys: list[str], location: str) -> list[ConfigError]:
    """Check that a validation computes one of the `best_keys`, on a few items first and on all only if necessary."""
    for num_items in (NUM_METRIC_ITEMS, len(dataset)):
        subset = copy.copy(dataset)
        subset.labels = dataset.labels[:num_items]
        metrics = subset.evaluate(_outputs(model, subset, num_items))
        try:
            monitored_metric(metrics, best_keys)
            return []
        except KeyError:
            if num_items >= len(dataset):
                break
    return [ConfigError(location, f"best_keys {best_keys}: none is among the metrics {', '.join(sorted(metrics))}",
                        "specify one of these")]
