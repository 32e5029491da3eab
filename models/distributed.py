"""Sums over all processes, so that several with a part of the batch each do what one with the whole would."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Processes that train together; 1 where none were started so."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def world_sum(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes; the tensor itself where there is one. No gradient passes."""
    if world_size() == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value


def world_mean(value: float, device: torch.device) -> float:
    """The mean of a number over all processes."""
    return float(world_sum(torch.tensor(value, dtype=torch.float64, device=device)) / world_size())


def world_max(value: int, device: torch.device) -> int:
    """The largest of a whole number over all processes."""
    if world_size() == 1:
        return value
    largest = torch.tensor(value, device=device)
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return int(largest)
