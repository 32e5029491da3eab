"""Fold batch norms into the convolutions before them.

A stock network applies each batch norm as a separate pass over the feature maps. In evaluation mode a batch norm is an
affine map of each channel, so it can be multiplied into the weights and the bias of the convolution before it
(Jacob et al., CVPR 2018), which removes one read and one write of every feature map.

Measured gain: EfficientNet-Lite0 takes 40 % less time (0.33 s instead of 0.56 s for 16 images, two cores of an AMD
EPYC, Zen 3; `tools/benchmark.py optimizations`).
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module, pairs: Iterable[tuple[str, str]]) -> None:
    """Replace each convolution and batch norm by one convolution; outputs change by float32 rounding only.

    Args:
        network: a network in evaluation mode, which is changed in place.
        pairs: attribute names of a convolution and of the batch norm after it; every module that has both is changed.
    """
    for module in network.modules():
        for conv, norm in pairs:
            if hasattr(module, conv) and hasattr(module, norm):
                setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
                setattr(module, norm, nn.Identity())
