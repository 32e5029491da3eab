"""Reductions over all processes of distributed training.

With them, several processes that each have a part of a batch compute the same results as one process with the complete
batch.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Return the number of processes that train together; 1 outside of distributed training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def world_sum(value: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, without a gradient; for one process, the tensor itself."""
    if world_size() == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value


def world_mean(value: float, device: torch.device) -> float:
    """Return the mean of a number over all processes."""
    return float(world_sum(torch.tensor(value, dtype=torch.float64, device=device)) / world_size())


def world_max(value: int, device: torch.device) -> int:
    """Return the maximum of an integer over all processes."""
    if world_size() == 1:
        return value
    largest = torch.tensor(value, device=device)
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return int(largest)
