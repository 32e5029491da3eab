"""How good every clip is."""

from __future__ import annotations

import torch.nn as nn
from nncore.nn import LOSSES, MODELS, build_linear_modules
from torch import Tensor

from common.build import build
from models.distributed import world_max, world_mean, world_size


@MODELS.register()
class SaliencyHead(nn.Module):
    """A score per clip, trained by binary cross-entropy on graded labels (UMT, Liu et al., 2022).

    Args:
        dims: widths of the linear layers, the last is 1.
        saliency_loss: nncore's loss.
        pred_indices: decoder layers whose scores are averaged; the last by default.
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
        """Adds `d{layer}.saliency_loss` and `_out["saliency"]`, (B, T) in [0, 1], 0 where padded.

        Args:
            inputs: (B, T, C) per decoder layer.
            data: `saliency` (B, T) in [0, 1], -1 where padded.
            output: what the model has given so far; of `_avg_factor` items in this process the loss is the mean.
            mode: no losses in `test`.
        """
        mask = (data["saliency"] >= 0).to(inputs[0].dtype)
        scores = []
        for i, x in enumerate(inputs):
            predicts, trains = (_has(indices, i, len(inputs)) for indices in (self.pred_indices, self.loss_indices))
            if not predicts and not trains:
                continue
            logits = self.saliency_pred(x).squeeze(-1).float()   # (B, T, 1) -> (B, T)
            if predicts:
                scores.append(logits.detach().sigmoid() * mask)
            if trains and mode != "test":
                output[f"d{i}.saliency_loss"] = self.saliency_loss(
                    logits, data["saliency"].float(), weight=mask.float(),
                    avg_factor=_world_clips(logits, output["_avg_factor"]))
        output["_out"]["saliency"] = (sum(scores) / len(scores)).float().cpu()
        return output


def _world_clips(logits: Tensor, items: int) -> float | None:
    """What several processes divide by, so that their mean is that of one batch (B, T); None for one process."""
    if world_size() == 1:
        return None
    return max(world_mean(items, logits.device), 1 / world_size()) * world_max(logits.size(1), logits.device)


def _has(indices: tuple[int, ...], i: int, n: int) -> bool:
    """Whether layer i of n is among the indices, which may count from the end."""
    return i in {index % n for index in indices}
