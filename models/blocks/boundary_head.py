"""The head that predicts where moments begin and end."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from nncore.nn import LOSSES, MODELS, build_linear_modules
from torch import Tensor

from common.build import build
from models.distributed import world_mean, world_size

from .saliency_head import contains_layer


@MODELS.register()
class BoundaryHead(nn.Module):
    """A key point detector for moments, which predicts centers, lengths and offsets (UMT, Liu et al., CVPR 2022).

    Args:
        dims: widths of the linear layers; the last one is 1.
        radius_factor: radius of a center's heat map, as a fraction of the moment's length.
        sigma_factor: standard deviation of the heat map, as a fraction of its radius + 1.
        kernel: size in clips of the window in which only the highest center score is kept; 1 keeps all.
        unit: length of a clip in seconds.
        max_num_moments: maximum number of returned moments.
        pred_indices: decoder layers that predict; the last layer by default.
        loss_indices: decoder layers that are trained; `pred_indices` by default.
        center_loss: config of the loss of center scores, one of nncore's.
        window_loss: config of the loss of lengths, likewise.
        offset_loss: config of the loss of offsets, likewise.
        context_cfg: config of a module that adds temporal context, e.g. TemporalContext; None as published.
    """

    def __init__(self, dims: list[int], radius_factor: float = 0.2, sigma_factor: float = 0.2, kernel: int = 1,
                 unit: float = 2, max_num_moments: int = 100, pred_indices: list[int] | None = None,
                 loss_indices: list[int] | None = None, center_loss: dict | None = None,
                 window_loss: dict | None = None, offset_loss: dict | None = None,
                 context_cfg: dict | None = None):
        super().__init__()
        self.context = build(context_cfg, MODELS, dims[0], location="context_cfg")
        self.center_pred, self.window_pred, self.offset_pred = (build_linear_modules(list(dims)) for _ in range(3))
        self.center_loss = build(center_loss or dict(type="GaussianFocalLoss"), LOSSES, location="center_loss")
        self.window_loss = build(window_loss or dict(type="L1Loss", loss_weight=0.1), LOSSES, location="window_loss")
        self.offset_loss = build(offset_loss or dict(type="L1Loss"), LOSSES, location="offset_loss")
        self.radius_factor, self.sigma_factor = radius_factor, sigma_factor
        self.kernel, self.unit, self.max_num_moments = kernel, unit, max_num_moments
        self.pred_indices = tuple(pred_indices or (-1,))
        self.loss_indices = tuple(loss_indices or self.pred_indices)

    def forward(self, inputs: list[Tensor], data: dict, output: dict, mode: str) -> dict:
        """Add `d{layer}.{center,window,offset}_loss` and `_out["boundary"]` to the output of the model.

        Args:
            inputs: (B, T, C) per decoder layer.
            data: `saliency` (B, T), -1 at padding, and `boundary` (B, W, 2), windows [start, end) in seconds, -1 at
                padding; neither is modified.
            output: the model's output so far.
            mode: `train`, `val`, or `test`, which computes no losses.

        Returns:
            `output`; its boundary is (B, N, 3): start and end in seconds, and score, by descending score within a
            layer.
        """
        mask = (data["saliency"] >= 0).float()
        boundaries = []
        for i, x in enumerate(inputs):
            predicts, trains = (
                contains_layer(indices, i, len(inputs)) for indices in (self.pred_indices, self.loss_indices))
            if not predicts and not trains:
                continue
            if self.context is not None:
                x = self.context(x, mask)
            center = self.center_pred(x).squeeze(-1).float().sigmoid() * mask   # (B, T, 1) -> (B, T)
            window = self.window_pred(x).squeeze(-1).float()
            offset = self.offset_pred(x).squeeze(-1).float()
            if predicts:
                boundaries.append(self.decode(center.detach(), window.detach(), offset.detach(), mask))
            if trains and mode != "test" and "boundary" in data:
                self._add_losses(output, f"d{i}", (center, window, offset), data["boundary"], mask)
        output["_out"]["boundary"] = torch.cat(boundaries, dim=1).cpu()
        return output

    def _add_losses(self, output: dict, name: str, preds: tuple[Tensor, Tensor, Tensor], boundary: Tensor,
                    mask: Tensor) -> None:
        center_tgt, window_tgt, offset_tgt, weight, num_windows = self.targets(boundary.float(), mask.size(1))
        world = world_size()
        mean_windows = world_mean(num_windows, mask.device) if world > 1 else num_windows
        count = max(mean_windows, 1 / world)   # A batch may have no windows.
        output[f"{name}.center_loss"] = self.center_loss(preds[0], center_tgt, weight=mask, avg_factor=count)
        output[f"{name}.window_loss"] = self.window_loss(preds[1], window_tgt, weight=weight, avg_factor=count)
        output[f"{name}.offset_loss"] = self.offset_loss(preds[2], offset_tgt, weight=weight, avg_factor=count)

    def targets(self, boundary: Tensor, num_clips: int) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
        """Return the training targets of the three predictions.

        Args:
            boundary: (B, W, 2), windows [start, end) in seconds, -1 at padding.
            num_clips: number of clips T.

        Returns:
            Heat maps of centers, lengths in clips, offsets in clips, and weights, (B, T) each; and the number of
            windows.
        """
        B, W, _ = boundary.shape
        is_window = boundary[..., 0] != -1                          # (B, W)
        first = boundary[..., 0] / self.unit
        last = (boundary[..., 1] - self.unit) / self.unit           # The last clip of the window, inclusive.
        center = ((first + last) / 2).clamp(max=num_clips - 0.5)
        length = last - first
        radius = (length * self.radius_factor).int()
        sigma = (radius + 1) * self.sigma_factor
        center_clip = center.int()
        distance = torch.arange(num_clips, device=boundary.device) - center_clip.unsqueeze(-1)   # (B, W, T)
        heat = torch.exp(-distance**2 / (2 * sigma.unsqueeze(-1) ** 2))
        heat = heat * (distance.abs() <= radius.unsqueeze(-1)) * is_window.unsqueeze(-1)
        center_tgt = heat.amax(dim=1) if W else boundary.new_zeros(B, num_clips)
        window_tgt, offset_tgt, weight = (boundary.new_zeros(B, num_clips) for _ in range(3))
        for w in range(W):   # Of two windows with the same center clip, the later one determines the target.
            rows = torch.nonzero(is_window[:, w]).squeeze(-1)
            clips = center_clip[rows, w].long()
            window_tgt[rows, clips] = length[rows, w]
            offset_tgt[rows, clips] = center[rows, w] - center_clip[rows, w]
            weight[rows, clips] = 1
        return center_tgt, window_tgt, offset_tgt, weight, int(is_window.sum())

    def decode(self, center: Tensor, window: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        """Convert center scores, lengths and offsets to moments.

        Args:
            center: (B, T) scores.
            window: (B, T) lengths in clips.
            offset: (B, T) offsets in clips.
            mask: (B, T), nonzero at valid clips, which are the first ones; None if all clips are valid.

        Returns:
            (B, N, 3): start and end in seconds, and score, by descending score; moments of padded clips come last and
            are all 0. As in the published code, windows may extend into padding.
        """
        T = center.size(1)
        is_valid = torch.ones_like(center, dtype=torch.bool) if mask is None else mask > 0
        peak = F.max_pool1d(center, self.kernel, stride=1, padding=(self.kernel - 1) // 2)
        ranked, order = (center * (peak == center)).masked_fill(~is_valid, -1).sort(dim=1, descending=True, stable=True)
        number = min(self.max_num_moments, T)
        score, index = ranked[:, :number], order[:, :number]
        middle = index + offset.gather(1, index).clamp(min=0)
        half = window.gather(1, index).clamp(min=0) / 2
        start = (middle - half).clamp(0, T - 1) * self.unit
        end = (middle + half).clamp(0, T - 1) * self.unit + self.unit
        return torch.stack((start, end, score), dim=-1).masked_fill((score < 0).unsqueeze(-1), 0)
