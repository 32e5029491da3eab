"""Standardization of features by statistics that training accumulates."""

from __future__ import annotations

import torch
import torch.nn as nn
from nncore.nn import MODELS
from torch import Tensor

from models.distributed import world_size, world_sum

MIN_DEVIATION = 1e-4   # Columns that vary less are divided by this value.


@MODELS.register()
class Standardize(nn.Module):
    """Standardization of each feature column to mean 0 and standard deviation 1 over all clips seen in training.

    Encoders, and the columns of one encoder, differ in scale by orders of magnitude; without standardization, columns
    of a small scale have no effect. Training and inference use the same running statistics (merged as by Chan et al.,
    1979), so a prediction does not depend on the rest of its batch. The statistics are saved with the weights.

    Args:
        dims: width of the features.
        noise: standard deviation of the Gaussian noise added in training, which keeps a model from memorizing videos.
    """

    def __init__(self, dims: int, noise: float = 0):
        super().__init__()
        self.noise = noise
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(dims, dtype=torch.float64))
        self.register_buffer("scatter", torch.zeros(dims, dtype=torch.float64))

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Merge the rows of all processes into the running statistics.

        Args:
            rows: (N, C), the rows of this process, possibly none.
        """
        if len(rows):
            variance, mean = (x.double() for x in torch.var_mean(rows.float(), dim=0, correction=0))
        else:
            variance, mean = torch.zeros_like(self.mean), torch.zeros_like(self.mean)
        number = torch.tensor(len(rows), dtype=torch.float64, device=rows.device)
        if world_size() > 1:
            squares = world_sum(number * (variance + mean**2))
            total = world_sum(number * mean)
            number = world_sum(number)
            mean = total / number
            variance = (squares / number - mean**2).clamp(min=0)
        count = self.count + number
        difference = mean - self.mean
        self.scatter += variance * number + difference**2 * self.count * number / count
        self.mean += difference * number / count
        self.count.copy_(count)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Standardize features and, in training, update the statistics.

        Args:
            x: (B, T, C).
            mask: (B, T), nonzero at valid clips.

        Returns:
            (B, T, C), 0 at padding.
        """
        is_valid = mask > 0
        # Every process takes part in the update, even without clips, because the others would wait for it forever.
        if self.training and (world_size() > 1 or is_valid.any()):
            self.update(x[is_valid])
        scale = 1 / (self.scatter / self.count.clamp(min=1)).sqrt().clamp(min=MIN_DEVIATION)
        # (x - mean) * scale in one pass over the widest tensor of the model.
        out = torch.addcmul((-self.mean * scale).to(x.dtype), x, scale.to(x.dtype))
        if self.training and self.noise:
            out = out.add(torch.randn_like(out), alpha=self.noise)
        return out.masked_fill(~is_valid.unsqueeze(-1), 0)
