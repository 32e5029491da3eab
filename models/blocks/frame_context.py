"""Smoothed features of frames, and descriptors that compare each frame with the rest of its video."""

from __future__ import annotations

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from nncore.nn import MODELS
from torch import Tensor

SPANS_S = (7, 28, 112)   # Spans around a frame whose mean features it is compared with.
EDGE_S = 10              # Time constant of the channels that mark the beginning and the end of a video.
# One similarity per span, the similarity to the complete video, the change, and five position channels.
CHANNELS = len(SPANS_S) + 2 + 5
BLOCK_COLUMNS = 256      # Feature columns processed at once, which limits the memory that a long video needs.


@MODELS.register()
class FrameContext(nn.Module):
    """Features that are centered by their video and smoothed over time, and ten descriptive channels per frame.

    The channels are the cosine similarities to the mean features of the surrounding 7, 28 and 112 seconds and of the
    complete video, the change since the previous frame, and five channels of the position in the video. The module has
    no parameters, and all its spans are in seconds, so a model that is trained on one row per second also scores one
    row per two seconds.

    Args:
        smooth_s: seconds over which features are averaged, twice, which gives triangular weights.
    """

    def __init__(self, smooth_s: float = 5.0):
        super().__init__()
        self.smooth_s = smooth_s

    def forward(self, video: Tensor, mask: Tensor, row_s: float) -> tuple[Tensor, Tensor]:
        """Compute features and channels.

        Args:
            video: (B, T, V).
            mask: (B, T) bool, True at valid frames.
            row_s: seconds between rows.

        Returns:
            Features (B, T, V) and channels (B, T, CHANNELS), both 0 at padding.
        """
        valid = mask.unsqueeze(-1).to(video.dtype)
        number = valid.sum(dim=1, keepdim=True).clamp(min=1)
        norm = torch.linalg.vector_norm(video, dim=-1, keepdim=True).clamp(min=1e-12)
        similarities = [_BlockwiseCosine() for _ in range(len(SPANS_S) + 1)]
        previous, features = 0, torch.empty_like(video)
        for columns, smoothed in zip(video.split(BLOCK_COLUMNS, dim=-1), features.split(BLOCK_COLUMNS, dim=-1),
                                     strict=True):
            unit = columns / norm * valid
            for similarity, span in zip(similarities, SPANS_S, strict=False):
                similarity.add(unit, moving_average(unit, valid, span / row_s))
            similarities[-1].add(unit, unit.sum(dim=1, keepdim=True) / number)
            previous = previous + (unit[:, 1:] * unit[:, :-1]).sum(dim=-1)
            centered = (columns - (columns * valid).sum(dim=1, keepdim=True) / number) * valid
            smoothed.copy_(self.smooth(centered, valid, row_s))
        # Similarities of 0.7 to 0.9 to a span, and of 0.6 to 1 to the complete video, are mapped to [-1, 1].
        surrounding = [similarity.value() * 10 - 8 for similarity in similarities[:-1]]
        overall = similarities[-1].value() * 5 - 4
        visual = torch.stack([*surrounding, overall, F.pad(1 - previous, (1, 0))], dim=-1) * valid
        channels = torch.cat([self.smooth(visual, valid, row_s), position_channels(mask, row_s)], dim=-1) * valid
        return features, channels

    def smooth(self, x: Tensor, valid: Tensor, row_s: float) -> Tensor:
        """Average (B, T, C) over `smooth_s` twice; see `moving_average`."""
        return moving_average(moving_average(x, valid, self.smooth_s / row_s), valid, self.smooth_s / row_s)


class _BlockwiseCosine:
    """The cosine similarity over the last dimension of two tensors, accumulated from blocks of columns."""

    def __init__(self):
        self.product, self.squares = 0, (0, 0)

    def add(self, a: Tensor, b: Tensor) -> None:
        """Add a block of columns: a (B, T, C), and b (B, T, C) or (B, 1, C)."""
        self.product = self.product + (a * b).sum(dim=-1)
        self.squares = tuple(s + x.square().sum(dim=-1) for s, x in zip(self.squares, (a, b), strict=True))

    def value(self) -> Tensor:
        """Return the similarities (B, T), 0 where a vector is zero."""
        return self.product / (self.squares[0] * self.squares[1]).sqrt().clamp(min=1e-8)


def moving_average(x: Tensor, valid: Tensor, rows: float) -> Tensor:
    """Return the mean of the valid frames in a window around each frame.

    Args:
        x: (B, T, C).
        valid: (B, T, 1), 1 at valid frames and 0 at padding.
        rows: window size, which is rounded to the nearest odd number of rows.

    Returns:
        (B, T, C), 0 at padding.
    """
    side = round((rows - 1) / 2)
    if side < 1:
        return x * valid
    T = x.size(1)
    sums = F.pad(torch.cat([x * valid, valid], dim=-1).cumsum(dim=1), (0, 0, 1, 0))   # (B, T + 1, C + 1)
    row = torch.arange(T, device=x.device)
    total = sums[:, (row + side + 1).clamp(max=T)] - sums[:, (row - side).clamp(min=0)]
    return total[..., :-1] / total[..., -1:].clamp(min=1) * valid


def position_channels(mask: Tensor, row_s: float) -> Tensor:
    """Return (B, T, 5) channels of a frame's position in its video.

    The first three are waves over the elapsed fraction of the video. The others decay from 1 with the seconds since the
    beginning and until the end.
    """
    T = mask.size(1)
    number = mask.sum(dim=1, keepdim=True).clamp(min=1)
    row = torch.arange(T, device=mask.device).expand_as(mask)
    fraction = (row + 0.5) / number
    elapsed_s, remaining_s = row * row_s, (number - 1 - row).clamp(min=0) * row_s
    return torch.stack([2 * torch.sin(math.pi * fraction) - 1, torch.cos(math.pi * fraction),
                        torch.cos(2 * math.pi * fraction), torch.exp(-elapsed_s / EDGE_S),
                        torch.exp(-remaining_s / EDGE_S)], dim=-1)
