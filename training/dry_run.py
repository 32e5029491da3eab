"""A model asked what it takes and gives, before it is trained on data that do not fit it."""

from __future__ import annotations

import copy

import torch
import torch.nn as nn
from nncore import CfgNode
from nncore.nn import MODELS
from nncore.parallel import DataContainer
from torch.utils.data import DataLoader, Dataset

from common.build import build
from common.errors import InputError
from models.blocks import PositionEmbedding
from training.hooks.best_checkpoint_hook import watched

from .checkpoints import random_state, set_random_state
from .loaders import collate

REFUSALS = (ValueError, TypeError, RuntimeError, KeyError, IndexError, AttributeError, ZeroDivisionError)
SHOWN_ITEMS = 8   # of a split, whose metrics are named


def build_model(cfg: CfgNode) -> nn.Module:
    """The model of a config.

    Raises:
        InputError: what the classes refuse, e.g. heads that do not divide a width.
    """
    try:
        return build(cfg, MODELS, location="model")
    except InputError:
        raise
    except REFUSALS as err:
        raise InputError(f"model: cannot be built ({type(err).__name__}: {err})") from err


def trial_faults(model: nn.Module, loaders: dict[str, DataLoader], best_keys: list[str] | None) -> list[str]:
    """What in the data does not fit the model; leaves model and random numbers as they are.

    Args:
        model: on the CPU.
        loaders: by split; each was checked.
        best_keys: of a config that trains, which validation must give one of; None where nothing is trained.

    Returns:
        Faults by split: widths with their folders, a lacking stream, too many clips, answers that lack where the
        model learns them, metrics that `best_keys` does not know.
    """
    state, training = random_state(), model.training
    faults = []
    try:
        for split, loader in loaders.items():
            found = _split_faults(model.eval(), loader.dataset, split, best_keys)
            faults += [f"data.{split}: {fault}" for fault in found]
    finally:
        model.train(training)
        set_random_state(state)
    return faults


def _split_faults(model: nn.Module, dataset: Dataset, split: str, best_keys: list[str] | None) -> list[str]:
    item = dataset[0]
    faults = _width_faults(model, dataset, item) + _length_faults(model, dataset)
    if faults:
        return faults
    try:
        output = _outputs(model, dataset, 1)[0]
    except REFUSALS as err:
        return [f"the model cannot read its items ({err}); compare the widths in the config with those of the data"]
    if best_keys is None or split not in ("train", "val"):
        return []
    faults = _answer_faults(model, dataset, output)
    return faults if faults or split == "train" else _metric_faults(model, dataset, best_keys)


def _width_faults(model: nn.Module, dataset: Dataset, item: dict) -> list[str]:
    """Of UMT's streams, which know their widths; those of other models are told by a trial."""
    faults = []
    for stream, part, folders in (("video", "video_enc", "video_path"), ("audio", "audio_enc", "audio_path"),
                                  ("query", "query_gen", "query_path")):
        expected = getattr(getattr(model, part, None), "in_dims", None)
        paths = getattr(dataset, folders, None) or getattr(dataset, "glove_path", None)
        paths = paths if isinstance(paths, list) else [paths]
        if expected is None or (stream == "query" and "query" not in item):
            continue
        if stream not in item:
            faults.append(f"no {folders}, but model.{part} reads {stream} features {expected} wide; give it, or leave "
                          f"{part} out")
        elif item[stream].data.shape[-1] != expected:
            found = " + ".join(str(path) for path in paths)
            faults.append(f"{found}: {item[stream].data.shape[-1]} wide{' together' if len(paths) > 1 else ''}, but "
                          f"model.{part} expects {expected}, its dims[0]; name the features that it was made for")
    return faults


def _length_faults(model: nn.Module, dataset: Dataset) -> list[str]:
    """More clips than the model has positions for."""
    most = min((m.pe.size(1) for m in model.modules() if isinstance(m, PositionEmbedding)), default=None)
    if most is None:
        return []
    lengths = [dataset.expected_clips(label) for label in dataset.labels] if hasattr(dataset, "expected_clips") else []
    known = lengths if lengths and None not in lengths else [dataset.num_clips(dataset.labels[0])]
    longest = max(range(len(known)), key=known.__getitem__)
    return [] if known[longest] <= most else [
        f"{dataset.labels[longest]['vid']}: {known[longest]} clips, but the model has positions for {most}, its "
        "max_len; set it higher, or cut the video"]


def _outputs(model: nn.Module, dataset: Dataset, number: int) -> list[dict]:
    """What the model gives for the first items, one by one."""
    number = min(number, len(dataset))
    with torch.no_grad():
        return [model(_unpacked(collate([dataset[i]])), mode="test")["_out"] for i in range(number)]


def _unpacked(batch: dict) -> dict:
    return {key: part.data[0] if isinstance(part, DataContainer) else part for key, part in batch.items()}


def _answer_faults(model: nn.Module, dataset: Dataset, output: dict) -> list[str]:
    lacking = dataset.lacking_answers() if hasattr(dataset, "lacking_answers") else []
    rated = any(getattr(getattr(module, "saliency_loss", None), "_loss_weight", 0) for module in model.modules())
    needed = [key for key, learns in (("relevant_windows", "boundary" in output), ("saliency_scores", rated))
              if learns and key in lacking]
    return [f"{dataset.label_path}: no line has {' and '.join(needed)}, which the model learns; name labels that "
            "answer"] if needed else []


def _metric_faults(model: nn.Module, dataset: Dataset, best_keys: list[str]) -> list[str]:
    """Whether validation gives a metric that is watched: asked of a few items, and of all only if they do not."""
    for number in (SHOWN_ITEMS, len(dataset)):
        few = copy.copy(dataset)
        few.labels = dataset.labels[:number]
        metrics = few.evaluate(_outputs(model, few, number))
        try:
            watched(metrics, best_keys)
            return []
        except KeyError:
            if number >= len(dataset):
                break
    return [f"best_keys {best_keys}: none is among the metrics {', '.join(sorted(metrics))}; name one of these"]
