"""Compare a training step of the published UMT, including data loading, with the published implementation."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from unittest.mock import patch

import torch
import torch.nn.functional as F
from nncore.nn import MODELS
from nncore.parallel import NNDataParallel
from torch import Tensor

from common.build import build
from common.config import load_config
from common.memory import retain_freed_memory
from common.paths import ROOT
from models.device import cpu_has_bfloat16
from training.loaders import build_loader, default_num_workers

from . import Row
from .memory import memory_row
from .synthetic import pack_data_set, write_data_set

CONFIG = ROOT / "configs/qvhighlights/umt_base_200e_qvhighlights.py"
# One epoch has as many steps as are measured, because the first batch of an epoch is always waited for.
NUM_VIDEOS, BATCH_SIZE = 384, 32
WARM_UP_STEPS, MEASURED_STEPS = 3, 9
COMPARED_VIDEOS, COMPARED_STEPS = 192, 20


@dataclass(frozen=True)
class Variant:
    """A way to train.

    Attributes:
        data: options of the data set.
        is_reference: True for the reference implementation.
        use_bfloat16: True to compute in bfloat16 where autocast does.
        disabled: names of `PATCHES` to replace by the published code's implementations.
    """

    data: dict
    is_reference: bool = False
    use_bfloat16: bool = False
    disabled: tuple[str, ...] = ()

    def context(self) -> AbstractContextManager[None]:
        """Return the context to train in."""
        return reference_implementation() if self.is_reference else replaced(*self.disabled)


def measure() -> list[Row]:
    """Measure the seconds per step of all variants, the difference of their losses, and the memory of loading."""
    import datasets
    import models  # noqa: F401  Registers the models.

    datasets.register()
    retain_freed_memory()   # This also affects the reference.

    with tempfile.TemporaryDirectory() as folder:
        unpacked = write_data_set(Path(folder), NUM_VIDEOS)
        packed = pack_data_set(unpacked)
        variants = [Variant(unpacked, is_reference=True), Variant(packed)]
        if cpu_has_bfloat16():   # Emulating it takes minutes per step.
            variants.append(Variant(packed, use_bfloat16=True))
        (reference_s, _), (product_s, wait), *bfloat16 = measure_steps(variants)
        lines = Path(unpacked["label_path"]).read_text().splitlines(keepends=True)
        compared = Path(folder) / "compared.jsonl"
        compared.write_text("".join(lines[:COMPARED_VIDEOS]))
        with reference_implementation():
            reference_losses = first_losses({**unpacked, "label_path": str(compared)}, fused=False)
        losses = first_losses({**packed, "label_path": str(compared)})
        difference = max(abs(a - b) / a for a, b in zip(reference_losses, losses, strict=True))
    missing = "" if bfloat16 else "; bfloat16 is not measured, because the CPU does not support it"
    return [
        Row(f"UMT training step of {BATCH_SIZE}, float32", reference_s, product_s,
            f"{wait:.1%} of the time waiting for data; maximum relative difference of the losses of {COMPARED_STEPS} "
            f"steps {difference:.1e}{missing}"),
        *(Row(f"UMT training step of {BATCH_SIZE}, bfloat16", reference_s, bfloat16_s,
              f"{bfloat16_wait:.1%} of the time waiting for data") for bfloat16_s, bfloat16_wait in bfloat16),
        memory_row(),
    ]


def build_training(data: dict, num_workers: int, dropout: bool, lr: float = 1e-3, fused: bool = True) -> tuple:
    """Build a model, its optimizer, and a loader.

    Args:
        data: options of the data set.
        num_workers: number of processes that load data.
        dropout: False to disable dropout.
        lr: learning rate.
        fused: True for torch's fused Adam.
    """
    torch.manual_seed(0)
    model = build(load_config(CONFIG).model, MODELS)
    if not dropout:
        for module in model.modules():
            for name in ("p", "_p"):
                if hasattr(module, name):
                    setattr(module, name, 0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=1e-4, fused=fused)
    loader = build_loader({**data, "loader": dict(batch_size=BATCH_SIZE, shuffle=True, num_workers=num_workers,
                                                  persistent_workers=num_workers > 0)}, seed=0)
    return NNDataParallel(model).train(), optimizer, loader


def endless_batches(loader) -> Iterator[dict]:
    """Yield the batches of a loader, epoch after epoch."""
    while True:
        yield from loader


def train_step(model, optimizer, batch, use_bfloat16: bool = False) -> float:
    """Train on a batch and return the loss."""
    with torch.autocast("cpu", torch.bfloat16, enabled=use_bfloat16):
        output = model(batch, mode="train")
    loss = sum(value for key, value in output.items() if "loss" in key)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def measure_steps(variants: list[Variant]) -> list[tuple[float, float]]:
    """Run one step of each variant in turn, repeatedly, so that other processes slow down all variants alike.

    Each variant loads data in the default number of processes for this machine.

    Returns:
        For each variant, the median seconds per step including data loading, and the share of waiting for data.
    """
    built = [build_training(variant.data, default_num_workers(), dropout=True, fused=not variant.is_reference)
             for variant in variants]
    streams = [endless_batches(loader) for _, _, loader in built]
    times: list[list[float]] = [[] for _ in variants]
    waits: list[list[float]] = [[] for _ in variants]
    for i in range(WARM_UP_STEPS + MEASURED_STEPS):
        for v, variant in enumerate(variants):
            with variant.context():
                start = time.perf_counter()
                batch = next(streams[v])
                waited = time.perf_counter() - start
                model, optimizer, _ = built[v]
                train_step(model, optimizer, batch, variant.use_bfloat16)
                if i >= WARM_UP_STEPS:
                    times[v].append(time.perf_counter() - start)
                    waits[v].append(waited)
    return [(median(t), sum(w) / sum(t)) for t, w in zip(times, waits, strict=True)]


def first_losses(data: dict, fused: bool = True) -> list[float]:
    """Return the losses of the first steps without dropout, because its random numbers differ between variants.

    The learning rate is low enough for stable training. At ten times the rate, the losses jump, and rounding
    differences of equal computations grow to 1e-3. This may also happen at this rate on other data, after a step whose
    ranking or L1 losses have gradients that differ in sign.
    """
    model, optimizer, loader = build_training(data, 0, dropout=False, lr=1e-4, fused=fused)
    stream = endless_batches(loader)
    return [train_step(model, optimizer, next(stream)) for _ in range(COMPARED_STEPS)]


def reference_implementation() -> AbstractContextManager[None]:
    """Replace the optimized parts of the model by the published code's.

    These are torch's dropout and linear layers, attention without a fused kernel, and targets computed in loops.
    """
    return replaced(*PATCHES)


@contextlib.contextmanager
def replaced(*names: str) -> Iterator[None]:
    """Replace the parts of the model that are named in `PATCHES`."""
    with contextlib.ExitStack() as stack:
        for name in names:
            for target, value in PATCHES[name].items():
                stack.enter_context(patch(f"models.{target}", value))
        yield


def reference_dropout(x: Tensor, p: float) -> Tensor:
    return F.dropout(x, p)


def reference_relu_dropout(x: Tensor, threshold: int) -> Tensor:
    return F.dropout(F.relu(x), threshold / 2**16)


def reference_attention(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None,
                        dropout_p: float = 0) -> Tensor:
    weights = q @ k.transpose(-1, -2) / q.size(-1)**0.5
    if attn_mask is not None:
        weights = weights.masked_fill(~attn_mask, -torch.inf)
    return F.dropout(weights.softmax(dim=-1), dropout_p) @ v


def reference_targets(head, boundary: Tensor, num_clips: int) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """Compute `BoundaryHead.targets` window by window."""
    targets = [boundary.new_zeros(len(boundary), num_clips) for _ in range(4)]
    center_tgt, window_tgt, offset_tgt, weight = targets
    count = 0
    for b, windows in enumerate(boundary.tolist()):
        for start, end in windows:
            if start == -1:
                continue
            count += 1
            first, last = start / head.unit, (end - head.unit) / head.unit
            center, length = min((first + last) / 2, num_clips - 0.5), last - first
            radius, middle = int(length * head.radius_factor), int(center)
            sigma = (radius + 1) * head.sigma_factor
            for t in range(max(0, middle - radius), min(num_clips, middle + radius + 1)):
                heat = torch.exp(torch.tensor(-(t - middle)**2 / (2 * sigma**2)))
                center_tgt[b, t] = torch.maximum(center_tgt[b, t], heat)
            window_tgt[b, middle], offset_tgt[b, middle], weight[b, middle] = length, center - middle, 1
    return center_tgt, window_tgt, offset_tgt, weight, count


# The published code's implementation of each optimized part, by the names that it replaces in `models`.
PATCHES: dict[str, dict[str, object]] = {
    "cpu.onednn_linear": {"cpu.onednn_linear.ONEDNN_LINEAR": None},
    "cpu.fast_dropout": {"cpu.fast_dropout.fast_dropout": reference_dropout,
                         "blocks.attention.fast_dropout": reference_dropout,
                         "cpu.fast_dropout._ReluDropoutFunction.apply": reference_relu_dropout},
    "targets": {"blocks.boundary_head.BoundaryHead.targets": reference_targets},
    "attention": {"blocks.attention.F.scaled_dot_product_attention": reference_attention},
}
