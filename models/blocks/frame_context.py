"""How a frame stands in its video: smoothed features, and what tells it apart from its surroundings."""

from __future__ import annotations

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from nncore.nn import MODELS
from torch import Tensor

SPANS_S = (7, 28, 112)   # around a frame, whose mean it is compared with
EDGE_S = 10             # how long a video's beginning and end last
CHANNELS = len(SPANS_S) + 2 + 5
COLUMNS = 256            # of the features, at once: a long video's many copies would be large


@MODELS.register()
class FrameContext(nn.Module):
    """Centres features by their video and smooths them, and describes each frame by ten numbers.

    These are its likeness to the mean of 7, 28 and 112 seconds around it and of the whole video, its change
    from the frame before, and five of its place in the video. Nothing here is trained, and all is in seconds,
    so that a model trained on one row a second reads one row every two.

    Args:
        smooth_s: seconds that a frame's features are averaged over, with weights that fall to both sides.
    """

    def __init__(self, smooth_s: float = 5.0):
        super().__init__()
        self.smooth_s = smooth_s

    def forward(self, video: Tensor, mask: Tensor, row_s: float) -> tuple[Tensor, Tensor]:
        """Describes the frames.

        Args:
            video: (B, T, V).
            mask: (B, T) bool, True where a frame exists.
            row_s: seconds from a row to the next.

        Returns:
            Features (B, T, V) centred by the video and smoothed, channels (B, T, CHANNELS); 0 where padded.
        """
        exists = mask.unsqueeze(-1).to(video.dtype)
        number = exists.sum(dim=1, keepdim=True).clamp(min=1)
        norm = torch.linalg.vector_norm(video, dim=-1, keepdim=True).clamp(min=1e-12)
        likeness, change, features = [_Cosine() for _ in range(len(SPANS_S) + 1)], 0, torch.empty_like(video)
        for columns, smoothed in zip(video.split(COLUMNS, dim=-1), features.split(COLUMNS, dim=-1), strict=True):
            unit = columns / norm * exists
            for cosine, span in zip(likeness, SPANS_S, strict=False):
                cosine.add(unit, around(unit, exists, span / row_s))
            likeness[-1].add(unit, unit.sum(dim=1, keepdim=True) / number)
            change = change + (unit[:, 1:] * unit[:, :-1]).sum(dim=-1)
            centred = (columns - (columns * exists).sum(dim=1, keepdim=True) / number) * exists
            smoothed.copy_(self.smooth(centred, exists, row_s))
        near, whole = [cosine.value() * 10 - 8 for cosine in likeness[:-1]], likeness[-1].value() * 5 - 4
        seen = torch.stack([*near, whole, F.pad(1 - change, (1, 0))], dim=-1) * exists
        channels = torch.cat([self.smooth(seen, exists, row_s), place(mask, row_s)], dim=-1) * exists
        return features, channels

    def smooth(self, x: Tensor, exists: Tensor, row_s: float) -> Tensor:
        """(B, T, C) averaged over `smooth_s` twice, which weighs the middle most."""
        return around(around(x, exists, self.smooth_s / row_s), exists, self.smooth_s / row_s)


class _Cosine:
    """The cosine of two tensors' last dimensions, whose columns come in parts."""

    def __init__(self):
        self.product, self.squares = 0, (0, 0)

    def add(self, a: Tensor, b: Tensor) -> None:
        """(B, T, C) and the same, or (B, 1, C)."""
        self.product = self.product + (a * b).sum(dim=-1)
        self.squares = tuple(s + x.square().sum(dim=-1) for s, x in zip(self.squares, (a, b), strict=True))

    def value(self) -> Tensor:
        """(B, T); 0 where one is all zeros."""
        return self.product / (self.squares[0] * self.squares[1]).sqrt().clamp(min=1e-8)


def around(x: Tensor, exists: Tensor, rows: float) -> Tensor:
    """The mean of the frames that exist, as many rows around each as are nearest to `rows` and odd.

    Args:
        x: (B, T, C).
        exists: (B, T, 1), 1 or 0.
        rows: of the span.

    Returns:
        (B, T, C), 0 where padded.
    """
    side = round((rows - 1) / 2)
    if side < 1:
        return x * exists
    T = x.size(1)
    sums = F.pad(torch.cat([x * exists, exists], dim=-1).cumsum(dim=1), (0, 0, 1, 0))   # (B, T + 1, C + 1)
    row = torch.arange(T, device=x.device)
    total = sums[:, (row + side + 1).clamp(max=T)] - sums[:, (row - side).clamp(min=0)]
    return total[..., :-1] / total[..., -1:].clamp(min=1) * exists


def place(mask: Tensor, row_s: float) -> Tensor:
    """(B, T, 5): where a frame stands in its video, as waves of the share that has passed, and how near the ends."""
    T = mask.size(1)
    number = mask.sum(dim=1, keepdim=True).clamp(min=1)
    row = torch.arange(T, device=mask.device).expand_as(mask)
    share = (row + 0.5) / number
    since, left = row * row_s, (number - 1 - row).clamp(min=0) * row_s
    return torch.stack([2 * torch.sin(math.pi * share) - 1, torch.cos(math.pi * share),
                        torch.cos(2 * math.pi * share), torch.exp(-since / EDGE_S), torch.exp(-left / EDGE_S)], dim=-1)
