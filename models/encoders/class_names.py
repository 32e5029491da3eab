"""The vocabulary in which the visual encoders name what they see."""

from __future__ import annotations


def class_names() -> list[str]:
    """ImageNet's 1000 class names, as torchvision carries them."""
    from torchvision.models import EfficientNet_B0_Weights

    return list(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
