"""A training step of the published UMT, with loading: the plain way and ours."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
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
from .synthetic import made_up_set

CONFIG = ROOT / "configs/qvhighlights/umt_base_200e_qvhighlights.py"
VIDEOS, BATCH = 384, 32   # an epoch of as many steps as are measured: its first batch is always waited for
COMPARED_VIDEOS = 192
WARM_UP, STEPS, COMPARED = 3, 9, 20


def measure() -> list[Row]:
    """Seconds per step of 32 queries, the ways in turn, whether their losses are the same, and memory."""
    import datasets
    import models  # noqa: F401  registers them
    from datasets.features.pack import pack_folder

    datasets.register()
    retain_freed_memory()   # for the plain way, too

    with tempfile.TemporaryDirectory() as folder:
        plain_set = made_up_set(Path(folder), VIDEOS)
        ours_set = {**plain_set, "video_path": [str(pack_folder(path)) for path in plain_set["video_path"]],
                    "query_path": str(pack_folder(plain_set["query_path"])),
                    "audio_path": str(pack_folder(plain_set["audio_path"], dtype="float32"))}   # as their files are
        ways = [(plain_set, plain_way, False), (ours_set, contextlib.nullcontext, False)]
        if cpu_has_bfloat16():   # else it is imitated, at minutes a step
            ways.append((ours_set, contextlib.nullcontext, True))
        (plain_s, _), (ours_s, wait), *halves = steps_in_turn(ways)
        few = Path(folder) / "few.jsonl"
        few.write_text("".join(Path(plain_set["label_path"]).read_text().splitlines(keepends=True)[:COMPARED_VIDEOS]))
        with plain_way():
            plain_losses = losses({**plain_set, "label_path": str(few)}, fused=False)
        away = max(abs(a - b) / a for a, b in zip(plain_losses, losses({**ours_set, "label_path": str(few)}),
                                                  strict=True))
    told = "" if halves else "; no bfloat16, which this processor has not"
    return [
        Row(f"UMT training step of {BATCH}, float32", plain_s, ours_s,
            f"waits for data {wait:.1%}; losses of {COMPARED} steps differ by {away:.1e} at most{told}"),
        *(Row(f"UMT training step of {BATCH}, bfloat16", plain_s, half_s, f"waits for data {half_wait:.1%}")
          for half_s, half_wait in halves),
        memory_row(),
    ]


def make(data: dict, workers: int, dropout: bool, rate: float = 1e-3, fused: bool = True) -> tuple:
    torch.manual_seed(0)
    model = build(load_config(CONFIG).model, MODELS)
    if not dropout:
        for module in model.modules():
            for name in ("p", "_p"):
                if hasattr(module, name):
                    setattr(module, name, 0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=1e-4, fused=fused)
    loader = build_loader({**data, "loader": dict(batch_size=BATCH, shuffle=True, num_workers=workers,
                                                  persistent_workers=workers > 0)}, seed=0)
    return NNDataParallel(model).train(), optimizer, loader


def batches(loader) -> Iterator[dict]:
    while True:
        yield from loader


def step(model, optimizer, batch, half: bool = False) -> float:
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        output = model(batch, mode="train")
    loss = sum(value for key, value in output.items() if "loss" in key)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def steps_in_turn(ways: list[tuple]) -> list[tuple[float, float]]:
    """A step of every way, again and again, so that other work on the machine slows all alike.

    Each loads in as many processes as are best on this machine.

    Args:
        ways: data, the context to work in, and whether in bfloat16.

    Returns:
        Per way the median seconds of a step with loading, and the share spent waiting for data.
    """
    made = [make(data, default_num_workers(), dropout=True, fused=context is not plain_way)
            for data, context, _ in ways]
    streams = [batches(loader) for _, _, loader in made]
    times, waits = [[] for _ in ways], [[] for _ in ways]
    for i in range(WARM_UP + STEPS):
        for w, (_, context, half) in enumerate(ways):
            with context():
                start = time.perf_counter()
                batch = next(streams[w])
                waited = time.perf_counter() - start
                step(*made[w][:2], batch, half)
                if i >= WARM_UP:
                    times[w].append(time.perf_counter() - start)
                    waits[w].append(waited)
    return [(median(t), sum(w) / sum(t)) for t, w in zip(times, waits, strict=True)]


def losses(data: dict, fused: bool = True) -> list[float]:
    """The losses of the first steps without dropout, whose random numbers differ.

    At a learning rate that lets noise be learned in peace; at ten times as much the loss leaps, and
    two roundings of one computation drift apart by 1e-3. So they may at this rate, on other noise, after a
    step in which the ranking or L1 losses, whose gradients jump, fall on different sides.
    """
    model, optimizer, loader = make(data, 0, dropout=False, rate=1e-4, fused=fused)
    stream = batches(loader)
    return [step(model, optimizer, next(stream)) for _ in range(COMPARED)]


@contextlib.contextmanager
def plain_way() -> Iterator[None]:
    """torch's dropout and linear layers, attention written out, targets in loops, as in the published code."""
    patches = {"cpu.linear.ONEDNN": None, "cpu.dropout.drop": plain_drop, "blocks.attention.drop": plain_drop,
               "cpu.dropout._ReluDrop.apply": plain_relu_drop,
               "blocks.boundary_head.BoundaryHead.targets": plain_targets,
               "blocks.attention.F.scaled_dot_product_attention": plain_attention}
    with contextlib.ExitStack() as stack:
        for name, value in patches.items():
            stack.enter_context(patch(f"models.{name}", value))
        yield


def plain_drop(x: Tensor, p: float) -> Tensor:
    return F.dropout(x, p)


def plain_relu_drop(x: Tensor, dropped: int) -> Tensor:
    return F.dropout(F.relu(x, inplace=True), dropped / 2**16)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0) -> Tensor:
    weights = q @ k.transpose(-1, -2) / q.size(-1)**0.5
    if attn_mask is not None:
        weights = weights.masked_fill(~attn_mask, -torch.inf)
    return F.dropout(weights.softmax(dim=-1), dropout_p) @ v


def plain_targets(head, boundary: Tensor, num_clips: int) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """`BoundaryHead.targets` window by window."""
    made = [boundary.new_zeros(len(boundary), num_clips) for _ in range(4)]
    center_tgt, window_tgt, offset_tgt, weight = made
    count = 0
    for b, windows in enumerate(boundary.tolist()):
        for start, end in windows:
            if start == -1:
                continue
            count += 1
            first, last = start / head.unit, (end - head.unit) / head.unit
            center, length = min((first + last) / 2, num_clips - 0.5), last - first
            radius, at = int(length * head.radius_factor), int(center)
            sigma = (radius + 1) * head.sigma_factor
            for t in range(max(0, at - radius), min(num_clips, at + radius + 1)):
                heat = torch.exp(torch.tensor(-(t - at)**2 / (2 * sigma**2)))
                center_tgt[b, t] = torch.maximum(center_tgt[b, t], heat)
            window_tgt[b, at], offset_tgt[b, at], weight[b, at] = length, center - at, 1
    return *made, count
