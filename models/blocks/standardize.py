"""Features brought to mean 0 and deviation 1, by statistics gathered in training."""

from __future__ import annotations

import torch
import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from models.distributed import world_size, world_sum

MIN_DEVIATION = 1e-4


@MODELS.register()
class Standardize(nn.Module):
    """Subtracts each feature's mean and divides by its deviation over all clips seen in training.

    Parts of a feature, and encoders, differ in scale by orders of magnitude; without this the small
    ones are not heard. Training and inference use the same running statistics (merged as by Chan et
    al., 1979), so that a batch changes no prediction. The statistics are kept with the weights.

    Args:
        dims: width.
        noise: deviation of the normal noise added in training, against learning single videos by heart.
    """

    def __init__(self, dims: int, noise: float = 0):
        super().__init__()
        self.noise = noise
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(dims, dtype=torch.float64))
        self.register_buffer("scatter", torch.zeros(dims, dtype=torch.float64))

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Adds rows (N, C), of all processes together, to the statistics; this one's may be none."""
        variance, mean = (x.double() for x in torch.var_mean(rows.float(), dim=0, correction=0)) if len(rows) else (
            torch.zeros_like(self.mean), torch.zeros_like(self.mean))
        number = torch.tensor(len(rows), dtype=torch.float64, device=rows.device)
        if world_size() > 1:   # the rows of all processes
            squares = world_sum(number * (variance + mean**2))
            total = world_sum(number * mean)
            number = world_sum(number)
            mean = total / number
            variance = (squares / number - mean**2).clamp(min=0)
        count = self.count + number
        away = mean - self.mean
        self.scatter += variance * number + away**2 * self.count * number / count
        self.mean += away * number / count
        self.count.copy_(count)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C), mask (B, T) of the clips that exist -> (B, T, C), 0 where padded."""
        exists = mask > 0
        if self.training and (world_size() > 1 or exists.any()):   # all processes, or they wait for each other
            self.update(x[exists])
        scale = 1 / (self.scatter / self.count.clamp(min=1)).sqrt().clamp(min=MIN_DEVIATION)
        # (x - mean) * scale in one pass over the widest tensor of the model
        out = torch.addcmul((-self.mean * scale).to(x.dtype), x, scale.to(x.dtype))
        if self.training and self.noise:
            out = out.add(torch.randn_like(out), alpha=self.noise)
        return out.masked_fill(~exists.unsqueeze(-1), 0)
