"""The head that predicts the saliency of every clip."""

from __future__ import annotations

import torch.nn as nn
from nncore.nn import LOSSES, MODELS, build_linear_modules
from torch import Tensor

from common.build import build
from models.distributed import world_max, world_mean, world_size


@MODELS.register()
class SaliencyHead(nn.Module):
    """A saliency score per clip, trained by binary cross-entropy on graded labels (UMT, Liu et al., CVPR 2022).

    Args:
        dims: widths of the linear layers; the last one is 1.
        saliency_loss: config of the loss, one of nncore's.
        pred_indices: decoder layers whose scores are averaged; the last layer by default.
        loss_indices: decoder layers that are trained; `pred_indices` by default.
    """

    def __init__(self, dims: list[int], saliency_loss: dict | None = None, pred_indices: list[int] | None = None,
                 loss_indices: list[int] | None = None):
        super().__init__()
        self.saliency_pred = build_linear_modules(list(dims))
        self.saliency_loss = build(saliency_loss or dict(type="DynamicBCELoss"), LOSSES, location="saliency_loss")
        self.pred_indices = tuple(pred_indices or (-1,))
        self.loss_indices = tuple(loss_indices or self.pred_indices)

    def forward(self, inputs: list[Tensor], data: dict, output: dict, mode: str) -> dict:
        """Add `d{layer}.saliency_loss` and `_out["saliency"]` to the output of the model.

        Args:
            inputs: (B, T, C) per decoder layer.
            data: `saliency` (B, T) in [0, 1], -1 at padding.
            output: the model's output so far. Losses are means over the `_avg_factor` items of this process.
            mode: `train`, `val`, or `test`, which computes no losses.

        Returns:
            `output`; its saliency is (B, T) in [0, 1], 0 at padding.
        """
        mask = (data["saliency"] >= 0).to(inputs[0].dtype)
        scores = []
        for i, x in enumerate(inputs):
            predicts, trains = (
                contains_layer(indices, i, len(inputs)) for indices in (self.pred_indices, self.loss_indices))
            if not predicts and not trains:
                continue
            logits = self.saliency_pred(x).squeeze(-1).float()   # (B, T, 1) -> (B, T)
            if predicts:
                scores.append(logits.detach().sigmoid() * mask)
            if trains and mode != "test":
                output[f"d{i}.saliency_loss"] = self.saliency_loss(
                    logits, data["saliency"].float(), weight=mask.float(),
                    avg_factor=_mean_num_clips(logits, output["_avg_factor"]))
        output["_out"]["saliency"] = (sum(scores) / len(scores)).float().cpu()
        return output


def contains_layer(indices: tuple[int, ...], layer: int, num_layers: int) -> bool:
    """Return True if the indices, which may be negative as in lists, contain a layer."""
    return layer in {index % num_layers for index in indices}


def _mean_num_clips(logits: Tensor, items: int) -> float | None:
    """Return the divisor that makes the mean loss of all processes equal to the loss of one combined batch.

    Args:
        logits: (B, T), of this process.
        items: number of items of this process.

    Returns:
        The mean number of items per process times the maximum T; None for a single process, where the loss chooses.
    """
    if world_size() == 1:
        return None
    return max(world_mean(items, logits.device), 1 / world_size()) * world_max(logits.size(1), logits.device)
